package main

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/api"
)

const (
	page       = "https://pam.example.eu/signin/abc"
	loopedCode = "a code that came back by the browser"
)

// offersPasskeys is a fake server at which carol signs in with a passkey.
func offersPasskeys(t *testing.T) *fakeServer {
	t.Helper()
	s := newFakeServer(t)
	info := s.answers[api.RouteInfo.Pattern()].(api.Info)
	info.Factors = []string{"passkey", "totp"}
	s.set(api.RouteInfo, info)
	session := s.answers[api.RouteSignIn.Pattern()].(api.SignInResponse)
	session.Factor = "passkey"
	s.set(api.RouteSignInBegin, api.BrowserResponse{ID: "abc", URL: page, Expires: time.Now().Add(5 * time.Minute)})
	s.set(api.RouteRedeem, api.RedeemResponse{SignIn: &session})
	return s
}

// visitor is a machine with a browser whose person does at a page what the server
// would have them do, and which then is sent back with a code and this state.
func visitor(t *testing.T, s *fakeServer, spoil func(url.Values)) (*machine, *[]int) {
	t.Helper()
	m := newMachine(t)
	m.env = append(m.env, "DISPLAY=:0")
	var statuses []int
	m.browser = func(string) {
		_, body, _ := strings.Cut(s.body(api.RouteSignInBegin), " ")
		var q api.BrowserSignInRequest
		if err := json.Unmarshal([]byte(body), &q); err != nil || q.Machine != "carols-laptop" || len(q.Challenge) != 32 || q.State == "" {
			t.Errorf("the server was asked %s, error %v", body, err)
		}
		back := url.Values{"code": {base64.RawURLEncoding.EncodeToString([]byte(loopedCode))}, "state": {q.State}}
		if spoil != nil {
			bad := url.Values{"code": back["code"], "state": back["state"]}
			spoil(bad)
			statuses = append(statuses, visit(t, q.Port, bad))
		}
		statuses = append(statuses, visit(t, q.Port, back))
	}
	return m, &statuses
}

func visit(t *testing.T, port uint16, query url.Values) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://127.0.0.1:"+strconv.Itoa(int(port))+"/?"+query.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func (s *fakeServer) here() []string {
	return []string{"--server", s.Listener.Addr().String(), "--pin", pinText(s.pin())}
}

// Nobody types a name or a code on a new machine: the browser says who it was, and
// this machine signs in the same way from then on.
func TestS19LoginByBrowser(t *testing.T) {
	s := offersPasskeys(t)
	m, statuses := visitor(t, s, func(q url.Values) { q.Set("state", "somebody else's") })
	r := m.run(append([]string{"login"}, s.here()...)...)
	r.want(t, exitOK, "your browser opens "+page, "signed in to pam.example.eu as carol until 2026-11-24 01:00:00 UTC")
	if diff := cmp.Diff([]int{http.StatusForbidden, http.StatusOK}, *statuses); diff != "" {
		t.Errorf("what the browser was answered: %s", diff)
	}
	// The wait for a refusal asks the same route, without a code, at the same time.
	_, body, _ := strings.Cut(s.bodyWith(api.RouteRedeem, `"code"`), " ")
	var q api.RedeemRequest
	if err := json.Unmarshal([]byte(body), &q); err != nil || q.ID != "abc" || string(q.Code) != loopedCode || len(q.Verifier) < 43 {
		t.Errorf("fetched with %s", body)
	}
	if strings.Contains(s.body(api.RouteSignInBegin), q.Verifier) {
		t.Error("the verifier was sent with the challenge")
	}
	m.run("login").want(t, exitOK, "your browser opens "+page)
	if len(m.opened) != 2 {
		t.Errorf("the browser was sent to %v", m.opened)
	}
	m.runWith(strings.NewReader(goodCode), "login", "--code-stdin").want(t, exitOK, "signed in")
	for _, other := range []string{"--totp", "--code-stdin"} {
		m.run("login", other, "--device").want(t, exitUsage, "--device asks for no code", "hint: vaultpam help login")
	}
}

// Somebody else's passkey in this browser signs nobody in under carol's name.
func TestLoginAsSomebodyElseIsNotKept(t *testing.T) {
	s := offersPasskeys(t)
	m, _ := visitor(t, s, nil)
	m.run(append([]string{"login", "--handle", "dave"}, s.here()...)...).want(t, exitOther, "carol signed in, and not dave", "hint: choose dave's passkey")
	if s.body(api.RouteSignOut) == "" {
		t.Error("the session was left open")
	}
	if got := files(t, m.home()); slicesHave(got, "session") {
		t.Errorf("it was kept: %v", got)
	}
}

// A server leads a browser to a page, and to nothing else that a machine can open.
func TestServerOpensPagesAlone(t *testing.T) {
	for _, bad := range []string{
		"http://pam.example.eu/signin/abc", "file:///etc/passwd", "javascript:alert(1)", "--help", "https://user@pam.example.eu/", "https:///signin",
		"https://pam.example.eu/\x1b[31m", "https://" + strings.Repeat("a", 600), "",
	} {
		s := offersPasskeys(t)
		s.set(api.RouteSignInBegin, api.BrowserResponse{ID: "abc", URL: bad, Code: "BCDF-GHJK", Expires: time.Now().Add(time.Minute)})
		m, _ := visitor(t, s, nil)
		for _, args := range [][]string{{"login"}, {"login", "--device"}} {
			r := m.run(append(args, s.here()...)...)
			if r.code == exitOK || len(m.opened) > 0 || strings.Contains(r.stderr, "BCDF") {
				t.Errorf("%v with %q: %+v, opened %v", args, bad, r, m.opened)
			}
		}
	}
}

// Without a browser there is a code for one elsewhere.
func TestLoginByDevice(t *testing.T) {
	s := offersPasskeys(t)
	s.set(api.RouteSignInBegin, api.BrowserResponse{ID: "abc", URL: "https://pam.example.eu/device", Code: "BCDF-GHJK", Expires: time.Now().Add(5 * time.Minute)})
	done := s.answers[api.RouteRedeem.Pattern()]
	asked := 0
	s.set(api.RouteRedeem, func([]byte) any {
		if asked++; asked < 3 {
			return api.RedeemResponse{Pending: true}
		}
		return done
	})
	m := newMachine(t)
	m.run(append([]string{"login", "--device"}, s.here()...)...).want(t, exitOK,
		"on a machine with a browser, open https://pam.example.eu/device and type BCDF-GHJK", "signed in to pam.example.eu as carol")
	if got := s.body(api.RouteSignInBegin); strings.Contains(got, "port") || asked != 3 {
		t.Errorf("asked with %s, and fetched %d times", got, asked)
	}
	s.set(api.RouteRedeem, api.NewError(api.KindForbidden, "vaultpam login, if it was you who asked", "it was turned down in the browser"))
	m.run("login", "--device").want(t, exitRefused, "it was turned down in the browser")
}

func TestConfirm(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	s.set(api.RouteConfirm, api.ConfirmResponse{Needed: true, BrowserResponse: api.BrowserResponse{ID: "abc", URL: page, Expires: time.Now().Add(5 * time.Minute)}})
	waits := 0
	s.set(api.RouteConfirmWait, func([]byte) any {
		waits++
		return api.WaitResponse{Pending: waits < 3}
	})
	m.run("confirm").want(t, exitOK, "open this in a browser on this machine: "+page, "confirmed")
	m.browser = func(string) {}
	m.run("factor", "add").want(t, exitOK, "your browser opens "+page, "the passkey is yours")
	if !strings.Contains(s.body(api.RouteConfirm), `"add":true`) || waits != 4 {
		t.Errorf("asked %s, and waited %d times", s.body(api.RouteConfirm), waits)
	}
	s.set(api.RouteConfirmWait, api.NewError(api.KindForbidden, "", "it was turned down in the browser"))
	m.run("confirm").want(t, exitRefused, "it was turned down")
	s.set(api.RouteConfirmCode, api.Empty{})
	m.runWith(strings.NewReader(goodCode), "confirm", "--code-stdin").want(t, exitOK, "confirmed")
	m.typed = []string{goodCode + "\n"}
	m.run("confirm", "--totp").want(t, exitOK, "confirmed")
	if got := s.body(api.RouteConfirmCode); !strings.Contains(got, goodCode) || !strings.Contains(got, "device") {
		t.Errorf("sent %s", got)
	}
}

func TestFactors(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	at := time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	s.set(api.RouteFactors, []api.Factor{
		{ID: 5, Kind: "totp", Added: at},
		{ID: 9, Kind: "passkey", Name: "blue\x1b[31m", Added: at, Used: at.Add(time.Hour)},
		{ID: 12, Kind: "passkey", Name: "laptop", Added: at, Synced: true},
		{ID: 14, Kind: "passkey", Added: at, Cloned: true},
	})
	r := m.run("factor", "ls")
	r.want(t, exitOK)
	if diff := cmp.Diff(`id  kind     name          added                    used                     remark
5   totp     -             2026-11-02 08:00:00 UTC  -                        -
9   passkey  blue\x1b[31m  2026-11-02 08:00:00 UTC  2026-11-02 09:00:00 UTC  on one device
12  passkey  laptop        2026-11-02 08:00:00 UTC  -                        may be on several of your machines
14  passkey  -             2026-11-02 08:00:00 UTC  -                        somebody holds a copy: not accepted
`, r.out); diff != "" {
		t.Error(diff)
	}
	s.set(api.RouteFactorName, api.Empty{})
	s.set(api.RouteFactorRemove, api.Empty{})
	m.run("factor", "name", "9", "the blue one").want(t, exitOK, "factor 9 is called the blue one")
	m.run("factor", "name", "9", " ").want(t, exitUsage)
	m.run("factor", "rm", "9").want(t, exitOK, "factor 9 proves nothing any more")
	m.run("factor", "rm", "nine").want(t, exitUsage)
	if got := s.body(api.RouteFactorName) + s.body(api.RouteFactorRemove); got != `/v1/factors/9 {"name":"the blue one"}/v1/factors/9 ` {
		t.Errorf("sent %s", got)
	}
	s.set(api.RouteFactorRemove, api.NewError(api.KindForbidden, "vaultpam confirm, then the same again", "this takes a proof"))
	m.run("factor", "rm", "9").want(t, exitRefused, "this takes a proof", "hint: vaultpam confirm")
}

func TestSignIns(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	at := time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	s.set(api.RouteSignIns, []api.OpenSignIn{
		{ID: 4, Kind: "totp", Machine: "desk", Source: "192.0.2.7", Opened: at, Used: at, Ends: at.Add(time.Hour)},
		{ID: 7, Kind: "passkey", Machine: "lap\x1b[31mtop", Source: "192.0.2.8", Opened: at, Used: at, Ends: at.Add(time.Hour), This: true},
	})
	m.run("status", "--all").want(t, exitOK, "as carol until 2026-11-24 01:00:00 UTC, or 2026-11-23 19:00:00 UTC if nothing uses it",
		"id  machine                    from", "4   desk                       192.0.2.7  totp", `7   lap\x1b[31mtop (this one)  192.0.2.8  passkey`)
	m.run("status", "--all", "--json").want(t, exitOK, `"machine": "desk"`)
	s.set(api.RouteSignInEnd, api.Empty{})
	m.run("logout", "--sign-in", "4").want(t, exitOK, "sign-in session 4 has ended")
	if got := s.body(api.RouteSignInEnd); got != "/v1/signin/sessions/4 " {
		t.Errorf("asked %s", got)
	}
	m.run("status").want(t, exitOK, "as carol")
}
