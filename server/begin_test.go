package server_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/store"
)

// beginAgain begins the ledger anew and, against the rules, with one key in two
// places.
func (s *site) beginAgain(pair [2]string) {
	t := s.t
	t.Helper()
	env, keys := s.env, filepath.Join(string(s.dir), "keys")
	sharedKey(t, keys, pair)
	file := filepath.Join(string(s.dir), "ledger.db")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	backend, err := env.CreateBackend(file)
	if err != nil {
		t.Fatal(err)
	}
	user, target := authority(t, keys, "user-ca", ca.User), authority(t, keys, "target-ca", ca.Target)
	log := logKey(t, filepath.Join(keys, "log"))
	secret, err := os.ReadFile(filepath.Join(keys, "secret"))
	if err != nil {
		t.Fatal(err)
	}
	err = ledger.Create(t.Context(), ledger.Config{
		Backend: backend, LogKey: log, SnapshotKey: secret[32:], UserCA: user, TargetCA: target, Now: env.Now,
	}, access.CreateLedger{
		Name: siteName, LogKey: log.Public().(ed25519.PublicKey), SelfGrant: store.SelfGrantRefused,
		UserCA: user.PublicKey(), TargetCA: target.PublicKey(),
		HostCA: publicFile(t, keys, "host-ca"), EmergencyCA: publicFile(t, keys, "emergency-ca"),
		Administrator: access.AddUser{ID: store.UserID{1}, Handle: adminIs, Invite: access.Invite{Token: store.Hash{1}}},
	})
	if err = errors.Join(err, backend.Close()); err != nil {
		t.Fatal(err)
	}
}

func authority(t *testing.T, keys, name string, kind ca.Kind) *ca.Authority {
	t.Helper()
	key, err := ca.LoadKey(filepath.Join(keys, name), nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := ca.NewAuthority(kind, key)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func publicFile(t *testing.T, keys, name string) ssh.PublicKey {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(keys, name+".pub"))
	if err != nil {
		t.Fatal(err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(data)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func logKey(t *testing.T, path string) ed25519.PrivateKey {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(ed25519.PrivateKey)
}
