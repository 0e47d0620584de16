package server_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

const whyLocked = "her laptop was stolen on the train"

// lock has the administrator lock something.
func (s *site) lock(kind, name string) api.Lock {
	s.t.Helper()
	return must[api.Lock](s, s.admin, "POST", api.RouteLock.Path, api.LockRequest{Kind: kind, Name: name, Why: whyLocked})
}

// lastSession is the session that started last.
func (s *site) lastSession() store.SessionID {
	s.t.Helper()
	all := s.entriesOf(store.TypeSessionStarted)
	return all[len(all)-1].Event.(*store.SessionStarted).Session
}

// lastSerial is that of the certificate that was issued last.
func (s *site) lastSerial() string {
	s.t.Helper()
	all := s.entriesOf(store.TypeCertificateIssued)
	return strconv.FormatUint(uint64(all[len(all)-1].Index), 10)
}

// TestLocks: what administrators and auditors see of a lock, from its beginning to
// its end, and what nobody may ask for.
func TestLocks(t *testing.T) {
	s := populated(t)
	carol, dana := s.added("carol", "engineer"), s.added("dana", "auditor")
	s.target("db1")
	s.grant("carol", "db1", time.Time{})
	a := s.started(s.certificate(carol), "db1")
	serial := s.lastSerial()
	made := []api.Lock{
		s.lock(api.LockTarget, "db1"), s.lock(api.LockSession, a.Session.String()), s.lock(api.LockSerial, serial), s.lock(api.LockUser, "carol"),
	}
	listed := must[[]api.Lock](s, dana, "GET", api.RouteLocks.Path, nil)
	if diff := cmp.Diff(made, listed); diff != "" {
		t.Errorf("made (-) and listed (+):\n%s", diff)
	}
	want := []api.Lock{
		{Kind: "target", Name: "db1"}, {Kind: "session", Name: a.Session.String(), Of: "carol"},
		{Kind: "serial", Name: serial, Of: "carol"}, {Kind: "user", Name: "carol"},
	}
	for i := range want {
		want[i].By, want[i].Why, want[i].Since, want[i].ID = adminIs, whyLocked, s.clock.now(), listed[i].ID
	}
	if diff := cmp.Diff(want, listed); diff != "" {
		t.Errorf("locks (-want +got):\n%s", diff)
	}
	if got := must[api.EntriesResponse](s, dana, "GET", "/v1/entries?user=carol&type=lock.added", nil); len(got.Entries) != 3 {
		t.Errorf("about carol there are %d locks", len(got.Entries))
	}
	e := s.refused(s.ask("POST", api.RouteLock.Path, s.admin.token, api.LockRequest{Kind: "user", Name: "carol", Why: "again"}), http.StatusConflict)
	if !strings.Contains(e.Detail, "by lock "+strconv.FormatUint(made[3].ID, 10)) {
		t.Errorf("locking twice: %+v", e)
	}
	for _, l := range listed {
		must[api.Empty](s, s.admin, "POST", api.RouteUnlock.Path, api.LockRequest{Kind: l.Kind, Name: l.Name, Why: "found"})
		s.refused(s.ask("POST", api.RouteUnlock.Path, s.admin.token, api.LockRequest{Kind: l.Kind, Name: l.Name}), http.StatusNotFound)
	}
	if left := must[[]api.Lock](s, s.admin, "GET", api.RouteLocks.Path, nil); len(left) != 0 {
		t.Errorf("locks %+v are left", left)
	}
}

func TestLockRequestsThatCantBe(t *testing.T) {
	s := populated(t)
	for name, tc := range map[string]struct {
		q      api.LockRequest
		status int
	}{
		"no kind":        {api.LockRequest{Name: "carol", Why: "why"}, http.StatusBadRequest},
		"other kind":     {api.LockRequest{Kind: "group", Name: "dba", Why: "why"}, http.StatusBadRequest},
		"no handle":      {api.LockRequest{Kind: "user", Name: "Carol!", Why: "why"}, http.StatusBadRequest},
		"no name":        {api.LockRequest{Kind: "target", Name: "-db", Why: "why"}, http.StatusBadRequest},
		"no ID":          {api.LockRequest{Kind: "session", Name: "1", Why: "why"}, http.StatusBadRequest},
		"no serial":      {api.LockRequest{Kind: "serial", Name: "0", Why: "why"}, http.StatusBadRequest},
		"no number":      {api.LockRequest{Kind: "serial", Name: "0x11", Why: "why"}, http.StatusBadRequest},
		"no certificate": {api.LockRequest{Kind: "serial", Name: "1", Why: "why"}, http.StatusNotFound},
		"far serial":     {api.LockRequest{Kind: "serial", Name: "9223372036854775807", Why: "why"}, http.StatusBadRequest},
		"future serial":  {api.LockRequest{Kind: "serial", Name: "4711", Why: "why"}, http.StatusNotFound},
		"no why":         {api.LockRequest{Kind: "user", Name: adminIs}, http.StatusBadRequest},
		"last of them":   {api.LockRequest{Kind: "user", Name: adminIs, Why: "why"}, http.StatusConflict},
	} {
		if a := s.ask("POST", api.RouteLock.Path, s.admin.token, tc.q); a.status != tc.status {
			t.Errorf("%s: %d %s, want %d", name, a.status, a.body, tc.status)
		}
	}
}

// TestS37LockedOverTheAPI: the token of before is nobody's, a code signs nobody in
// and says why, and nothing of it says what the administrator wrote.
func TestS37LockedOverTheAPI(t *testing.T) {
	s := populated(t)
	carol := s.added("carol", "engineer")
	before := carol.token
	s.lock(api.LockUser, "carol")
	s.refused(s.ask("GET", api.RouteStatus.Path, before, nil), http.StatusUnauthorized)
	s.refused(s.ask("POST", api.RouteCertificate.Path, before, api.CertificateRequest{PublicKey: publicLine(newKey(t))}), http.StatusUnauthorized)
	s.clock.turn(time.Minute)
	in := api.SignInRequest{Handle: "carol", Code: s.code(carol)}
	for _, device := range [][]byte{nil, carol.device} {
		in.Device = device
		a := s.ask("POST", api.RouteSignIn.Path, nil, in)
		e := s.refused(a, http.StatusForbidden)
		if !strings.Contains(e.Detail, "carol is locked since 2026-08-01") || strings.Contains(string(a.body), "laptop") {
			t.Errorf("who is locked reads %s", a.body)
		}
	}
	in.Code = "000000"
	s.refused(s.ask("POST", api.RouteSignIn.Path, nil, in), http.StatusUnauthorized)
	must[api.Empty](s, s.admin, "POST", api.RouteUnlock.Path, api.LockRequest{Kind: "user", Name: "carol"})
	s.clock.turn(time.Minute)
	s.signIn(carol)
	must[api.StatusResponse](s, carol, "GET", api.RouteStatus.Path, nil)
	s.refused(s.ask("GET", api.RouteStatus.Path, before, nil), http.StatusUnauthorized)
}
