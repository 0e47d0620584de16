package ca_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/ca"
)

func TestWriteAndLoadKey(t *testing.T) {
	for _, passphrase := range []string{"", "correct horse"} {
		path := filepath.Join(t.TempDir(), "user-ca")
		key := newKey(t)
		if err := ca.WriteKey(path, key, []byte(passphrase), "VaultPAM user CA"); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]fs.FileMode{path: 0o600, path + ".pub": 0o644} {
			if info, err := os.Stat(name); err != nil || info.Mode() != want {
				t.Errorf("%s: %v, %v; want mode %v", name, info.Mode(), err, want)
			}
		}
		got, err := ca.LoadKey(path, []byte(passphrase))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.PublicKey().Marshal(), key.PublicKey().Marshal()) {
			t.Error("another key came back")
		}
		// Stock OpenSSH reads the same file.
		out, err := exec.Command("ssh-keygen", "-y", "-P", passphrase, "-f", path).CombinedOutput()
		if err != nil {
			t.Fatalf("ssh-keygen -y: %v: %s", err, out)
		}
		public, err := os.ReadFile(path + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(public), string(out)); diff != "" {
			t.Errorf("ssh-keygen -y differs from the .pub file:\n%s", diff)
		}
		names, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
		if err != nil || len(names) != 2 {
			t.Errorf("left behind: %v", names)
		}
	}
}

func TestLoadKeyOfSSHKeygen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	keygen(t, dir, "-q", "-t", "ed25519", "-N", "geheim", "-f", path)
	if _, err := ca.LoadKey(path, []byte("geheim")); err != nil {
		t.Error(err)
	}
	other := filepath.Join(dir, "other")
	keygen(t, dir, "-q", "-t", "ecdsa", "-N", "", "-f", other)
	if _, err := ca.LoadKey(other, nil); !errors.Is(err, ca.ErrKey) {
		t.Errorf("ecdsa key: %v, want ErrKey", err)
	}
}

func keygen(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("ssh-keygen", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "TZ=UTC")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("ssh-keygen %q: %v\n%s", args, err, out)
	}
	return string(out)
}

func TestWriteKeyNeverOverwrites(t *testing.T) {
	for _, taken := range []string{"", ".pub"} {
		path := filepath.Join(t.TempDir(), "ca")
		if err := os.WriteFile(path+taken, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		err := ca.WriteKey(path, newKey(t), nil, "")
		if !errors.Is(err, fs.ErrExist) {
			t.Errorf("%q: %v, want ErrExist", taken, err)
		}
		if data, err := os.ReadFile(path + taken); err != nil || string(data) != "mine" {
			t.Errorf("%q: overwritten: %q, %v", taken, data, err)
		}
		if names, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(names) != 1 {
			t.Errorf("%q: left behind: %v", taken, names)
		}
	}
	missing := filepath.Join(t.TempDir(), "missing", "ca")
	if err := ca.WriteKey(missing, newKey(t), nil, ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	for _, key := range []*ca.Key{nil, {}} {
		if err := ca.WriteKey(filepath.Join(t.TempDir(), "ca"), key, nil, ""); err == nil {
			t.Error("wrote no key")
		}
	}
	if err := ca.WriteKey(filepath.Join(t.TempDir(), "ca"), newKey(t), nil, "x\nssh-ed25519 AAAA"); err == nil {
		t.Error("a comment began a second line of the .pub file")
	}
}

func TestLoadKeyRefuses(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, passphrase := range map[string]string{"plain": "", "locked": "right"} {
		if err := ca.WriteKey(at(name), newKey(t), []byte(passphrase), ""); err != nil {
			t.Fatal(err)
		}
	}
	plain, err := os.ReadFile(at("plain"))
	if err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]fs.FileMode{"group": 0o640, "others": 0o604, "writable": 0o620} {
		if err := errors.Join(os.WriteFile(at(name), plain, mode), os.Chmod(at(name), mode)); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"empty": "", "rubbish": "rubbish", "cut": string(plain[:len(plain)/2]), "large": strings.Repeat("x", 1<<20)} {
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err = errors.Join(os.Symlink(at("plain"), at("link")), os.Mkdir(at("dir"), 0o700), syscall.Mkfifo(at("pipe"), 0o600),
		os.WriteFile(at("halves"), halves(t), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, passphrase string
		want             error
		says             string
	}{
		{"locked", "", ca.ErrPassphrase, "needs one"},
		{"locked", "wrong", ca.ErrPassphrase, "another one"},
		{"plain", "right", ca.ErrPassphrase, "not encrypted"},
		{"group", "", nil, "chmod 600"},
		{"others", "", nil, "chmod 600"},
		{"writable", "", nil, "chmod 600"},
		{"link", "", nil, "not a regular file"},
		{"dir", "", nil, "not a regular file"},
		{"pipe", "", nil, "not a regular file"},
		{"missing", "", fs.ErrNotExist, "no such file"},
		{"empty", "", nil, "not a private key"},
		{"rubbish", "", nil, "not a private key"},
		{"cut", "", nil, "not a private key"},
		{"large", "", nil, "too large"},
		{"halves", "", ca.ErrKey, "do not belong together"},
	} {
		key, err := ca.LoadKey(at(c.name), []byte(c.passphrase))
		if err == nil || key != nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s with %q: %v; want %q", c.name, c.passphrase, err, c.says)
		}
	}
}

// halves is a key file with the private half of one key and the public of another.
func halves(t *testing.T) []byte {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	copy(private[32:], other)
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block)
}

// S12: neither an error nor anything that prints a key, an authority or a
// request holds key bytes or a passphrase.
func TestS12NoKeyInText(t *testing.T) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := rand.Read(seed); err != nil {
		t.Fatal(err)
	}
	key, err := ca.GenerateKey(bytes.NewReader(seed))
	if err != nil {
		t.Fatal(err)
	}
	const passphrase = "canary-passphrase"
	dir := t.TempDir()
	path := filepath.Join(dir, "ca")
	if err := ca.WriteKey(path, key, nil, "c"); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	a := newAuthority(t, ca.User, key)
	log := slog.New(slog.NewTextHandler(&said, nil))
	for _, v := range []any{key, *key, a, *a, []*ca.Key{key}, struct{ K *ca.Key }{key}} {
		fmt.Fprintf(&said, "%v %+v %#v %s %x %q %d\n", v, v, v, v, v, v, v)
		log.Info("key", "v", v)
		if b, err := json.Marshal(key); err == nil {
			said.Write(b)
		}
	}
	// The file, spoiled at every place, gives every error that parsing can give.
	for i := range file {
		bad := bytes.Clone(file)
		bad[i] ^= 0x15
		name := filepath.Join(dir, "bad")
		if err := os.WriteFile(name, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ca.LoadKey(name, nil); err != nil {
			fmt.Fprintln(&said, err)
		}
	}
	_, err = ca.LoadKey(path, []byte(passphrase))
	fmt.Fprintln(&said, err)
	fmt.Fprintln(&said, ca.WriteKey(path, key, []byte(passphrase), "c"))
	_, err = ca.ParsePassphrase(passphrase)
	fmt.Fprintln(&said, err)

	middle := strings.Split(string(file), "\n")[2]
	for what, secret := range map[string]string{
		"raw": string(seed[:8]), "hex": hex.EncodeToString(seed[:8]), "base64": base64.StdEncoding.EncodeToString(seed)[:12],
		"list": strings.Trim(fmt.Sprint(seed[:4]), "[]"), "hex list": strings.Trim(fmt.Sprintf("%#v", seed[:4]), "[]byte{}"),
		"file": middle[10:30], "passphrase": passphrase,
	} {
		if strings.Contains(said.String(), secret) {
			t.Errorf("the key stands in a text as %s", what)
		}
	}
	if !strings.Contains(said.String(), ssh.FingerprintSHA256(key.PublicKey())) || !strings.Contains(said.String(), "damaged") {
		t.Error("nothing was printed: the test shows nothing")
	}
}

func TestPassphrase(t *testing.T) {
	seen := map[string]bool{}
	var used strings.Builder
	for range 1000 {
		p, err := ca.NewPassphrase(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if seen[p] || strings.ContainsAny(p, "lo01") || strings.Count(p, "-") != 6 || len(p) != 34 {
			t.Fatalf("passphrase %q", p)
		}
		seen[p] = true
		used.WriteString(p)
		for _, typed := range []string{
			p, strings.ToUpper(p), strings.ReplaceAll(p, "-", " "), strings.ReplaceAll(p, "-", ""), "  " + p + "\r\n",
			strings.ReplaceAll(p, "-", " - "),
		} {
			if got, err := ca.ParsePassphrase(typed); err != nil || got != p {
				t.Fatalf("%q reads as %q, %v", typed, got, err)
			}
		}
		for _, typed := range []string{"", p[1:], p + "a", strings.Replace(p, p[:1], "0", 1), strings.Replace(p, p[:1], "é", 1)} {
			if got, err := ca.ParsePassphrase(typed); err == nil {
				t.Fatalf("%q reads as %q", typed, got)
			}
		}
	}
	// 32 characters, 28 places: 140 bits.
	for _, c := range "abcdefghijkmnpqrstuvwxyz23456789" {
		if !strings.ContainsRune(used.String(), c) {
			t.Errorf("%c is never drawn", c)
		}
	}
	if _, err := ca.NewPassphrase(bytes.NewReader(nil)); err == nil {
		t.Error("a passphrase without randomness")
	}
	if _, err := ca.GenerateKey(bytes.NewReader(make([]byte, 31))); err == nil {
		t.Error("a key without randomness")
	}
}
