package server_test

import (
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// A lost authenticator: a recovery code signs in, and leads to another one.
func TestS18LostAuthenticator(t *testing.T) {
	s := populated(t)
	carol := s.added("carol", "engineer")
	if r := must[api.StatusResponse](s, carol, "GET", api.RouteStatus.Path, nil); r.RecoveryLeft != 10 || r.Factor != "totp" {
		t.Errorf("status %+v", r)
	}
	if e := s.refused(s.ask("POST", api.RouteRenew.Path, carol.token, nil), http.StatusConflict); !strings.Contains(e.Hint, "vaultpam login") {
		t.Errorf("with an authenticator: %+v", e)
	}
	before := carol.token
	in := must[api.SignInResponse](s, nil, "POST", api.RouteSignIn.Path, api.SignInRequest{Handle: "carol", Code: carol.codes[4]})
	if in.Factor != "recovery-code" || in.RecoveryLeft != 9 {
		t.Errorf("signed in: %+v", in)
	}
	carol.token = in.Token
	renewed := must[api.RenewResponse](s, carol, "POST", api.RouteRenew.Path, nil)
	if want := s.clock.now().Add(15 * time.Minute); !renewed.Expires.Equal(want) {
		t.Errorf("until %s, want %s", renewed.Expires, want)
	}
	again := s.enrolled(renewed.Invitation)
	if again.secret == carol.secret || len(again.codes) != 10 || again.codes[4] == carol.codes[4] {
		t.Error("the same secret, or codes")
	}
	for _, token := range [][]byte{before, in.Token} {
		s.refused(s.ask("GET", api.RouteStatus.Path, token, nil), http.StatusUnauthorized)
	}
	s.clock.turn(time.Minute)
	for _, code := range []string{carol.codes[0], s.code(carol)} {
		s.refused(s.ask("POST", api.RouteSignIn.Path, nil, api.SignInRequest{Handle: "carol", Code: code}), http.StatusUnauthorized)
	}
	signIns := s.entriesOf(store.TypeSignInSucceeded)
	if e := signIns[len(signIns)-2].Event.(*store.SignInSucceeded); e.Kind != store.FactorRecovery || e.Code != 5 {
		t.Errorf("entry %+v", e)
	}
}

// Who is limited reads how long, in words, in the body and in the header.
func TestS15LimitedSaysHowLong(t *testing.T) {
	s := populated(t)
	s.added("carol", "engineer")
	for range 10 {
		s.refused(s.ask("POST", api.RouteSignIn.Path, nil, api.SignInRequest{Handle: "carol", Code: "x"}), http.StatusUnauthorized)
	}
	a := s.ask("POST", api.RouteSignIn.Path, nil, api.SignInRequest{Handle: "carol", Code: "x"})
	e := s.refused(a, http.StatusTooManyRequests)
	if e.RetryAfter != 15*60 || a.header.Get("Retry-After") != strconv.Itoa(e.RetryAfter) || e.Hint == "" {
		t.Errorf("%+v, header %q", e, a.header.Get("Retry-After"))
	}
}

// What signs somebody in goes with them.
func TestS18RemovedUsersSecretsGo(t *testing.T) {
	s := populated(t)
	s.added("carol", "engineer")
	must[api.Empty](s, s.admin, "DELETE", "/v1/admin/users/carol", nil)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	backend, err := s.env.OpenBackend(filepath.Join(string(s.dir), "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	rows := 0
	for _, err := range backend.SideAll(t.Context(), store.SideSecrets, nil) {
		if err != nil {
			t.Fatal(err)
		}
		rows++
	}
	if rows != 3 { // the administrator's seed, codes and devices
		t.Errorf("%d rows are left", rows)
	}
}
