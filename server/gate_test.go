package server_test

import (
	"crypto/rand"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

var here = netip.MustParseAddr("127.0.0.1")

// entriesOf returns the entries of a type, the oldest first.
func (s *site) entriesOf(kind store.EventType) []*store.Entry {
	s.t.Helper()
	found, err := s.node.Ledger().Find(s.t.Context(), store.Query{Type: kind})
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

// changed returns a copy of a certificate with something else in it, signed by
// an authority.
func changed(t *testing.T, cert *ssh.Certificate, by ssh.Signer, change func(*ssh.Certificate)) *ssh.Certificate {
	t.Helper()
	c := *cert
	c.Extensions = map[string]string{}
	for k, v := range cert.Extensions {
		c.Extensions[k] = v
	}
	change(&c)
	if err := c.SignCert(rand.Reader, by); err != nil {
		t.Fatal(err)
	}
	return &c
}

// thief is a signer with a key from the keys folder, as whoever stole it has.
func (s *site) thief(name string) ssh.Signer {
	s.t.Helper()
	signer, err := ssh.ParsePrivateKey(s.read(s.key(name)))
	if err != nil {
		s.t.Fatal(err)
	}
	return signer
}

func TestAdmit(t *testing.T) {
	s := populated(t)
	carol := s.added("carol", "engineer")
	cert := s.certificate(carol)
	gate := s.node.Gate()
	id, err := gate.Admit(t.Context(), cert, here)
	if err != nil || id.Handle != "carol" || uint64(id.Certificate) != cert.Serial || id.Cert != cert {
		t.Fatalf("%+v, %v", id, err)
	}
	userCA := s.thief("user-ca")
	nothing := func(*ssh.Certificate) {}
	for name, c := range map[string]struct {
		cert *ssh.Certificate
		want string
	}{
		"foreign":          {changed(t, cert, newKey(t), nothing), "of another authority"},
		"of the target CA": {changed(t, cert, s.thief("target-ca"), nothing), "of another authority"},
		"host certificate": {changed(t, cert, userCA, func(c *ssh.Certificate) { c.CertType = ssh.HostCert }), "not a user certificate"},
		"no principal":     {changed(t, cert, userCA, func(c *ssh.Certificate) { c.ValidPrincipals = nil }), "not one that VaultPAM issues"},
		"a login":          {changed(t, cert, userCA, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"root"} }), "not one that VaultPAM issues"},
		"unknown option": {changed(t, cert, userCA, func(c *ssh.Certificate) {
			c.CriticalOptions = map[string]string{"no-such-option": ""}
		}), "not one that VaultPAM issues"},
		"elsewhere": {changed(t, cert, userCA, func(c *ssh.Certificate) {
			c.CriticalOptions = map[string]string{"source-address": "10.1.2.3/32"}
		}), "may not be used from this address"},
		"too long": {changed(t, cert, userCA, func(c *ssh.Certificate) { c.ValidBefore += 86400 }), "not one that VaultPAM issues"},
	} {
		_, err := gate.Admit(t.Context(), c.cert, here)
		var refused *access.Refusal
		if !errors.As(err, &refused) || !strings.Contains(refused.Message, c.want) || refused.Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := s.entriesOf(store.TypeSessionRefused); len(got) != 0 {
		t.Errorf("strangers' certificates made %d entries", len(got))
	}
}

func TestAdmitByTheClock(t *testing.T) {
	s := populated(t)
	cert := s.certificate(s.added("carol", "engineer"))
	s.clock.turn(5*time.Minute - time.Second)
	if _, err := s.node.Gate().Admit(t.Context(), cert, here); err != nil {
		t.Errorf("in its last second: %v", err)
	}
	s.clock.turn(31 * time.Second)
	_, err := s.node.Gate().Admit(t.Context(), cert, here)
	if err == nil || err.Error() != "your certificate expired 30s ago" {
		t.Errorf("expired: %v", err)
	}
	s.clock.turn(-time.Hour)
	if _, err := s.node.Gate().Admit(t.Context(), cert, here); err == nil || err.Error() != "your certificate is not valid yet" {
		t.Errorf("not yet valid: %v", err)
	}
}

// Whoever has the user CA's key can make a certificate that is right in
// everything; it has no entry, and that is seen, once a minute.
func TestAdmitFindsForgeries(t *testing.T) {
	s := populated(t)
	carol, dave := s.added("carol", "engineer"), s.added("dave", "engineer")
	cert, other := s.certificate(carol), s.certificate(dave)
	gate, thief := s.node.Gate(), s.thief("user-ca")
	stolen := newKey(t).PublicKey()
	forgeries := map[string]*ssh.Certificate{
		"another key":         changed(t, cert, thief, func(c *ssh.Certificate) { c.Key = stolen }),
		"another serial":      changed(t, cert, thief, func(c *ssh.Certificate) { c.Serial = 1 }),
		"serial of the birth": changed(t, cert, thief, func(c *ssh.Certificate) { c.Serial = 2 }),
		"serial to come":      changed(t, cert, thief, func(c *ssh.Certificate) { c.Serial = 1 << 40 }),
		"somebody's serial":   changed(t, cert, thief, func(c *ssh.Certificate) { c.Serial = other.Serial }),
		"an option less":      changed(t, cert, thief, func(c *ssh.Certificate) { delete(c.Extensions, "permit-pty") }),
		"another nonce":       changed(t, cert, thief, func(c *ssh.Certificate) { c.Nonce = []byte("0123456789abcdef0123456789abcdef") }),
	}
	before := s.node.Ledger().State().Next()
	for name, forged := range forgeries {
		if _, err := gate.Admit(t.Context(), forged, here); err == nil || !strings.Contains(err.Error(), "not one that the ledger holds") {
			t.Errorf("%s: %v", name, err)
		}
	}
	refused := s.entriesOf(store.TypeSessionRefused)
	if len(refused) != 1 || refused[0].Event.(*store.SessionRefused).Reason != store.RefusedForgery || s.node.Ledger().State().Next() != before+1 {
		t.Fatalf("%d entries of %d forgeries in a moment", len(refused), len(forgeries))
	}
	s.clock.turn(59 * time.Second)
	for range 3 {
		_, _ = gate.Admit(t.Context(), forgeries["another key"], here) // refused, as above
	}
	if n := len(s.entriesOf(store.TypeSessionRefused)); n != 1 {
		t.Errorf("%d entries within a minute", n)
	}
	s.clock.turn(2 * time.Second)
	_, _ = gate.Admit(t.Context(), forgeries["another key"], here) // refused, as above
	if n := len(s.entriesOf(store.TypeSessionRefused)); n != 2 {
		t.Errorf("%d entries after a minute", n)
	}
	if !strings.Contains(s.log.String(), "the key is in other hands") {
		t.Error("the log does not say that the key is in other hands")
	}
	if _, err := gate.Admit(t.Context(), cert, here); err != nil {
		t.Errorf("the right one: %v", err)
	}
}

// A target certificate of ours is of another kind, and a removed user nobody.
func TestAdmitOtherKindsAndRemovedUsers(t *testing.T) {
	s := populated(t)
	carol := s.added("carol", "engineer")
	s.target("db1")
	s.grant("carol", "db1", time.Time{})
	cert := s.certificate(carol)
	a := s.started(cert, "db1")
	onward, err := s.node.Gate().Certify(t.Context(), a, newKey(t).PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.node.Gate().Admit(t.Context(), onward, here); err == nil || !strings.Contains(err.Error(), "of another authority") {
		t.Errorf("a target certificate: %v", err)
	}
	must[api.Empty](s, s.admin, "DELETE", "/v1/admin/users/carol", nil)
	if _, err := s.node.Gate().Admit(t.Context(), cert, here); err == nil || err.Error() != "this user has been removed" {
		t.Errorf("a removed user: %v", err)
	}
}
