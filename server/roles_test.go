package server_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/api"
)

// Every route has a handler, and every handler its row.
func TestRoutesAndHandlersAreTheSame(t *testing.T) {
	var rows, handled []string
	for _, r := range api.Routes() {
		rows = append(rows, r.Pattern()+" "+string(r.Who))
	}
	for _, r := range newSite(t).open().Handled() {
		handled = append(handled, r.Pattern()+" "+string(r.Who))
	}
	slices.Sort(rows)
	slices.Sort(handled)
	if diff := cmp.Diff(rows, handled); diff != "" {
		t.Errorf("routes (-) and handlers (+):\n%s", diff)
	}
	if len(slices.Compact(rows)) != len(api.Routes()) {
		t.Error("a route stands there twice")
	}
}

// admitted says by itself, and not by the server's code, who a row lets in.
func admitted(t *testing.T, who api.Who) []string {
	t.Helper()
	signedIn := []string{"engineer", "approver", "auditor", "administrator"}
	switch who {
	case api.WhoAnybody:
		return append(signedIn, "bot", "nobody", "expired", "signed out", "removed", "forged", "short", "certificate", "stolen token", "thief's own key")
	case api.WhoSignedIn:
		return signedIn
	case api.WhoAlsoBots:
		return append(signedIn, "bot")
	case api.WhoAdministrator:
		return []string{"administrator"}
	case api.WhoAuditor:
		return []string{"auditor"}
	case api.WhoAnswerer:
		return []string{"approver", "administrator"}
	case api.WhoReader:
		return []string{"auditor", "administrator"}
	}
	t.Fatalf("a row admits %q, whom this test does not know", who)
	return nil
}

// A guest is a kind of caller: a token, and where sign is set another proof than
// that of the client that was given it.
type guest struct {
	token []byte
	sign  func(r *http.Request, call api.Signed)
}

// thieves hold the token of somebody who may do everything, and not the key that
// its calls are signed with, or a proof that was made for something else.
func (s *site) thieves(token []byte) map[string]guest {
	s.t.Helper()
	_, own, err := ed25519.GenerateKey(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	// seen is a proof that its owner's client made: of another call, or earlier.
	seen := func(spoil func(*api.Signed), ago time.Duration) guest {
		return guest{token, func(r *http.Request, call api.Signed) {
			spoil(&call)
			r.Header.Set(api.ProofHeader, api.Prove(residentKey, call, s.env.Now().Add(-ago)))
		}}
	}
	return map[string]guest{
		"stolen token": {token, func(r *http.Request, _ api.Signed) { r.Header.Del(api.ProofHeader) }},
		"thief's own key": {token, func(r *http.Request, call api.Signed) {
			r.Header.Set(api.ProofHeader, api.Prove(own, call, s.env.Now()))
		}},
		"proof of another method": seen(func(c *api.Signed) { c.Method = "PUT" }, 0),
		"proof of another path":   seen(func(c *api.Signed) { c.Target += "?limit=1" }, 0),
		"proof of another token":  seen(func(c *api.Signed) { c.Token = nil }, 0),
		"proof of another body":   seen(func(c *api.Signed) { c.Body = append([]byte(" "), c.Body...) }, 0),
		"old proof":               seen(func(*api.Signed) {}, api.ProofLife+time.Second),
		"proof of the future":     seen(func(*api.Signed) {}, -api.ProofLife-time.Second),
		"owner's key, nothing signed": {token, func(r *http.Request, call api.Signed) {
			parts := strings.Fields(api.Prove(residentKey, call, s.env.Now()))
			r.Header.Set(api.ProofHeader, strings.Join(append(parts[:3], base64.RawURLEncoding.EncodeToString(make([]byte, 64))), " "))
		}},
	}
}

// by makes a call as a guest.
func (s *site) by(g guest, method, path string) answer {
	s.t.Helper()
	var body any
	var data []byte
	if method == http.MethodPost {
		body, data = "{}", []byte("{}")
	}
	r := s.request(method, path, g.token, body)
	if g.sign != nil {
		g.sign(r, api.Signed{Method: method, Target: r.URL.RequestURI(), Token: g.token, Body: data})
	}
	return s.do(r)
}

// callers returns each kind of caller.
func (s *site) callers() map[string]guest {
	s.t.Helper()
	expired := s.added("ed", "engineer", "approver", "auditor", "administrator")
	s.clock.turn(10*time.Hour + time.Second)
	s.signIn(s.admin)
	gone := s.added("greta", "engineer", "approver", "auditor", "administrator")
	must[api.Empty](s, s.admin, "DELETE", "/v1/admin/users/greta", nil)
	out := s.added("otto", "engineer", "approver", "auditor", "administrator")
	must[api.Empty](s, out, "POST", api.RouteSignOut.Path, nil)
	engineer := s.added("carol", "engineer")
	forged := make([]byte, 32)
	if _, err := rand.Read(forged); err != nil {
		s.t.Fatal(err)
	}
	// S38: whoever holds a certificate holds no right of the API by it.
	certificate := s.certificate(engineer)
	all := s.thieves(s.added("theo", "engineer", "approver", "auditor", "administrator").token)
	for name, token := range map[string][]byte{
		"nobody": nil, "expired": expired.token, "removed": gone.token, "signed out": out.token, "forged": forged,
		"short": engineer.token[:31], "certificate": certificate.Marshal(),
		"engineer": engineer.token, "approver": s.added("alan", "approver").token,
		"auditor": s.added("dana", "auditor").token, "administrator": s.admin.token,
		"bot": s.bot("ci").token,
	} {
		all[name] = guest{token: token}
	}
	return all
}

// reached are the routes whose own answer to an empty request is that it proves
// nothing, by a word of it: whoever reads that was let in.
var reached = map[string]string{
	api.RouteSignIn.Path:      "that handle and code don't fit",
	api.RouteConfirmCode.Path: "that code doesn't fit",
}

func TestS38EveryRouteAdmitsExactlyItsRoles(t *testing.T) {
	s := populated(t)
	callers := s.callers()
	fill := strings.NewReplacer("{index}", "0", "{id}", "x", "{handle}", "nobody-at-all", "{name}", "no-such-target")
	for _, route := range api.Routes() {
		if route == api.RouteSignOut {
			continue // it ends what the other rows need; the next test has it
		}
		want := admitted(t, route.Who)
		for _, name := range slices.Sorted(maps.Keys(callers)) {
			a := s.by(callers[name], route.Method, fill.Replace(route.Path))
			anonymous := !slices.Contains([]string{"engineer", "approver", "auditor", "administrator", "bot"}, name)
			switch let := slices.Contains(want, name); {
			case let && (a.status == http.StatusForbidden || a.status == http.StatusUnauthorized) && (reached[route.Path] == "" || !bytes.Contains(a.body, []byte(reached[route.Path]))):
				t.Errorf("%s refuses %s: %s", route.Pattern(), name, a.body)
			case !let && anonymous:
				s.refused(a, http.StatusUnauthorized)
			case !let:
				s.refused(a, http.StatusForbidden)
			}
		}
	}
}

func TestSignOutEndsTheSessionOfItsCallerAlone(t *testing.T) {
	s := populated(t)
	carol := s.added("carol", "engineer")
	first := carol.token
	s.signIn(carol)
	for name, token := range map[string][]byte{"nobody": nil, "forged": make([]byte, 32)} {
		if a := s.ask("POST", api.RouteSignOut.Path, token, map[string]any{}); a.status != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	// A client sends no body where there is nothing to say.
	if a := s.ask("POST", api.RouteSignOut.Path, first, nil); a.status != http.StatusOK {
		t.Fatalf("signing out: %d %s", a.status, a.body)
	}
	s.refused(s.ask("GET", api.RouteStatus.Path, first, nil), http.StatusUnauthorized)
	s.refused(s.ask("POST", api.RouteSignOut.Path, first, nil), http.StatusUnauthorized)
	must[api.StatusResponse](s, carol, "GET", api.RouteStatus.Path, nil)
}

// Whose clock is wrong is told so, and who is not believed is sent to sign in.
func TestProofsThatProveNothing(t *testing.T) {
	s := populated(t)
	for name, hint := range map[string]string{
		"old proof": "set this machine's clock right, then the same again", "proof of the future": "set this machine's clock right, then the same again",
		"proof of another body": "vaultpam login", "thief's own key": "sign in on this machine: vaultpam login", "stolen token": "sign in on this machine: vaultpam login",
	} {
		e := s.refused(s.by(s.thieves(s.admin.token)[name], "GET", api.RouteStatus.Path), http.StatusUnauthorized)
		if e.Hint != hint {
			t.Errorf("%s: %q with the hint %q", name, e.Detail, e.Hint)
		}
	}
}

// The token counts in its header and nowhere else.
func TestS21TokenOnlyInItsHeader(t *testing.T) {
	s := populated(t)
	text := base64.RawURLEncoding.EncodeToString(s.admin.token)
	for name, set := range map[string]func(*http.Request){
		"query":        func(r *http.Request) { r.URL.RawQuery = "token=" + text + "&Authorization=Bearer+" + text },
		"cookie":       func(r *http.Request) { r.Header.Set("Cookie", "Authorization=Bearer "+text+"; token="+text) },
		"basic":        func(r *http.Request) { r.SetBasicAuth("ada", text) },
		"other scheme": func(r *http.Request) { r.Header.Set("Authorization", "Token "+text) },
		"no scheme":    func(r *http.Request) { r.Header.Set("Authorization", text) },
		"two spaces":   func(r *http.Request) { r.Header.Set("Authorization", "Bearer  "+text) },
		"padded":       func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+text+"=") },
		"proxy":        func(r *http.Request) { r.Header.Set("Proxy-Authorization", "Bearer "+text) },
	} {
		// The proof is right for whoever finds the token where it does not count.
		req := s.request("GET", api.RouteUsers.Path, nil, nil)
		set(req)
		s.sign(req, s.admin.token, nil)
		a := s.do(req)
		if a.status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		req = s.request("GET", req.URL.RequestURI(), s.admin.token, nil)
		if a := s.do(req); a.status != http.StatusOK {
			t.Errorf("%s, and the header: %d %s", name, a.status, a.body)
		}
	}
}
