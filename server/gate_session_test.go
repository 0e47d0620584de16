package server_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/store"
)

func startRequest(id relay.Identity, target string) relay.StartRequest {
	return relay.StartRequest{
		Identity: id, Target: store.TargetName(target), Login: "root", Way: store.WayProxy, Source: netip.AddrPortFrom(here, 4022),
	}
}

// started opens a session.
func (s *site) started(cert *ssh.Certificate, target string) *relay.Admission {
	s.t.Helper()
	id, err := s.node.Gate().Admit(s.t.Context(), cert, here)
	if err != nil {
		s.t.Fatal(err)
	}
	a, err := s.node.Gate().Start(s.t.Context(), startRequest(id, target))
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

func TestStart(t *testing.T) {
	s := populated(t)
	carol := s.added("carol", "engineer")
	db1 := s.target("db1")
	until := s.clock.now().Add(time.Hour)
	g := s.grant("carol", "db1", until)
	cert := s.certificate(carol)
	a := s.started(cert, "db1")
	if a.Address != db1.Address || a.Egress != db1.Egress || !a.Ends.Equal(until) || len(a.HostKeys) != 1 || a.Session.IsZero() {
		t.Errorf("%+v", a)
	}
	if _, err := store.ParseSessionID(a.Session.String()); err != nil {
		t.Error(err)
	}
	if e := s.entriesOf(store.TypeSessionStarted); len(e) != 1 || e[0].Event.(*store.SessionStarted).Grant != store.Index(g.ID) {
		t.Errorf("entries: %v", e)
	}
	refuse := func(name string, r relay.StartRequest, want string) {
		t.Helper()
		a, err := s.node.Gate().Start(t.Context(), r)
		var refused *access.Refusal
		if a != nil || !errors.As(err, &refused) || !strings.Contains(refused.Message, want) || refused.Hint == "" {
			t.Errorf("%s: %v, %v", name, a, err)
		}
	}
	refuse("no such target", startRequest(a.Identity, "db9"), "there is no target db9 that carol may reach")
	r := startRequest(a.Identity, "db1")
	r.Login = "deploy"
	refuse("another login", r, "but not as deploy")
	r = startRequest(a.Identity, "db1")
	r.Identity.Certificate = 0 // no certificate's entry
	if _, err := s.node.Gate().Start(t.Context(), r); err == nil {
		t.Error("a session by an entry that is no certificate")
	}
	must[api.Empty](s, s.admin, "DELETE", "/v1/admin/targets/db1", nil)
	refuse("removed target", startRequest(a.Identity, "db1"), "there is no target db1")
	must[api.Empty](s, carol, "POST", api.RouteSignOut.Path, nil)
	refuse("signed out", startRequest(a.Identity, "db1"), "has ended")
	must[api.Empty](s, s.admin, "DELETE", "/v1/admin/users/carol", nil)
	refuse("removed user", startRequest(a.Identity, "db1"), "this user has been removed")
}

func TestCertify(t *testing.T) {
	s := populated(t)
	carol := s.added("carol", "engineer")
	s.target("db1")
	s.grant("carol", "db1", time.Time{})
	a := s.started(s.certificate(carol), "db1")
	key := newKey(t).PublicKey()
	cert, err := s.node.Gate().Certify(t.Context(), a, key)
	if err != nil {
		t.Fatal(err)
	}
	if cert.ValidPrincipals[0] != "root@db1" || cert.CriticalOptions["source-address"] != "127.0.0.1/32" ||
		string(cert.Key.Marshal()) != string(key.Marshal()) || string(cert.SignatureKey.Marshal()) != string(s.thief("target-ca").PublicKey().Marshal()) {
		t.Errorf("%+v", cert)
	}
	issued := s.entriesOf(store.TypeCertificateIssued)
	last := issued[len(issued)-1]
	e := last.Event.(*store.CertificateIssued)
	if uint64(last.Index) != cert.Serial || e.TBS != store.Hash(ca.Hash(cert)) || e.Session != a.Session || uint64(e.Parent) != a.Identity.Cert.Serial {
		t.Errorf("entry %d: %+v", last.Index, e)
	}
	// S6: what the user's own certificate does not allow, the session's does not.
	narrow := *a
	own := *a.Identity.Cert
	own.Extensions, own.CriticalOptions = nil, map[string]string{"force-command": "true"}
	narrow.Identity.Cert = &own
	cert, err = s.node.Gate().Certify(t.Context(), &narrow, key)
	if err != nil || len(cert.Extensions) != 0 || cert.CriticalOptions["force-command"] != "true" {
		t.Errorf("%+v, %v", cert, err)
	}
	if err := s.node.Gate().End(t.Context(), relay.Ended{Admission: a, Reason: store.EndedByUser}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.node.Gate().Certify(t.Context(), a, key); err == nil {
		t.Error("a certificate for a session that has ended")
	}
}

func TestS37WatchEndsWithinASecond(t *testing.T) {
	for name, c := range map[string]struct {
		until  time.Duration // of the grant
		happen func(s *site, g api.Grant)
		locked string // what is, in the words that the user reads
	}{
		"user locked":        {0, func(s *site, _ api.Grant) { s.lock(api.LockUser, "carol") }, "carol"},
		"target locked":      {0, func(s *site, _ api.Grant) { s.lock(api.LockTarget, "db1") }, "target db1"},
		"session locked":     {0, func(s *site, _ api.Grant) { s.lock(api.LockSession, s.lastSession().String()) }, "session "},
		"certificate locked": {0, func(s *site, _ api.Grant) { s.lock(api.LockSerial, s.lastSerial()) }, "the certificate with the serial "},
		"grant removed":      {time.Hour, func(s *site, g api.Grant) { must[api.Empty](s, s.admin, "DELETE", grantPath(g), nil) }, ""},
		"user removed":       {0, func(s *site, _ api.Grant) { must[api.Empty](s, s.admin, "DELETE", "/v1/admin/users/carol", nil) }, ""},
		"target removed":     {0, func(s *site, _ api.Grant) { must[api.Empty](s, s.admin, "DELETE", "/v1/admin/targets/db1", nil) }, ""},
		"grant ends":         {300 * time.Millisecond, func(s *site, _ api.Grant) { s.clock.turn(300 * time.Millisecond) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := populated(t)
			carol := s.added("carol", "engineer")
			s.target("db1")
			until := time.Time{}
			if c.until != 0 {
				until = s.clock.now().Add(c.until)
			}
			g := s.grant("carol", "db1", until)
			a := s.started(s.certificate(carol), "db1")
			var reason store.EndReason
			var err error
			done := make(chan struct{})
			go func() { // ends with the session, or with the test's context
				defer close(done)
				reason, err = s.node.Gate().Watch(t.Context(), a)
			}()
			s.target("db2") // a change that is none of its business
			select {
			case <-done:
				if c.until != 300*time.Millisecond {
					t.Fatalf("ended at once: %s, %v", reason, err)
				}
			default:
			}
			c.happen(s, g)
			within(t, promptly, done, "the end of the session")
			if c.locked != "" {
				if err == nil || !strings.HasPrefix(err.Error(), c.locked) || !strings.Contains(err.Error(), "is locked since") || reason != store.EndedByLock {
					t.Errorf("%s, %v", reason, err)
				}
				return
			}
			if err != nil || reason != store.EndedByGrant {
				t.Errorf("%s, %v", reason, err)
			}
		})
	}
}

// TestS37PurposesChange: what a session may do changes by an entry and by the clock,
// and whoever waits hears of it.
func TestS37PurposesChange(t *testing.T) {
	s := populated(t)
	carol := s.added("carol", "engineer")
	s.target("db1")
	add := func(what string, until time.Time) api.Grant {
		return must[api.Grant](s, s.admin, "POST", api.RouteGrantAdd.Path,
			api.Grant{User: "carol", Target: "db1", Logins: []string{"root"}, For: what, Until: until})
	}
	add("exec", time.Time{})
	add("local-forward=*:*", s.clock.now().Add(300*time.Millisecond))
	removed := add("agent-forward", time.Time{})
	a := s.started(s.certificate(carol), "db1")
	gate := s.node.Gate()
	now, err := gate.Purposes(t.Context(), a)
	if err != nil || now.String() != "exec; local-forward=*:*; agent-forward" {
		t.Fatalf("%s, %v", now, err)
	}
	await := func(want string, happen func()) {
		t.Helper()
		done := make(chan struct{})
		had := now
		go func() { // ends with the change, or with the test's context
			defer close(done)
			now, err = gate.AwaitPurposes(t.Context(), a, had)
		}()
		happen()
		within(t, promptly, done, "the change")
		if err != nil || now.String() != want {
			t.Fatalf("%s, %v; want %s", now, err, want)
		}
	}
	await("exec; local-forward=*:*", func() { must[api.Empty](s, s.admin, "DELETE", grantPath(removed), nil) })
	await("exec", func() { s.clock.turn(300 * time.Millisecond) })
	await("", func() { must[api.Empty](s, s.admin, "DELETE", "/v1/admin/users/carol", nil) })
	if now, err := gate.Purposes(t.Context(), a); err != nil || len(now) > 0 {
		t.Errorf("a removed user may %s, %v", now, err)
	}
}

func TestWatchHonoursItsContext(t *testing.T) {
	s := populated(t)
	carol := s.added("carol", "engineer")
	s.target("db1")
	s.grant("carol", "db1", time.Time{})
	a := s.started(s.certificate(carol), "db1")
	ctx, cancel := contextWithCancel(t)
	cancel()
	if reason, err := s.node.Gate().Watch(ctx, a); err == nil || reason != "" {
		t.Errorf("%s, %v", reason, err)
	}
}
