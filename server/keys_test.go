package server_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server"
)

func seedOf(t *testing.T, raw any) []byte {
	t.Helper()
	switch key := raw.(type) {
	case ed25519.PrivateKey:
		return key.Seed()
	case *ed25519.PrivateKey:
		return key.Seed()
	}
	t.Fatalf("a key of type %T", raw)
	return nil
}

func (s *site) key(name string) string { return filepath.Join(string(s.dir), "keys", name) }

// opens returns why the data directory does not open.
func (s *site) opens() string {
	s.t.Helper()
	n, err := server.Open(s.t.Context(), s.options())
	if err == nil {
		err = n.Close()
		if err != nil {
			s.t.Fatal(err)
		}
		return ""
	}
	return err.Error()
}

// place puts a file where another is.
func (s *site) place(path string, data []byte, mode os.FileMode) {
	s.t.Helper()
	if err := os.Remove(path); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, mode); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) read(path string) []byte {
	s.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	return data
}

func TestS40OtherKeysAreRefused(t *testing.T) {
	other := ownSite(t)
	for _, name := range []string{"user-ca", "target-ca", "host-ca", "emergency-ca.pub", "log"} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			mode := os.FileMode(0o600)
			s.place(s.key(name), other.read(other.key(name)), mode)
			want := "the key " + strings.TrimSuffix(name, ".pub") + " is not the one in the ledger's first entry"
			switch name {
			case "log":
				want = "not signed by the log key"
			case "user-ca", "target-ca":
				want = "key is not the one that the ledger names"
			}
			if why := s.opens(); !strings.Contains(why, want) {
				t.Errorf("it says %q, want %q", why, want)
			}
		})
	}
}

func TestS40SwappedKeysAreRefused(t *testing.T) {
	s := newSite(t)
	user, target := s.read(s.key("user-ca")), s.read(s.key("target-ca"))
	s.place(s.key("user-ca"), target, 0o600)
	s.place(s.key("target-ca"), user, 0o600)
	if why := s.opens(); !strings.Contains(why, "the user CA's key is not the one") {
		t.Errorf("it says %q", why)
	}
}

// The emergency CA's key may be taken off the machine altogether.
func TestEmergencyKeyMayLieInASafe(t *testing.T) {
	s := newSite(t)
	for _, name := range []string{"emergency-ca", "emergency-ca.pub"} {
		if err := os.Remove(s.key(name)); err != nil {
			t.Fatal(err)
		}
	}
	if why := s.opens(); why != "" {
		t.Error(why)
	}
	if script, err := s.open().SetupScript("db1"); err != nil || !strings.Contains(script, "db1") {
		t.Errorf("no script without the file: %v", err)
	}
}

func TestS40KeysThatOthersMayReadAreRefused(t *testing.T) {
	for _, name := range []string{"keys/user-ca", "keys/target-ca", "keys/host-ca", "keys/log", "keys/secret", "tls/key.pem"} {
		for _, mode := range []os.FileMode{0o640, 0o604, 0o660, 0o666} {
			s := newSite(t)
			path := filepath.Join(string(s.dir), name)
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			if why := s.opens(); !strings.Contains(why, "chmod 600 "+path) {
				t.Errorf("%s with mode %o: it says %q", name, mode, why)
			}
		}
	}
}

func TestS40DamagedKeysAreRefused(t *testing.T) {
	for _, name := range []string{"keys/user-ca", "keys/target-ca", "keys/host-ca", "keys/log", "keys/secret", "tls/key.pem", "tls/cert.pem"} {
		for how, data := range map[string]string{"empty": "", "other": "what is this\n"} {
			s := newSite(t)
			path := filepath.Join(string(s.dir), name)
			s.place(path, []byte(data), 0o600)
			if why := s.opens(); !strings.HasPrefix(why, "opening the ") {
				t.Errorf("%s, %s: it says %q", name, how, why)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if why := s.opens(); !strings.HasPrefix(why, "opening the ") {
				t.Errorf("%s is gone: it says %q", name, why)
			}
			if err := os.Symlink("/dev/null", path); err != nil {
				t.Fatal(err)
			}
			if why := s.opens(); !strings.HasPrefix(why, "opening the ") {
				t.Errorf("%s leads elsewhere: it says %q", name, why)
			}
		}
	}
}

// zeros is a source that always gives the same.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// One key in two places signs for one authority what counts for another.
func TestOneKeyForTwoAuthoritiesIsRefusedAtInit(t *testing.T) {
	clock := newHand()
	env := environment(clock)
	env.Random = zeros{}
	dir := freshDir(t)
	_, err := server.Init(t.Context(), env, initRequest(dir))
	if err == nil || !strings.Contains(err.Error(), "are one key: each has to be its own") {
		t.Errorf("init says %v", err)
	}
	nothingIn(t, dir)
}

// A ledger that was begun with one key for two authorities does not open either.
func TestOneKeyForTwoAuthoritiesIsRefusedAtOpen(t *testing.T) {
	for _, pair := range [][2]string{
		{"user-ca", "target-ca"}, {"user-ca", "host-ca"}, {"target-ca", "host-ca"},
		{"user-ca", "log"}, {"target-ca", "log"}, {"host-ca", "log"},
		{"user-ca", "emergency-ca"}, {"target-ca", "emergency-ca"}, {"host-ca", "emergency-ca"}, {"log", "emergency-ca"},
	} {
		s := newSite(t)
		s.beginAgain(pair)
		if why := s.opens(); !strings.Contains(why, "are one key: each has to be its own") {
			t.Errorf("%v: it says %q", pair, why)
		}
	}
}

// sharedKey makes one private key and writes it in the form of each file.
func sharedKey(t *testing.T, dir string, names [2]string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		var block *pem.Block
		if name == "log" {
			der, err := x509.MarshalPKCS8PrivateKey(private)
			if err != nil {
				t.Fatal(err)
			}
			block = &pem.Block{Type: "PRIVATE KEY", Bytes: der}
		} else if block, err = ssh.MarshalPrivateKey(private, ""); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		public, err := ssh.NewPublicKey(private.Public())
		if err != nil {
			t.Fatal(err)
		}
		if name != "log" {
			if err := os.WriteFile(path+".pub", ssh.MarshalAuthorizedKey(public), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := ca.LoadKey(filepath.Join(dir, names[0]), nil); err != nil && names[0] != "log" {
		t.Fatal(err)
	}
}
