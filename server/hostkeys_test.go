package server_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server"
)

func newHostKeys(t *testing.T, clock *hand, random io.Reader) (server.HostKeys, *ca.Authority) {
	t.Helper()
	key, err := ca.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a, err := ca.NewAuthority(ca.Host, key)
	if err != nil {
		t.Fatal(err)
	}
	h, err := server.NewHostKeys(a, clock.now, random)
	if err != nil {
		t.Fatal(err)
	}
	return h, a
}

func hostCertificate(t *testing.T, h server.HostKeys, name string) *ssh.Certificate {
	t.Helper()
	s, err := h.Signer(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	cert, ok := s.PublicKey().(*ssh.Certificate)
	if !ok {
		t.Fatalf("no certificate but %T", s.PublicKey())
	}
	return cert
}

func TestHostCertificates(t *testing.T) {
	clock := newHand()
	h, a := newHostKeys(t, clock, rand.Reader)
	checker := &ssh.CertChecker{
		IsHostAuthority: func(key ssh.PublicKey, _ string) bool {
			return bytes.Equal(key.Marshal(), a.PublicKey().Marshal())
		},
		Clock: clock.now,
	}
	for _, name := range []string{siteName, "db1.pam", "never-registered.pam", "10.1.2.3", "2001:db8::1"} {
		cert := hostCertificate(t, h, name)
		if err := checker.CheckHostKey("["+name+"]:2222", nil, cert); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := checker.CheckHostKey("other.pam:22", nil, cert); err == nil {
			t.Errorf("the certificate of %s is good for another name", name)
		}
		if cert.Serial != 0 || cert.CertType != ssh.HostCert || len(cert.ValidPrincipals) != 1 || cert.ValidPrincipals[0] != name ||
			len(cert.CriticalOptions) != 0 || len(cert.Extensions) != 0 {
			t.Errorf("%s: %+v", name, cert)
		}
		if life := time.Duration(cert.ValidBefore-cert.ValidAfter) * time.Second; life > 26*time.Hour {
			t.Errorf("%s: valid for %v", name, life)
		}
	}
}

func TestHostCertificateAsOpenSSHReadsIt(t *testing.T) {
	h, _ := newHostKeys(t, newHand(), rand.Reader)
	path := filepath.Join(t.TempDir(), "host-cert.pub")
	if err := os.WriteFile(path, ssh.MarshalAuthorizedKey(hostCertificate(t, h, "db1.pam")), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-L", "-f", path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"ssh-ed25519-cert-v01@openssh.com host certificate", "Serial: 0", "db1.pam", "Critical Options: (none)", "Extensions: (none)"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}

func TestHostNamesAreHeldToTheirGrammar(t *testing.T) {
	h, _ := newHostKeys(t, newHand(), rand.Reader)
	for _, name := range []string{
		"", "*", "*.pam", "db1.pam,other.pam", "DB1.pam", "db1 .pam", "-db1.pam", "db1..pam", ".pam", "db1.pam.", "db1\n.pam", "db1\x00.pam",
		"10.0.0.300", "0.0.0.0", "::", "[::1]", "fe80::1%eth0", "::ffff:10.0.0.1", "db1.pam:22", strings.Repeat("a", 254), "dß1.pam",
	} {
		if s, err := h.Signer(t.Context(), name); err == nil {
			t.Errorf("%q got a certificate: %v", name, s.PublicKey())
		}
	}
	if h.Cached() != 0 {
		t.Errorf("%d refused names are kept", h.Cached())
	}
}

func TestHostCertificatesAreRenewedAtHalfTheirLife(t *testing.T) {
	clock := newHand()
	h, _ := newHostKeys(t, clock, rand.Reader)
	first := hostCertificate(t, h, "db1.pam")
	clock.turn(12*time.Hour - time.Second)
	if again := hostCertificate(t, h, "db1.pam"); !bytes.Equal(again.Marshal(), first.Marshal()) {
		t.Error("made anew before half of its life was over")
	}
	clock.turn(time.Second)
	second := hostCertificate(t, h, "db1.pam")
	if bytes.Equal(second.Marshal(), first.Marshal()) || second.ValidBefore <= first.ValidBefore {
		t.Error("not made anew at half of its life")
	}
	if !bytes.Equal(second.Key.Marshal(), first.Key.Marshal()) {
		t.Error("another key: ssh would ask its user")
	}
}

// Strangers choose the names.
func TestS32HostCertificatesAreBounded(t *testing.T) {
	h, _ := newHostKeys(t, newHand(), rand.Reader)
	for i := range server.MaxHostCertificates + 10 {
		hostCertificate(t, h, fmt.Sprintf("h%d.pam", i))
		if h.Cached() > server.MaxHostCertificates {
			t.Fatalf("%d are kept", h.Cached())
		}
	}
}

func TestHostCertificatesWithoutRandomness(t *testing.T) {
	random := &drying{at: 2}
	h, _ := newHostKeys(t, newHand(), random)
	if _, err := h.Signer(t.Context(), "db1.pam"); err == nil || !strings.Contains(err.Error(), "no randomness left") {
		t.Errorf("%v", err)
	}
	hostCertificate(t, h, "db1.pam") // there is some again
	key, err := ca.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a, err := ca.NewAuthority(ca.Host, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.NewHostKeys(a, newHand().now, &drying{at: 1}); err == nil {
		t.Error("a host key of nothing")
	}
}

// The cache is asked by many handshakes at once.
func TestHostCertificatesConcurrently(t *testing.T) {
	h, _ := newHostKeys(t, newHand(), rand.Reader)
	errs := make(chan error)
	const callers = 8
	for i := range callers {
		go func() { // ends by itself
			var all error
			for j := range 50 {
				_, err := h.Signer(t.Context(), fmt.Sprintf("h%d.pam", (i+j)%20))
				all = errors.Join(all, err)
			}
			errs <- all
		}()
	}
	for range callers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if h.Cached() != 20 {
		t.Errorf("%d names are kept, want 20", h.Cached())
	}
}
