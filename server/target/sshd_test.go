//go:build unix

package target_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/target"
	"github.com/vaultpam/vaultpam/store"
)

func startSshd(t testing.TB, ca ssh.Signer, extra ...string) *target.Sshd {
	t.Helper()
	sshd, err := target.StartSshd(t.Context(), target.SshdConfig{
		Dir:         t.TempDir(),
		Target:      db1,
		CAs:         []ssh.PublicKey{ca.PublicKey()},
		Logins:      []store.Login{me(t)},
		ExtraConfig: extra,
	})
	if err != nil {
		t.Fatal(err)
	}
	stopAtEnd(t, sshd)
	return sshd
}

// TestHosts holds both kinds of private host to one list: which certificates
// they accept.
func TestHosts(t *testing.T) {
	ca, stranger := newSigner(t), newSigner(t)
	own := target.Principal(me(t), db1)
	cases := []struct {
		name   string
		signer ssh.Signer
		opens  bool
	}{
		{"own principal", certify(t, ca, own, nil), true},
		{"another target", certify(t, ca, target.Principal(me(t), "db2"), nil), false},
		{"another login", certify(t, ca, target.Principal("somebody", db1), nil), false},
		{"login alone", certify(t, ca, string(me(t)), nil), false},
		{"foreign CA", certify(t, stranger, own, nil), false},
		{"expired", certify(t, ca, own, func(c *ssh.Certificate) {
			c.ValidBefore = uint64(time.Now().Add(-time.Second).Unix())
		}), false},
		{"not yet valid", certify(t, ca, own, func(c *ssh.Certificate) {
			c.ValidAfter = uint64(time.Now().Add(time.Hour).Unix())
			c.ValidBefore = uint64(time.Now().Add(2 * time.Hour).Unix())
		}), false},
		{"another source", certify(t, ca, own, func(c *ssh.Certificate) {
			c.CriticalOptions["source-address"] = "192.0.2.7/32"
		}), false},
		{"unknown critical option", certify(t, ca, own, func(c *ssh.Certificate) {
			c.CriticalOptions["nobody@knows"] = ""
		}), false},
		{"host certificate", certify(t, ca, own, func(c *ssh.Certificate) { c.CertType = ssh.HostCert }), false},
		{"plain key", newSigner(t), false},
		{"the CA's own key", ca, false},
	}
	hosts := []target.Host{startSshd(t, ca), startBuiltin(t, ca)}
	for _, host := range hosts {
		for _, c := range cases {
			t.Run(host.Kind()+"/"+c.name, func(t *testing.T) {
				client, err := connect(t, host, me(t), c.signer)
				if (err == nil) != c.opens {
					t.Fatalf("logged in: %v (%v), want %v", err == nil, err, c.opens)
				}
				if c.opens {
					if got := output(t, client, "echo $((6*7))"); got != "42\n" {
						t.Errorf("output %q", got)
					}
				}
			})
		}
	}
}

func TestSshdLogNamesTheCertificate(t *testing.T) {
	ca := newSigner(t)
	sshd := startSshd(t, ca)
	if _, err := connect(t, sshd, me(t), certify(t, ca, target.Principal(me(t), db1), nil)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := sshd.WaitLog(ctx, "ID carol session (serial 4711)", 1); err != nil {
		t.Fatalf("%v; log:\n%s", err, sshd.Log())
	}
}

func TestSshdStopEndsWhatRunsInSessions(t *testing.T) {
	ca := newSigner(t)
	sshd := startSshd(t, ca)
	client, err := connect(t, sshd, me(t), certify(t, ca, target.Principal(me(t), db1), nil))
	if err != nil {
		t.Fatal(err)
	}
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := session.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	// The fifo proves the end of the command itself: its one writer is gone.
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := session.Start("exec 3>" + fifo + "; echo ready; while :; do sleep 1000 <&0; done"); err != nil {
		t.Fatal(err)
	}
	held, err := os.Open(fifo)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if err := sshd.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := drained(held); err != nil {
		t.Fatal(err)
	}
	if err := sshd.Stop(); err != nil {
		t.Errorf("second Stop: %v", err)
	}
}

func TestSshdKeepsItsHostKeys(t *testing.T) {
	config := target.SshdConfig{
		Dir: t.TempDir(), Target: db1, Logins: []store.Login{me(t)},
		CAs: []ssh.PublicKey{newSigner(t).PublicKey()},
	}
	var seen []string
	for range 2 {
		sshd, err := target.StartSshd(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range sshd.HostKeys() {
			seen = append(seen, string(key.Marshal()))
		}
		if err := sshd.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != 4 || seen[0] != seen[2] || seen[1] != seen[3] {
		t.Errorf("host keys changed with a restart")
	}
}

func TestSshdRefusesItsConfiguration(t *testing.T) {
	ca := newSigner(t)
	certificate := certify(t, ca, "x", nil).PublicKey()
	good := target.SshdConfig{
		Dir: t.TempDir(), Target: db1, Logins: []store.Login{me(t)},
		CAs: []ssh.PublicKey{ca.PublicKey()},
	}
	for _, c := range []struct {
		name, want string
		change     func(*target.SshdConfig)
	}{
		{"zero value", "absolute path", func(c *target.SshdConfig) { *c = target.SshdConfig{} }},
		{"relative directory", "absolute path", func(c *target.SshdConfig) { c.Dir = "here" }},
		{"directory with a space", "absolute path", func(c *target.SshdConfig) { c.Dir = "/tmp/a b" }},
		{"no target", "target name", func(c *target.SshdConfig) { c.Target = "" }},
		{"target with a line feed", "target name", func(c *target.SshdConfig) { c.Target = "db1\nPermitRootLogin yes" }},
		{"no CA", "no CA key", func(c *target.SshdConfig) { c.CAs = nil }},
		{"nil CA", "no CA key", func(c *target.SshdConfig) { c.CAs = []ssh.PublicKey{nil} }},
		{"certificate as CA", "is a certificate", func(c *target.SshdConfig) { c.CAs = []ssh.PublicKey{certificate} }},
		{"no login", "no login", func(c *target.SshdConfig) { c.Logins = nil }},
		{"pattern as login", "login \"*\"", func(c *target.SshdConfig) { c.Logins = []store.Login{"*"} }},
		{"bad directive", "Nonsense", func(c *target.SshdConfig) { c.ExtraConfig = []string{"Nonsense yes"} }},
		{"no program", "no such file", func(c *target.SshdConfig) { c.Program = "/nowhere/sshd" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := good
			c.change(&config)
			sshd, err := target.StartSshd(t.Context(), config)
			if err == nil {
				sshd.Stop()
				t.Fatal("started")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q does not say %q", err, c.want)
			}
		})
	}
}

func TestSshdStartEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := target.StartSshd(ctx, target.SshdConfig{
		Dir: t.TempDir(), Target: db1, Logins: []store.Login{me(t)},
		CAs: []ssh.PublicKey{newSigner(t).PublicKey()},
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want %v", err, context.Canceled)
	}
}
