package inventory_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/client/inventory"
)

// newKey returns a host key, and its line without hosts.
func newKey(t testing.TB) (ssh.PublicKey, string) {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func newRSA(t testing.TB) (ssh.PublicKey, string) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return key, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func readKnown(t testing.TB, text string) inventory.KnownHosts {
	t.Helper()
	k, err := inventory.ReadKnownHosts([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func fingerprints(keys []ssh.PublicKey) string {
	var all []string
	for _, k := range keys {
		all = append(all, ssh.FingerprintSHA256(k))
	}
	return strings.Join(all, " ")
}

func TestKnownHostsTargets(t *testing.T) {
	k1, line1 := newKey(t)
	k2, line2 := newKey(t)
	_, line3 := newKey(t)
	r1, rsa1 := newRSA(t)
	text := "# comment\n\n" +
		"db1.example.com,10.0.0.5 " + line1 + " a comment\n" +
		"db1.example.com,10.0.0.5 " + rsa1 + "\n" +
		"10.0.0.9,DB2.Example " + line2 + "\r\n" +
		"[jump.example]:2222 " + line2 + "\n" +
		"192.0.2.7 " + line2 + "\n" +
		"[2001:db8::5]:2022 " + line2 + "\n" +
		"two " + line1 + "\ntwo " + line2 + "\n" +
		"gone " + line3 + "\n@revoked * " + line3 + "\n" +
		"*.example,!not.example " + line3 + "\n" +
		"@cert-authority *.corp " + line1 + "\n" +
		"|1|bm90IHJlYWRhYmxl|bm90IHJlYWRhYmxlIGF0IGFsbA== " + line1 + "\n" +
		"broken ssh-ed25519 AAAA\n" +
		"@other host " + line1 + "\n" +
		"old 2048 65537 1234567\n"
	k := readKnown(t, text)
	for _, want := range []string{
		"trusts an authority for \"*.corp\"", "1 lines have hashed names", "line 16: no host key", `line 17: marker "other"`, "line 18: no host key",
	} {
		if !strings.Contains(strings.Join(k.Problems, "\n"), want) {
			t.Errorf("%q does not say %q", k.Problems, want)
		}
	}
	targets, err := k.Targets()
	if err != nil {
		t.Fatal(err)
	}
	checkProposals(t, targets, k.Problems)
	all := byOrigin(targets)
	tests := []struct {
		origin, name, address string
		keys                  []ssh.PublicKey
		problem               string
	}{
		{"db1.example.com", "db1.example.com", "db1.example.com:22", []ssh.PublicKey{k1, r1}, "no login"},
		{"10.0.0.9", "db2.example", "10.0.0.9:22", []ssh.PublicKey{k2}, "no login"},
		{"jump.example", "jump.example", "jump.example:2222", []ssh.PublicKey{k2}, "no login"},
		{"192.0.2.7", "", "192.0.2.7:22", []ssh.PublicKey{k2}, "is an address"},
		{"2001:db8::5", "", "[2001:db8::5]:2022", []ssh.PublicKey{k2}, "is an address"},
		{"two", "two", "two:22", nil, "two ssh-ed25519 keys"},
		{"gone", "gone", "gone:22", nil, "is revoked"},
	}
	if len(all) != len(tests) {
		t.Errorf("%d targets, want %d: %+v", len(all), len(tests), all)
	}
	for _, tt := range tests {
		target := all[tt.origin]
		if string(target.Name) != tt.name || target.Address != tt.address || fingerprints(target.HostKeys) != fingerprints(tt.keys) ||
			!strings.Contains(strings.Join(target.Problems, "\n"), tt.problem) {
			t.Errorf("%s: %+v, want %+v", tt.origin, target, tt)
		}
	}
}

// What is found for a host is what ssh-keygen -F finds, in a file as it is and
// once ssh-keygen -H has hashed it.
func TestKnownHostsFindsAsSSHDoes(t *testing.T) {
	names := []string{"db1", "db2.example", "10.0.0.5", "[db1]:2222", "[10.0.0.5]:2222", "not.example"}
	hosts := []string{"db1", "DB1,10.0.0.5", "[db1]:2222", "*.example,!not.example", "10.0.0.?", "[10.0.0.5]:*", "!db1,*", "d?1"}
	var text strings.Builder
	for _, h := range hosts {
		_, line := newKey(t)
		fmt.Fprintf(&text, "%s %s\n", h, line)
	}
	file := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	compare := func(how string) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			want := keygenFinds(t, file, name)
			host, _, _ := strings.Cut(address(name), ":")
			target := []inventory.Target{{Origin: host, Address: address(name)}}
			var got []string
			// One line at a time, because two keys for one host are none.
			for line := range strings.Lines(string(data)) {
				readKnown(t, line).Attach(target)
				got = append(got, strings.Fields(fingerprints(target[0].HostKeys))...)
			}
			if strings.Join(got, " ") != strings.Join(want, " ") || how == "as it is" && len(want) == 0 && name != "not.example" {
				t.Errorf("%s: %s: %q, ssh-keygen finds %q", how, name, got, want)
			}
		}
	}
	compare("as it is")
	if out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-H", "-f", file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	compare("hashed")
}

// address turns a name of known_hosts into HOST:PORT.
func address(name string) string {
	if inside, ok := strings.CutPrefix(name, "["); ok {
		return strings.Replace(inside, "]", "", 1)
	}
	return name + ":22"
}

// keygenFinds returns the fingerprints of the keys that ssh-keygen finds for a
// host.
func keygenFinds(t *testing.T, file, name string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-F", name, "-f", file).Output()
	if _, none := err.(*exec.ExitError); err != nil && !none { //nolint:errorlint // it is made here
		t.Fatal(err)
	}
	var found []string
	for line := range strings.Lines(string(out)) {
		if fields := strings.Fields(line); len(fields) >= 3 && fields[0] != "#" {
			key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(strings.Join(fields[1:3], " ")))
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, ssh.FingerprintSHA256(key))
		}
	}
	return found
}

// An inventory's hosts get their keys by name and by address, and two that
// contradict each other are none.
func TestKnownHostsAttach(t *testing.T) {
	k1, line1 := newKey(t)
	_, line2 := newKey(t)
	targets, _, err := inventory.ReadAnsibleINI([]byte("a ansible_host=10.0.0.1\nb ansible_host=10.0.0.2 ansible_port=2222\nc ansible_host=10.0.0.3\nd\n"))
	if err != nil {
		t.Fatal(err)
	}
	readKnown(t, "10.0.0.1 "+line1+"\n[b]:2222 "+line1+"\nb "+line2+"\nc "+line1+"\n10.0.0.3 "+line2+"\n").Attach(targets)
	want := map[string]string{"a": ssh.FingerprintSHA256(k1), "b": ssh.FingerprintSHA256(k1), "c": "", "d": ""}
	for _, target := range targets {
		if got := fingerprints(target.HostKeys); got != want[target.Origin] {
			t.Errorf("%s: %s, want %s", target.Origin, got, want[target.Origin])
		}
	}
	if p := byOrigin(targets)["c"].Problems; !strings.Contains(strings.Join(p, "\n"), "two ssh-ed25519 keys") {
		t.Errorf("%q", p)
	}
}

func FuzzReadKnownHosts(f *testing.F) {
	_, line := newKey(f)
	f.Add([]byte("db1,10.0.0.5 " + line + "\n@revoked * " + line + "\n[db1]:2222 " + line + "\n"))
	f.Add([]byte("|1|AAAA|AAAA " + line + "\n@cert-authority *.corp " + line + "\n!a,*?[ " + line))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := inventory.ReadKnownHosts(data)
		if err != nil {
			return
		}
		targets, err := k.Targets()
		if err != nil {
			return
		}
		checkProposals(t, targets, k.Problems)
		for _, target := range targets {
			for i, key := range target.HostKeys {
				if i > 0 && target.HostKeys[i-1].Type() == key.Type() {
					t.Fatalf("%s has two keys of one type", target.Origin)
				}
			}
		}
	})
}
