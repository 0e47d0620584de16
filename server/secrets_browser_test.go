package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/api"
)

// TestS13SecretsOfABrowserSignIn: what a sign-in by browser is made of is in
// nobody's hands but those it was made for, whether it worked or not.
func TestS13SecretsOfABrowserSignIn(t *testing.T) {
	v := newVisit(t)
	v.enrols("carol")
	token := v.byRedirect("the desk", nil, http.StatusOK)
	v.byRedirect("a thief", func(q *api.RedeemRequest) { q.Verifier += "x" }, http.StatusNotFound)
	device := v.byDevice("the server room")
	begun, _ := v.begins("nobody's", 40000)
	v.opens("/signin/" + begun.ID)
	path := "/v1/ceremonies/" + begun.ID
	v.browserRefused("nobody's finish", path+"/finish", api.PasskeyRequest{Credential: json.RawMessage(`{"id":"canary"}`)}, http.StatusConflict)
	visited[api.PasskeyOptions](v, "nobody's ask", v.browser("POST", path+"/begin", map[string]any{}), http.StatusOK)
	v.browserRefused("nobody's garbage", path+"/finish", api.PasskeyRequest{Credential: json.RawMessage(`{"id":"canary"}`)}, http.StatusUnauthorized)
	asked := visited[api.PasskeyOptions](v, "nobody's ask again", v.browser("POST", path+"/begin", map[string]any{}), http.StatusOK)
	elsewhere := *v.passkey
	elsewhere.origin = "https://canary.example"
	v.browserRefused("nobody's phish", path+"/finish", api.PasskeyRequest{Credential: elsewhere.get(asked.Options)}, http.StatusUnauthorized)

	dana := v.added("dana", "auditor")
	var typed []string
	for range 2 {
		v.clock.turn(30 * time.Second)
		typed = append(typed, v.code(dana))
		must[api.Empty](v.site, dana, "POST", api.RouteConfirmCode.Path, api.ConfirmCodeRequest{Code: v.code(dana), Device: dana.device})
		v.refused(v.ask("POST", api.RouteConfirmCode.Path, dana.token, api.ConfirmCodeRequest{Code: v.code(dana)}), http.StatusUnauthorized)
	}
	v.looksAround(dana, token, device)
	if err := v.stop(); err != nil {
		t.Fatal(err)
	}
	v.holdsNoSecret(typed)
}

// looksAround asks for all that people are shown.
func (v *visit) looksAround(dana *resident, tokens ...[]byte) {
	v.t.Helper()
	for i, token := range tokens {
		for _, path := range []string{api.RouteStatus.Path, api.RouteFactors.Path, api.RouteSignIns.Path, api.RouteTargets.Path} {
			visited[json.RawMessage](v, fmt.Sprintf("%s for %d", path, i), v.program("GET", path, token, nil), http.StatusOK)
		}
	}
	for _, path := range []string{api.RouteInfo.Path, api.RouteEntries.Path + "?limit=1000", api.RouteRaw.Path, api.RouteUsers.Path, api.RouteSignIns.Path} {
		a := v.ask("GET", path, dana.token, nil)
		if a.status != http.StatusOK {
			v.t.Errorf("%s: %d %s", path, a.status, a.body)
		}
		v.answers[path] = a.body
	}
}

// holdsNoSecret looks through everything that the server wrote and said. Codes of
// six digits are looked for where chance does not write such: numbers in hex are
// left out.
func (v *visit) holdsNoSecret(typed []string) {
	v.t.Helper()
	files := v.everythingBut(filepath.Join(string(v.dir), "keys"))
	files["the log"] = []byte(v.log.String())
	if len(files) < 4 || len(v.answers) < 25 || len(v.secrets) < 25 {
		v.t.Fatalf("%d files, %d answers and %d secrets: what was looked through?", len(files), len(v.answers), len(v.secrets))
	}
	for name, secret := range v.secrets {
		for form, text := range canaries(secret) {
			for place, data := range files {
				if bytes.Contains(data, text) {
					v.t.Errorf("%s stands in %s as %s", name, place, form)
				}
			}
			for asked, data := range v.answers {
				if bytes.Contains(data, text) && !slices.Contains(v.theirs[name], asked) {
					v.t.Errorf("%s was told to who asked for %s, as %s", name, asked, form)
				}
			}
		}
		for _, asked := range v.theirs[name] {
			if _, ok := v.answers[asked]; !ok {
				v.t.Errorf("%s belongs into %q, which nobody asked for", name, asked)
			}
		}
	}
	for place, data := range files {
		for _, word := range append(typed, "BBBBCANA", "BBBB-CANA", "canary") {
			if bytes.Contains(data, []byte(word)) {
				v.t.Errorf("%q, which somebody typed, stands in %s", word, place)
			}
		}
	}
}
