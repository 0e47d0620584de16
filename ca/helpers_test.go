package ca_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/store"
)

// now is the tests' clock where no real sshd is asked.
var now = time.Date(2026, 11, 2, 9, 30, 0, 0, time.UTC)

var (
	carol     = store.UserID{'c', 'a', 'r', 'o', 'l', 0xfe, 0x17}
	noAddress netip.Addr
	session   = store.SessionID{0x5b, 0x0e, 0x2c, 0x3e, 0x1f, 0x5a, 0x4c, 0x77, 0x9a, 0x10, 0x6f, 0x0d, 0x27, 0x11, 0x8e, 0x42}
)

func newKey(t testing.TB) *ca.Key {
	t.Helper()
	key, err := ca.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// fixedKey is the same key in every process: fuzz workers and golden files need
// that.
func fixedKey(t testing.TB, label string) *ca.Key {
	t.Helper()
	seed := sha256.Sum256([]byte(label))
	key, err := ca.GenerateKey(bytes.NewReader(seed[:]))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newAuthority(t testing.TB, kind ca.Kind, key ssh.Signer) *ca.Authority {
	t.Helper()
	a, err := ca.NewAuthority(kind, key)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// request is a good request of its kind; tests spoil it.
func request(kind ca.Kind, authority, key ssh.PublicKey) ca.Request {
	r := ca.Request{
		Kind: kind, Authority: authority, Key: key,
		ValidAfter: now.Add(-time.Minute), ValidBefore: now.Add(time.Minute),
		Nonce: sha256.Sum256([]byte("nonce")),
	}
	switch kind {
	case ca.User:
		r.Serial, r.KeyID, r.Principal = 4711, ca.UserKeyID("carol", 4700), carol.String()
		r.ValidBefore = now.Add(5 * time.Minute)
		r.Extensions = []string{ca.PermitPortForwarding, ca.PermitPTY}
	case ca.Target:
		r.Serial, r.KeyID, r.Principal = 4712, ca.TargetKeyID("carol", session), "root@db1"
		r.SourceAddress = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
		r.Extensions = []string{ca.PermitPTY}
	case ca.Host:
		r.KeyID, r.Principal = ca.HostKeyID("db1.pam"), "db1.pam"
	case ca.Emergency:
		r.Serial, r.KeyID, r.Principal = store.EmergencySerial, ca.EmergencyKeyID("db1"), "root@db1"
		r.Extensions = []string{ca.PermitPTY}
	}
	return r
}

func issue(t testing.TB, a *ca.Authority, r ca.Request) *ssh.Certificate {
	t.Helper()
	unsigned, err := ca.Build(r)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := a.Sign(unsigned)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// rounds scales a property test: few by default, all in the campaign.
func rounds(few, all int) int {
	if os.Getenv("VAULTPAM_CAMPAIGN") == "1" {
		return all
	}
	return few
}
