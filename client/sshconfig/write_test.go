package sshconfig_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/client/sshconfig"
	"github.com/vaultpam/vaultpam/store"
)

func authorized(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func TestKnownHosts(t *testing.T) {
	c := sample(t)
	_, next := newSigner(t)
	_, host := newSigner(t)
	c.HostCAs = append(c.HostCAs, next.PublicKey())
	c.Pinned = []sshconfig.PinnedHost{{Name: "db1.prod", Keys: []ssh.PublicKey{host.PublicKey()}}}
	for _, test := range []struct {
		host  string
		port  int
		names string
	}{
		{"pam.example.eu", 22, "pam.example.eu"},
		{"pam.example.eu", 2222, "pam.example.eu,[pam.example.eu]:2222"},
		{"127.0.0.1", 2222, "127.0.0.1,[127.0.0.1]:2222"},
		{"2001:DB8::1", 2222, "2001:db8::1,[2001:db8::1]:2222"},
	} {
		c.RelayHost, c.RelayPort = test.host, test.port
		got, err := c.KnownHosts()
		if err != nil {
			t.Errorf("%s: %v", test.host, err)
			continue
		}
		want := "# Written by \"vaultpam config ssh\", which overwrites changes.\n" +
			"@cert-authority *.pam,[*.pam]:*,!*.direct.pam,![*.direct.pam]:*," + test.names + " " + authorized(c.HostCAs[0]) + "\n" +
			"@cert-authority *.pam,[*.pam]:*,!*.direct.pam,![*.direct.pam]:*," + test.names + " " + authorized(c.HostCAs[1]) + "\n" +
			"db1.prod.direct.pam,[db1.prod.direct.pam]:* " + authorized(host.PublicKey()) + "\n"
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.host, diff)
		}
	}
}

func TestParseHostCA(t *testing.T) {
	_, ca := newSigner(t)
	line := authorized(ca.PublicKey())
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaPublic, err := ssh.NewPublicKey(&rsaKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	cert := &ssh.Certificate{Key: ca.PublicKey(), CertType: ssh.HostCert}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	for _, good := range []string{line, line + "\n", line + " host CA of pam.example.eu\n"} {
		if key, err := sshconfig.ParseHostCA(good); err != nil || !bytes.Equal(key.Marshal(), ca.PublicKey().Marshal()) {
			t.Errorf("ParseHostCA(%q) = %v, %v", good, key, err)
		}
	}
	for name, bad := range map[string]string{
		"empty":         "",
		"options":       `command="id" ` + line,
		"two keys":      line + "\n" + line,
		"garbage first": "ProxyCommand id\n" + line,
		"comment first": "# hello\n" + line,
		"more after":    line + "\n* ssh-ed25519 AAAA",
		"carriage":      line + "\rHost *",
		"RSA":           authorized(rsaPublic),
		"certificate":   authorized(cert),
	} {
		if key, err := sshconfig.ParseHostCA(bad); err == nil {
			t.Errorf("%s: accepted as %v", name, key)
		}
	}
}

// TestS35HostileServerValues: what the server says is held against its grammar.
func TestS35HostileServerValues(t *testing.T) {
	good := sample(t)
	if _, err := good.SSHConfig(); err != nil {
		t.Fatal(err)
	}
	cert := &ssh.Certificate{Key: good.HostCAs[0], CertType: ssh.HostCert, SignatureKey: good.HostCAs[0], Signature: &ssh.Signature{}}
	bad := map[string]func(*sshconfig.Config){
		"zero":              func(c *sshconfig.Config) { *c = sshconfig.Config{} },
		"no CA":             func(c *sshconfig.Config) { c.HostCAs = nil },
		"nil CA":            func(c *sshconfig.Config) { c.HostCAs = []ssh.PublicKey{nil} },
		"certificate as CA": func(c *sshconfig.Config) { c.HostCAs = []ssh.PublicKey{cert} },
		"pinned nil": func(c *sshconfig.Config) {
			c.Pinned = []sshconfig.PinnedHost{{Name: "db1", Keys: []ssh.PublicKey{nil}}}
		},
		"pinned cert": func(c *sshconfig.Config) {
			c.Pinned = []sshconfig.PinnedHost{{Name: "db1", Keys: []ssh.PublicKey{cert}}}
		},
	}
	for _, port := range []int{0, -1, 65536} {
		bad[fmt.Sprintf("port %d", port)] = func(c *sshconfig.Config) { c.RelayPort = port }
	}
	for _, s := range []string{"", "*", "pam *", "pam\nHost *", "pam\r", "pam,evil", "pam\"", "-pam", ".pam", "pam.", "p\x00m", "päm", "PAM", "pam#", "1", "pam.1", "!pam", "pam$(id)", strings.Repeat("a", 300)} {
		bad[fmt.Sprintf("suffix %.20q", s)] = func(c *sshconfig.Config) { c.Suffix = s }
		bad[fmt.Sprintf("pinned %.20q", s)] = func(c *sshconfig.Config) { c.Pinned = []sshconfig.PinnedHost{{Name: store.TargetName(s)}} }
	}
	delete(bad, `pinned "1"`) // a target may be called so
	delete(bad, `pinned "pam.1"`)
	for _, s := range []string{"", "*", "a b", "a\nProxyCommand id", "fe80::1%eth0", "fe80::1%$(id)", "[::1]", "-oProxyCommand=id", "a,b", "a:22", "a\"", "a/b", "a\x00", "Ä", "A.example"} {
		bad[fmt.Sprintf("relay %q", s)] = func(c *sshconfig.Config) { c.RelayHost = s }
	}
	for name, change := range bad {
		c := good
		change(&c)
		_, configErr := c.SSHConfig()
		_, knownErr := c.KnownHosts()
		if _, err := sshconfig.PlanFiles(c); err == nil {
			t.Errorf("%s: planned (SSHConfig: %v, KnownHosts: %v)", name, configErr, knownErr)
		}
	}
}

// FuzzWrite holds that no input adds a directive: keyword by keyword the file
// is the one that a harmless configuration gives.
func FuzzWrite(f *testing.F) {
	base := sample(f)
	harmless, err := base.SSHConfig()
	if err != nil {
		f.Fatal(err)
	}
	want := keywords(string(harmless))
	f.Add("/home/carol/.config/vaultpam", "/usr/bin/vaultpam", "pam", "pam.example.eu", 22, authorized(base.HostCAs[0]), "db1")
	f.Add("/a b/%h/$x", "/c d/#e", "pam.example.eu", "::1", 2222, "command=\"x\" "+authorized(base.HostCAs[0]), "db1.prod")
	f.Add("/a\nHost *", "/b\"", "pam\nHost *", "x\n", 1, "\n\n", "*")
	f.Fuzz(func(t *testing.T, dir, program, suffix, relay string, port int, ca, pinned string) {
		c := sshconfig.Config{Dir: dir, Program: program, Suffix: suffix, RelayHost: relay, RelayPort: port, HostCAs: base.HostCAs}
		if key, err := sshconfig.ParseHostCA(ca); err == nil {
			c.HostCAs = []ssh.PublicKey{key}
		}
		c.Pinned = []sshconfig.PinnedHost{{Name: store.TargetName(pinned), Keys: base.HostCAs}}
		if content, err := c.SSHConfig(); err == nil {
			if diff := cmp.Diff(want, keywords(string(content))); diff != "" {
				t.Errorf("keywords (-want +got):\n%s", diff)
			}
		}
		content, err := c.KnownHosts()
		if err != nil {
			return
		}
		lines := strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
		if len(lines) != 3 {
			t.Fatalf("%d lines:\n%s", len(lines), content)
		}
		authority, pin := strings.Fields(lines[1]), strings.Fields(lines[2])
		if len(authority) != 4 || authority[0] != "@cert-authority" || !strings.HasPrefix(authority[1], "*."+suffix+",") || authority[2]+" "+authority[3] != authorized(c.HostCAs[0]) {
			t.Errorf("authority line %q", lines[1])
		}
		if len(pin) != 3 || pin[0] != pinned+".direct."+suffix+",["+pinned+".direct."+suffix+"]:*" {
			t.Errorf("pinned line %q", lines[2])
		}
	})
}

// keywords returns the first word of every line that ssh acts on, with the
// number of its double quotes: an argument that ended early would change it.
func keywords(content string) []string {
	var all []string
	for line := range strings.SplitSeq(content, "\n") {
		// ssh takes a carriage return and a form feed for white space.
		if word := strings.Fields(line); len(word) > 0 && !strings.HasPrefix(word[0], "#") {
			all = append(all, fmt.Sprintf("%s %d", word[0], strings.Count(line, `"`)))
		}
	}
	return all
}
