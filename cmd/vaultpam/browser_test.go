package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/api"
)

const pageURL = "https://pam.example.eu/signin/AAAA"

// offersPasskeys makes the server one that signs in by browser, and the machine one
// that has a browser.
func offersPasskeys(t *testing.T) (*fakeServer, *machine) {
	t.Helper()
	s := newFakeServer(t)
	m := enrolled(t, s)
	m.run("logout").want(t, exitOK)
	// What this machine signed in with last is what it does again.
	config := filepath.Join(m.home(), "config.json")
	data, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte(strings.Replace(string(data), `"totp"`, `"passkey"`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	info := s.answers[api.RouteInfo.Pattern()].(api.Info)
	info.Factors = []string{"passkey", "totp"}
	s.set(api.RouteInfo, info)
	s.set(api.RouteSignInBegin, api.BrowserResponse{ID: "AAAA", URL: pageURL, Expires: time.Now().Add(time.Minute)})
	in := s.answers[api.RouteSignIn.Pattern()].(api.SignInResponse)
	in.Factor = "passkey"
	s.set(api.RouteRedeem, api.RedeemResponse{SignIn: &in})
	m.env = append(m.env, "DISPLAY=:0")
	m.name = "carols-laptop"
	return s, m
}

// comesBack is a browser whose person confirms at once.
func comesBack(t *testing.T, s *fakeServer, opened *string) func(context.Context, string) error {
	return func(ctx context.Context, page string) error {
		*opened = page
		var q api.BrowserSignInRequest
		_, body, _ := strings.Cut(s.body(api.RouteSignInBegin), " ")
		if err := json.Unmarshal([]byte(body), &q); err != nil {
			return err
		}
		back := "http://127.0.0.1:" + strconv.Itoa(int(q.Port)) + "/?" + url.Values{
			"code": {base64.RawURLEncoding.EncodeToString(testDevice)}, "state": {q.State},
		}.Encode()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, back, http.NoBody)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(text), "close this window") {
			t.Errorf("the browser is told %d %s", resp.StatusCode, text)
		}
		return nil
	}
}

func TestLoginByBrowser(t *testing.T) {
	s, m := offersPasskeys(t)
	opened := ""
	m.browser = comesBack(t, s, &opened)
	r := m.run("login")
	r.want(t, exitOK, "your browser opens "+pageURL, "signed in to pam.example.eu as carol until 2026-11-24 01:00:00 UTC")
	if opened != pageURL || r.out != "" {
		t.Errorf("opened %q, standard output %q", opened, r.out)
	}
	begin, redeem := s.body(api.RouteSignInBegin), s.body(api.RouteRedeem)
	var q api.RedeemRequest
	_, body, _ := strings.Cut(redeem, " ")
	if err := json.Unmarshal([]byte(body), &q); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(begin, `"machine":"carols-laptop"`) || string(q.Code) != string(testDevice) || q.ID != "AAAA" || len(q.Verifier) != 43 || strings.Contains(begin, q.Verifier) {
		t.Errorf("begun with %s\nredeemed with %s", begin, redeem)
	}
	if s.body(api.RouteSignIn) != "" {
		t.Error("a code was sent")
	}
	m.run("status").want(t, exitOK, "as carol")
}

// TestBrowserThatCannotStart: the page's address is said, to open by hand.
func TestBrowserThatCannotStart(t *testing.T) {
	s, m := offersPasskeys(t)
	s.set(api.RouteSignInBegin, api.BrowserResponse{ID: "AAAA", URL: pageURL, Expires: time.Now().Add(200 * time.Millisecond)})
	m.run("login").want(t, exitOther, "open this in a browser on this machine: "+pageURL, "nobody confirmed it in a browser in time\nhint: vaultpam login; or vaultpam login --totp")
	if s.body(api.RouteRedeem) != "" {
		t.Error("a session was asked for")
	}
	m.run("status").want(t, exitNotSignedIn)
}

// TestS35HostilePages: an address that is none of a server's pages opens no
// browser, and is not printed as it is.
func TestS35HostilePages(t *testing.T) {
	s, m := offersPasskeys(t)
	m.browser = func(_ context.Context, page string) error {
		t.Errorf("opened %q", page)
		return nil
	}
	for _, page := range []string{
		"http://pam.example.eu/signin/AAAA", "file:///etc/passwd", "javascript:alert(1)", "--help", "",
		"https://pam.example.eu/\x1b]0;x\a", "https://carol@pam.example.eu/device", "https://pam.example.eu/$(id)", "https://pam.example.eu/device\n-x",
	} {
		s.set(api.RouteSignInBegin, api.BrowserResponse{ID: "AAAA", URL: page, Code: "BCDF-GHJK", Expires: time.Now().Add(time.Minute)})
		for _, args := range [][]string{{"login"}, {"login", "--device"}} {
			r := m.run(args...)
			r.want(t, exitOther, "the server's answer makes no sense")
			if strings.ContainsAny(r.stderr, "\x1b\a") || strings.Contains(r.stderr, "BCDF") {
				t.Errorf("%q: %q", page, r.stderr)
			}
		}
	}
	if s.body(api.RouteRedeem) != "" {
		t.Error("a session was asked for")
	}
}

func TestLoginByDevice(t *testing.T) {
	s, m := offersPasskeys(t)
	m.browser = func(context.Context, string) error { t.Error("a browser was opened"); return nil }
	s.set(api.RouteSignInBegin, api.BrowserResponse{
		ID: "AAAA", URL: "https://pam.example.eu/device", Code: "BCDF-GHJK", Expires: time.Now().Add(5 * time.Minute),
	})
	m.run("login", "--device").want(t, exitOK, "on a machine with a browser, open https://pam.example.eu/device and type BCDF-GHJK",
		"the code lives until ", "; nobody else needs it, whoever asks for it", "signed in to pam.example.eu as carol")
	if b := s.body(api.RouteSignInBegin); strings.Contains(b, "port") || strings.Contains(b, "state") {
		t.Errorf("begun with %s", b)
	}
	// Where there is no browser to show, the code is what is shown.
	m.run("logout").want(t, exitOK)
	m.env = m.env[:len(m.env)-1]
	m.run("login").want(t, exitOK, "this machine has no browser, so a code is shown for one on another machine", "BCDF-GHJK")
	// Nobody confirms it, or turns it down.
	m.run("logout").want(t, exitOK)
	s.set(api.RouteSignInBegin, api.BrowserResponse{
		ID: "AAAA", URL: "https://pam.example.eu/device", Code: "BCDF-GHJK", Expires: time.Now().Add(200*time.Millisecond - time.Minute),
	})
	asked := 0
	s.set(api.RouteRedeem, func() any { asked++; return api.RedeemResponse{Pending: true} })
	m.run("login", "--device").want(t, exitOther, "nobody confirmed it in a browser in time\nhint: vaultpam login --device")
	if asked != 1 {
		t.Errorf("asked %d times in a fifth of a second", asked)
	}
	s.set(api.RouteSignInBegin, api.BrowserResponse{ID: "AAAA", URL: "https://pam.example.eu/device", Code: "BCDF-GHJK", Expires: time.Now().Add(time.Minute)})
	s.set(api.RouteRedeem, api.NewError(api.KindForbidden, "vaultpam login, if it was you who asked", "it was turned down in the browser"))
	m.run("login", "--device").want(t, exitRefused, "it was turned down in the browser\nhint: vaultpam login, if it was you who asked")
}

// TestInterruptedInBrowser: ctrl-C ends the waiting at once, and nothing is kept.
func TestInterruptedInBrowser(t *testing.T) {
	s, m := offersPasskeys(t)
	ctx, cancel := context.WithCancel(t.Context())
	m.browser = func(context.Context, string) error { cancel(); return nil }
	m.runContext(ctx, strings.NewReader(""), "login").want(t, exitInterrupted)
	ctx, cancel = context.WithCancel(t.Context())
	s.set(api.RouteRedeem, func() any { cancel(); return api.RedeemResponse{Pending: true} })
	s.set(api.RouteSignInBegin, api.BrowserResponse{ID: "AAAA", URL: "https://pam.example.eu/device", Code: "BCDF-GHJK", Expires: time.Now().Add(time.Minute)})
	m.runContext(ctx, strings.NewReader(""), "login", "--device").want(t, exitInterrupted)
	m.run("status").want(t, exitNotSignedIn)
}

// TestLoginAsSomebodyElse: who names a handle gets that one's session or none.
func TestLoginAsSomebodyElse(t *testing.T) {
	s, m := offersPasskeys(t)
	opened := ""
	m.browser = comesBack(t, s, &opened)
	s.set(api.RouteSignOut, api.Empty{})
	m.run("login", "--handle", "dave").want(t, exitOther, "carol signed in, and not dave\nhint: choose dave's passkey in the browser")
	if s.body(api.RouteSignOut) == "" {
		t.Error("the session that nobody wants was left open")
	}
	m.run("status").want(t, exitNotSignedIn)
}

// TestConfirmAndFactors are the words of the commands around factors.
func TestConfirmAndFactors(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	opened := []string{}
	m.browser = func(_ context.Context, page string) error { opened = append(opened, page); return nil }
	s.set(api.RouteConfirm, api.ConfirmResponse{Needed: true, BrowserResponse: api.BrowserResponse{ID: "AAAA", URL: pageURL, Expires: time.Now().Add(time.Minute)}})
	s.set(api.RouteConfirmWait, api.WaitResponse{})
	m.run("confirm").want(t, exitOK, "your browser opens "+pageURL, "\nconfirmed\n")
	m.run("factor", "add").want(t, exitOK, "the passkey is yours; your factors: vaultpam factor ls")
	if !strings.Contains(s.body(api.RouteConfirm), `"add":true`) || len(opened) != 2 {
		t.Errorf("asked with %s, opened %v", s.body(api.RouteConfirm), opened)
	}
	s.set(api.RouteConfirm, api.NewError(api.KindConflict, "type a code of your authenticator app: vaultpam confirm --totp, then add one: vaultpam factor add", "you have no passkey yet"))
	m.run("confirm").want(t, exitRefused, "you have no passkey yet\nhint: type a code")
	s.set(api.RouteConfirmCode, api.Empty{})
	m.runWith(strings.NewReader(goodCode+"\n"), "confirm", "--code-stdin").want(t, exitOK, "confirmed")
	if !strings.Contains(s.body(api.RouteConfirmCode), goodCode) {
		t.Errorf("sent %s", s.body(api.RouteConfirmCode))
	}
	// Nobody touches anything: the server is asked at most once a second.
	asked := 0
	s.set(api.RouteConfirm, api.ConfirmResponse{Needed: true, BrowserResponse: api.BrowserResponse{ID: "AAAA", URL: pageURL, Expires: time.Now().Add(300 * time.Millisecond)}})
	s.set(api.RouteConfirmWait, func() any { asked++; return api.WaitResponse{Pending: true} })
	m.run("confirm").want(t, exitOther, "nobody confirmed it in a browser in time\nhint: vaultpam confirm")
	if asked != 1 {
		t.Errorf("asked %d times in a third of a second", asked)
	}
	added := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	s.set(api.RouteFactors, []api.Factor{
		{ID: 7, Kind: "passkey", Name: "blue\x1b[2J key", Added: added}, {ID: 8, Kind: "passkey", Added: added, Cloned: true}, {ID: 9, Kind: "totp", Added: added},
	})
	r := m.run("factor", "ls")
	r.want(t, exitOK, "on one device", "somebody holds a copy: not accepted", "totp")
	if strings.Contains(r.out, "\x1b") {
		t.Errorf("it acts on the terminal: %q", r.out)
	}
	s.set(api.RouteFactorName, api.Empty{})
	m.run("factor", "name", "7", "green key").want(t, exitOK, "factor 7 is called green key")
	m.run("factor", "name", "7", "a\nb").want(t, exitUsage)
	m.run("factor", "name", "x", "green").want(t, exitUsage)
	s.set(api.RouteFactorRemove, api.Empty{})
	m.run("factor", "rm", "7").want(t, exitOK, "factor 7 proves nothing any more")
	s.set(api.RouteFactorRemove, api.NewError(api.KindConflict, "first add another one: vaultpam factor add", "this is the last factor that signs you in, so it can't be removed"))
	m.run("factor", "rm", "9").want(t, exitRefused, "the last factor", "hint: first add another one")
	m.run("factor", "rm").want(t, exitUsage)
}

// TestMachineName: whatever a machine is called, the server takes it.
func TestMachineName(t *testing.T) {
	for name, want := range map[string]string{
		"carols-laptop": "carols-laptop", "": "a machine without a name", "\x1b]0;x\a": "]0;x", "naïve\n": "nave", "\u00a0\u200b": "a machine without a name",
		strings.Repeat("a", 500): strings.Repeat("a", 64),
	} {
		a := &app{Main: &Main{Hostname: func() (string, error) { return name, nil }}}
		if got := a.machine(); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	a := &app{Main: &Main{Hostname: func() (string, error) { return "half", errors.New("no name") }}}
	if got := a.machine(); got != "a machine without a name" {
		t.Errorf("an error: %q", got)
	}
}
