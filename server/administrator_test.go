package server_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// local asks over the unix socket.
func local[A any](s *site, route api.Route, q any) (A, error) {
	s.t.Helper()
	var out A
	res, err := s.dir.Ask(s.t.Context(), route, "", q)
	if err != nil {
		return out, err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		s.t.Fatal(err)
	}
	return out, nil
}

// TestRecoverAdministrator: begun on the machine, told, waited for, finished; the
// clock is the test's own.
func TestRecoverAdministrator(t *testing.T) {
	p := newPostbox(t)
	p.env["VAULTPAMD_RECOVER_PAUSE"] = "2h"
	s := newSite(t).with(p.env).run()
	s.admin = s.enrolled(s.begun.Invitation.String())
	must[api.Empty](s, s.admin, "POST", api.RouteContact.Path, api.ContactRequest{Email: "ada@example.eu"})
	carol := s.added("carol")
	begun := s.clock.now()
	r, err := local[server.LocalRecovery](s, server.RouteLocalRecover, server.LocalRecover{Handle: "carol"})
	if err != nil || r.Handle != "carol" || !r.Ready.Equal(begun.Add(2*time.Hour)) || !r.Ends.Equal(begun.Add(26*time.Hour)) || r.Invitation != "" || !r.Told {
		t.Fatalf("%+v, error %v", r, err)
	}
	if to, text := p.next(); to != "<ada@example.eu>" || !strings.Contains(text, "vaultpam admin recovery stop") {
		t.Errorf("to %s:\n%s", to, text)
	}
	status, err := local[server.LocalRecovery](s, server.RouteLocalRecovery, nil)
	if err != nil || status.Entry != r.Entry || len(status.People) != 2 {
		t.Errorf("%+v, error %v", status, err)
	}
	shown := must[api.AdminRecovery](s, s.admin, "GET", api.RouteAdminRecovery.Path, nil)
	if shown != r.AdminRecovery || shown.Entry == 0 {
		t.Errorf("an administrator sees %+v", shown)
	}
	s.clock.turn(2*time.Hour - time.Second)
	var refused *api.Error
	if r, err := local[server.LocalRecovery](s, server.RouteLocalRecover, server.LocalRecover{Handle: "carol"}); !errors.As(err, &refused) || refused.Kind != api.KindConflict || refused.RetryAfter != 1 {
		t.Errorf("a second too early: %+v, error %v", r, err)
	}
	if r, err := local[server.LocalRecovery](s, server.RouteLocalRecover, server.LocalRecover{Handle: adminIs}); !errors.As(err, &refused) || refused.Kind != api.KindConflict {
		t.Errorf("somebody else: %+v, error %v", r, err)
	}
	s.clock.turn(time.Second)
	r, err = local[server.LocalRecovery](s, server.RouteLocalRecover, server.LocalRecover{Handle: "carol"})
	if err != nil || r.Invitation == "" || !r.Expires.Equal(s.clock.now().Add(24*time.Hour)) {
		t.Fatalf("%+v, error %v", r, err)
	}
	again := s.enrolled(r.Invitation)
	must[[]api.User](s, again, "GET", api.RouteUsers.Path, nil)
	s.refused(s.ask("GET", api.RouteStatus.Path, carol.token, nil), http.StatusUnauthorized)
	if to, text := p.next(); to != "<ada@example.eu>" || !strings.Contains(text, "carol is an administrator") {
		t.Errorf("to %s:\n%s", to, text)
	}
	if shown := must[api.AdminRecovery](s, again, "GET", api.RouteAdminRecovery.Path, nil); shown.Entry != 0 {
		t.Errorf("still %+v", shown)
	}
	for _, kind := range []store.EventType{store.TypeRecoveryBegun, store.TypeRecoveryFinished} {
		if e := s.entriesOf(kind); len(e) != 1 || !e[0].Actor.Local {
			t.Errorf("%s: %+v", kind, e)
		}
	}
}

// TestRecoveryIsStoppedByAnAdministrator, or on the machine; and it survives a
// restart.
func TestRecoveryIsStoppedByAnAdministrator(t *testing.T) {
	s := populated(t)
	begin := func() {
		t.Helper()
		r, err := local[server.LocalRecovery](s, server.RouteLocalRecover, server.LocalRecover{Handle: adminIs})
		if err != nil || r.Told || !r.Ready.Equal(s.clock.now().Add(24*time.Hour)) {
			t.Fatalf("%+v, error %v", r, err)
		}
	}
	begin()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s.run()
	must[api.Empty](s, s.admin, "DELETE", api.RouteAdminRecoveryStop.Path, nil)
	s.refused(s.ask("DELETE", api.RouteAdminRecoveryStop.Path, s.admin.token, nil), http.StatusNotFound)
	s.clock.turn(24 * time.Hour)
	begin() // it does not finish what was stopped
	if _, err := local[api.Empty](s, server.RouteLocalRecoveryStop, nil); err != nil {
		t.Error(err)
	}
	var refused *api.Error
	if _, err := local[api.Empty](s, server.RouteLocalRecoveryStop, nil); !errors.As(err, &refused) || refused.Kind != api.KindNotFound {
		t.Errorf("stopping nothing: %v", err)
	}
	for handle, want := range map[string]api.Kind{"nobody": api.KindNotFound, "": api.KindInvalid, "-x": api.KindInvalid} {
		if _, err := local[server.LocalRecovery](s, server.RouteLocalRecover, server.LocalRecover{Handle: handle}); !errors.As(err, &refused) || refused.Kind != want {
			t.Errorf("%q: %v", handle, err)
		}
	}
	begin()
	s.clock.turn(48*time.Hour + time.Second) // too late for it
	begin()
}

// TestRecoveryOnTheSocketAlone: the API over HTTPS knows no such route.
func TestRecoveryOnTheSocketAlone(t *testing.T) {
	s := populated(t)
	for _, route := range []api.Route{server.RouteLocalRecover, server.RouteLocalRecovery, server.RouteLocalRecoveryStop} {
		s.refused(s.ask(route.Method, route.Path, s.admin.token, server.LocalRecover{Handle: adminIs}), http.StatusNotFound)
	}
}

// TestRecoveryOfAFreshServer: nobody has enrolled, so nobody is waited for.
func TestRecoveryOfAFreshServer(t *testing.T) {
	s := newSite(t).run()
	r, err := local[server.LocalRecovery](s, server.RouteLocalRecover, server.LocalRecover{Handle: adminIs})
	if err != nil || r.Invitation == "" || r.Handle != adminIs {
		t.Fatalf("%+v, error %v", r, err)
	}
	s.refused(s.ask("POST", api.RouteEnrollBegin.Path, nil, api.EnrollBeginRequest{Token: s.begun.Invitation.Token[:]}), http.StatusNotFound)
	s.admin = s.enrolled(r.Invitation)
	if r, err := local[server.LocalRecovery](s, server.RouteLocalRecover, server.LocalRecover{Handle: adminIs}); err != nil || r.Invitation != "" {
		t.Errorf("once somebody could stop it: %+v, error %v", r, err)
	}
}
