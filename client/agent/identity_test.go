package agent_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/client/agent"
)

func TestNeedsRenewal(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	for name, test := range map[string]struct {
		life, age time.Duration
		want      bool
	}{
		"fresh":                    {300 * time.Second, 0, false},
		"half":                     {300 * time.Second, 150 * time.Second, false},
		"exactly a third":          {300 * time.Second, 200 * time.Second, false},
		"less than a third":        {300 * time.Second, 201 * time.Second, true},
		"last second":              {300 * time.Second, 299 * time.Second, true},
		"ended":                    {300 * time.Second, 300 * time.Second, true},
		"long ended":               {300 * time.Second, time.Hour, true},
		"not yet valid":            {300 * time.Second, -time.Second, true},
		"third is not whole, good": {10 * time.Second, 6 * time.Second, false},
		"third is not whole, late": {10 * time.Second, 7 * time.Second, true},
	} {
		cert := &ssh.Certificate{ValidAfter: uint64(start.Unix()), ValidBefore: uint64(start.Add(test.life).Unix())}
		if got := agent.NeedsRenewal(cert, start.Add(test.age)); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
	if !agent.NeedsRenewal(nil, start) || !agent.NeedsRenewal(&ssh.Certificate{}, start) {
		t.Error("no certificate needs no renewal")
	}
	if !agent.NeedsRenewal(&ssh.Certificate{ValidBefore: 100}, time.Unix(-1, 0)) {
		t.Error("a clock before 1970 needs no renewal")
	}
}

func TestWriteAndRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "home")
	issuer := newIssuer(t)
	first := issuer.identity(t, time.Now(), time.Hour)
	second := issuer.identity(t, time.Now(), time.Hour)
	renewed := agent.Identity{Key: second.Key, Cert: issuer.certify(t, second.Cert.Key, time.Now(), 2*time.Hour)}
	for _, id := range []agent.Identity{first, second, renewed} {
		if err := agent.WriteIdentity(dir, id); err != nil {
			t.Fatal(err)
		}
		got, err := agent.ReadIdentity(dir)
		if err != nil || !got.Key.Equal(id.Key) || !bytes.Equal(got.Cert.Marshal(), id.Cert.Marshal()) {
			t.Fatalf("read back %v", err)
		}
		for _, name := range []string{agent.KeyFile, agent.PublicKeyFile, agent.CertFile} {
			if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", name, info.Mode(), err)
			}
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	// The system's own tool finds the pair to fit.
	out, err := exec.Command("ssh-keygen", "-y", "-f", filepath.Join(dir, agent.KeyFile)).CombinedOutput()
	public, readErr := os.ReadFile(filepath.Join(dir, agent.PublicKeyFile))
	if err != nil || readErr != nil || !strings.HasPrefix(string(out), strings.TrimSpace(string(public))) {
		t.Errorf("ssh-keygen -y: %v, %v\n%s%s", err, readErr, out, public)
	}
	out, err = exec.Command("ssh-keygen", "-L", "-f", filepath.Join(dir, agent.CertFile)).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "u:carol") {
		t.Errorf("ssh-keygen -L: %v\n%s", err, out)
	}
	for range 2 {
		if err := agent.RemoveIdentity(dir); err != nil {
			t.Error(err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left after removal: %v, %v", entries, err)
	}
}

// TestRenewalLeavesTheKeyFile: a certificate for the key that is there changes
// one file.
func TestRenewalLeavesTheKeyFile(t *testing.T) {
	dir := t.TempDir()
	issuer := newIssuer(t)
	id := issuer.identity(t, time.Now(), time.Hour)
	if err := agent.WriteIdentity(dir, id); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(filepath.Join(dir, agent.KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	id.Cert = issuer.certify(t, id.Cert.Key, time.Now(), 2*time.Hour)
	if err := agent.WriteIdentity(dir, id); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(filepath.Join(dir, agent.KeyFile))
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the key file was replaced (%v)", err)
	}
}

func TestReadIdentityErrors(t *testing.T) {
	issuer := newIssuer(t)
	other := issuer.identity(t, time.Now(), time.Hour)
	key, cert, public := agent.KeyFile, agent.CertFile, agent.PublicKeyFile
	for name, test := range map[string]struct {
		spoil func(path func(string) string) error
		want  error
	}{
		"no key":           {func(path func(string) string) error { return os.Remove(path(key)) }, agent.ErrMissing},
		"no certificate":   {func(path func(string) string) error { return os.Remove(path(cert)) }, agent.ErrMissing},
		"empty key":        {func(path func(string) string) error { return os.Truncate(path(key), 0) }, agent.ErrUnreadable},
		"cut key":          {func(path func(string) string) error { return os.Truncate(path(key), 100) }, agent.ErrUnreadable},
		"cut certificate":  {func(path func(string) string) error { return os.Truncate(path(cert), 100) }, agent.ErrUnreadable},
		"plain key for it": {func(path func(string) string) error { return os.Rename(path(public), path(cert)) }, agent.ErrUnreadable},
		"a directory": {func(path func(string) string) error {
			return errors.Join(os.Remove(path(key)), os.Mkdir(path(key), 0o700))
		}, agent.ErrUnreadable},
		"another's": {func(path func(string) string) error {
			return os.WriteFile(path(cert), ssh.MarshalAuthorizedKey(other.Cert), 0o600)
		}, agent.ErrMismatch},
		"group may read":   {func(path func(string) string) error { return os.Chmod(path(key), 0o640) }, agent.ErrExposed},
		"others may write": {func(path func(string) string) error { return os.Chmod(path(key), 0o602) }, agent.ErrExposed},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := agent.WriteIdentity(dir, issuer.identity(t, time.Now(), time.Hour)); err != nil {
				t.Fatal(err)
			}
			if err := test.spoil(func(name string) string { return filepath.Join(dir, name) }); err != nil {
				t.Fatal(err)
			}
			if _, err := agent.ReadIdentity(dir); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// FuzzReadIdentity holds that whatever lies in the files, what is read is a
// pair that fits, or one of the four errors.
func FuzzReadIdentity(f *testing.F) {
	id := newIssuer(f).identity(f, time.Now(), time.Hour)
	dir := f.TempDir()
	if err := agent.WriteIdentity(dir, id); err != nil {
		f.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(dir, agent.KeyFile))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(key, ssh.MarshalAuthorizedKey(id.Cert))
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, key, cert []byte) {
		for name, content := range map[string][]byte{agent.KeyFile: key, agent.CertFile: cert} {
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := agent.ReadIdentity(dir)
		if err != nil {
			if !errors.Is(err, agent.ErrMissing) && !errors.Is(err, agent.ErrUnreadable) && !errors.Is(err, agent.ErrMismatch) && !errors.Is(err, agent.ErrExposed) {
				t.Errorf("error of no kind: %v", err)
			}
			return
		}
		public, err := ssh.NewPublicKey(got.Key.Public())
		if err != nil || !bytes.Equal(public.Marshal(), got.Cert.Key.Marshal()) {
			t.Errorf("read a pair that does not fit (%v)", err)
		}
	})
}
