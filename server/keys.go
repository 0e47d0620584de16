package server

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/store"
)

// The names of the key files, in the keys folder.
const (
	userKey      = "user-ca"
	targetKey    = "target-ca"
	hostKey      = "host-ca"
	emergencyKey = "emergency-ca"
	logKey       = "log"
	secretKey    = "secret"
)

// keyring is what the keys folder holds, opened.
type keyring struct {
	user, target, host *ca.Authority
	emergency          ssh.PublicKey // its private half is no business of a running server
	log                ed25519.PrivateKey
	seal, snapshot     []byte // 32 bytes each
}

// secretSize is the length of the secret file: the sealing key, then the
// snapshot key.
const secretSize = 64

// makeKeys creates every key in an empty folder; the emergency CA is encrypted
// to the passphrase.
func makeKeys(d Dir, random io.Reader, passphrase string) error {
	if err := os.Mkdir(d.keys(), 0o700); err != nil {
		return fmt.Errorf("making the keys: %w", err)
	}
	for _, name := range []string{userKey, targetKey, hostKey, emergencyKey} {
		key, err := ca.GenerateKey(random)
		if err != nil {
			return fmt.Errorf("making the key %s: %w", name, err)
		}
		var lock []byte
		if name == emergencyKey {
			lock = []byte(passphrase)
		}
		if err := ca.WriteKey(d.key(name), key, lock, "vaultpam "+name); err != nil {
			return fmt.Errorf("making the key %s: %w", name, err)
		}
	}
	if err := makeLogKey(d, random); err != nil {
		return err
	}
	secret := make([]byte, secretSize)
	if _, err := io.ReadFull(random, secret); err != nil {
		return fmt.Errorf("making the secret: %w", err)
	}
	return writeNew(d.key(secretKey), secret)
}

func makeLogKey(d Dir, random io.Reader) error {
	_, key, err := ed25519.GenerateKey(random)
	if err != nil {
		return fmt.Errorf("making the log key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("making the log key: %w", err)
	}
	return writeNew(d.key(logKey), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// openKeys loads the keys that a running server needs; the emergency CA's is
// not among them.
func openKeys(d Dir) (*keyring, error) {
	k := &keyring{}
	for _, a := range []struct {
		name string
		kind ca.Kind
		to   **ca.Authority
	}{{userKey, ca.User, &k.user}, {targetKey, ca.Target, &k.target}, {hostKey, ca.Host, &k.host}} {
		key, err := ca.LoadKey(d.key(a.name), nil)
		if err != nil {
			return nil, fmt.Errorf("opening the key %s: %w", a.name, err)
		}
		if *a.to, err = ca.NewAuthority(a.kind, key); err != nil {
			return nil, fmt.Errorf("opening the key %s: %w", a.name, err)
		}
	}
	secret, err := readPrivate(d.key(secretKey))
	if err != nil {
		return nil, fmt.Errorf("opening the secret: %w", err)
	}
	if len(secret) != secretSize {
		return nil, fmt.Errorf("opening the secret: %d bytes, want %d", len(secret), secretSize)
	}
	k.seal, k.snapshot = secret[:32], secret[32:]
	if k.log, err = openLogKey(d); err != nil {
		return nil, err
	}
	return k, nil
}

func openLogKey(d Dir) (ed25519.PrivateKey, error) {
	text, err := readPrivate(d.key(logKey))
	if err != nil {
		return nil, fmt.Errorf("opening the log key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("opening the log key: not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, errors.New("opening the log key: not an Ed25519 key")
	}
	return key, nil
}

// distinct refuses one key in two places: what it signs for one authority would
// count for another.
func (k *keyring) distinct() error {
	log, err := ssh.NewPublicKey(k.log.Public())
	if err != nil {
		return fmt.Errorf("reading the log key: %w", err)
	}
	seen := map[string]string{}
	for _, key := range []struct {
		name   string
		public ssh.PublicKey
	}{
		{userKey, k.user.PublicKey()}, {targetKey, k.target.PublicKey()}, {hostKey, k.host.PublicKey()},
		{emergencyKey, k.emergency}, {logKey, log},
	} {
		blob := string(key.public.Marshal())
		if other, ok := seen[blob]; ok {
			return fmt.Errorf("the keys %s and %s are one key: each has to be its own", other, key.name)
		}
		seen[blob] = key.name
	}
	return nil
}

// foreign returns the name of a key that is not the one in a ledger's first
// entry, or nothing. The emergency CA's counts only where it is known.
func (k *keyring) foreign(birth *store.LedgerCreated) string {
	for _, key := range []struct {
		name      string
		got, want []byte
	}{
		{userKey, k.user.PublicKey().Marshal(), birth.UserCA},
		{targetKey, k.target.PublicKey().Marshal(), birth.TargetCA},
		{hostKey, k.host.PublicKey().Marshal(), birth.HostCA},
		{logKey, k.log.Public().(ed25519.PublicKey), birth.LogKey},
	} {
		if !bytes.Equal(key.got, key.want) {
			return key.name
		}
	}
	if k.emergency != nil && !bytes.Equal(k.emergency.Marshal(), birth.EmergencyCA) {
		return emergencyKey
	}
	return ""
}

// readPrivate reads a file that nobody else may read.
func readPrivate(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || !private(info.Mode()) {
		return nil, fmt.Errorf("%s: others may read it: chmod 600 %s", path, path)
	}
	return os.ReadFile(path)
}

// writeNew writes a file that must not be there, durably and with its name, for
// the owner alone.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close(), syncDir(filepath.Dir(path))); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
