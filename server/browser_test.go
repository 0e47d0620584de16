package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/descope/virtualwebauthn"
	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/api"
)

// withPasskeys runs a site with a certificate that browsers know, and its first
// administrator signed in.
func withPasskeys(t *testing.T) *site {
	t.Helper()
	ca := newWebCA(t, newHand().now())
	s := ownCertificate(t, newPair(t, ca.issue(siteName, around(newHand().now())))).trusting(ca.pool())
	s.roots = ca.pool()
	s.run()
	s.admin = s.enrolled(s.begun.Invitation.String())
	return s
}

// A browser has a cookie, and an authenticator.
type browser struct {
	s      *site
	cookie string // as it is sent
	auth   virtualwebauthn.Authenticator
	cred   virtualwebauthn.Credential
}

var relyingParty = virtualwebauthn.RelyingParty{ID: siteName, Name: "VaultPAM", Origin: "https://" + siteName}

// newCredential makes a credential whose public key has all its bytes: the library cuts
// leading zeros of a coordinate off, which no authenticator does (RFC 9053, section
// 7.1.1), and one key in 128 has some.
func newCredential(kind virtualwebauthn.KeyType) virtualwebauthn.Credential {
	const whole = 77 // of P-256
	for {
		cred := virtualwebauthn.NewCredential(kind)
		if kind != virtualwebauthn.KeyTypeEC2 || len(cred.Key.AttestationData()) == whole {
			return cred
		}
	}
}

func newBrowser(s *site) *browser {
	return &browser{s: s, auth: virtualwebauthn.NewAuthenticator(), cred: newCredential(virtualwebauthn.KeyTypeEC2)}
}

// get loads a page, and keeps the cookie that comes with it.
func (b *browser) get(path string) answer {
	b.s.t.Helper()
	req, err := http.NewRequestWithContext(b.s.t.Context(), http.MethodGet, "https://"+b.s.https+path, http.NoBody)
	if err != nil {
		b.s.t.Fatal(err)
	}
	if b.cookie != "" {
		req.Header.Set("Cookie", b.cookie)
	}
	a := b.s.do(req)
	if set := a.header.Get("Set-Cookie"); set != "" {
		b.cookie, _, _ = strings.Cut(set, ";")
	}
	return a
}

// request is one that a page's script makes.
func (b *browser) request(path string, body any) *http.Request {
	b.s.t.Helper()
	req := b.s.request(http.MethodPost, path, nil, body)
	req.Header.Del(api.ProofHeader)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("Origin", "https://"+siteName)
	if b.cookie != "" {
		req.Header.Set("Cookie", b.cookie)
	}
	return req
}

func (b *browser) post(path string, body any) answer { return b.s.do(b.request(path, body)) }

// did is post that has to succeed.
func did[A any](b *browser, path string, body any) A {
	b.s.t.Helper()
	a := b.post(path, body)
	var out A
	if err := json.Unmarshal(a.body, &out); a.status != http.StatusOK || err != nil {
		b.s.t.Fatalf("%s: %d %s", path, a.status, a.body)
	}
	return out
}

// enrol uses an invitation for a passkey.
func (b *browser) enrol(link string) api.EnrollPasskeyResponse {
	b.s.t.Helper()
	inv, err := api.ParseInvitation(link)
	if err != nil {
		b.s.t.Fatal(err)
	}
	b.get("/enroll")
	begin := did[api.EnrollBeginResponse](b, api.RouteEnrollBegin.Path, api.EnrollBeginRequest{Token: inv.Token[:]})
	if begin.Passkey == nil {
		b.s.t.Fatalf("no passkey: %q", begin.PasskeyRefusal)
	}
	options, err := virtualwebauthn.ParseAttestationOptions(string(begin.Passkey.Options))
	if err != nil {
		b.s.t.Fatal(err)
	}
	b.auth.Options.UserHandle = []byte(options.UserID)
	made := virtualwebauthn.CreateAttestationResponse(relyingParty, b.auth, b.cred, *options)
	return did[api.EnrollPasskeyResponse](b, api.RouteEnrollKey.Path, api.PasskeyRequest{ID: begin.Passkey.ID, Name: "blue key", Credential: json.RawMessage(made)})
}

func (b *browser) invited(handle string) *browser {
	b.s.t.Helper()
	r := must[api.AddUserResponse](b.s, b.s.admin, "POST", api.RouteUserAdd.Path, api.AddUserRequest{Handle: handle, Roles: []string{"engineer"}})
	b.enrol(r.Invitation)
	return b
}

func ceremonyPath(r api.Route, id string) string { return strings.ReplaceAll(r.Path, "{id}", id) }

// touch answers what a page asks for.
func (b *browser) touch(id string) api.PasskeyRequest {
	b.s.t.Helper()
	asked := did[api.PasskeyOptions](b, ceremonyPath(api.RouteAsk, id), api.Empty{})
	options, err := virtualwebauthn.ParseAssertionOptions(string(asked.Options))
	if err != nil {
		b.s.t.Fatal(err)
	}
	b.cred.Counter++
	return api.PasskeyRequest{Credential: json.RawMessage(virtualwebauthn.CreateAssertionResponse(relyingParty, b.auth, b.cred, *options))}
}

const testVerifier = "a verifier that nobody else has seen yet"

// waiting begins a sign-in for a program on a machine.
func (s *site) waiting(machine string, port uint16) api.BrowserResponse {
	s.t.Helper()
	challenge := sha256.Sum256([]byte(testVerifier))
	return must[api.BrowserResponse](s, nil, "POST", api.RouteSignInBegin.Path, api.BrowserSignInRequest{
		Machine: machine, Port: port, State: "a state of this program", Challenge: challenge[:],
	})
}

// TestS21BrowserWay is a sign-in by browser as the real server answers it: what
// passes through the browser, its address bar and its history signs nobody in.
func TestS21BrowserWay(t *testing.T) {
	s := withPasskeys(t)
	b := newBrowser(s).invited("carol")
	page := s.waiting("carols-laptop", 50123)
	if page.URL != "https://"+siteName+"/signin/"+page.ID || page.Code != "" {
		t.Errorf("page %+v", page)
	}
	if a := b.get("/signin/" + page.ID); a.status != http.StatusOK || !strings.Contains(string(a.body), "carols-laptop") || !strings.Contains(string(a.body), "127.0.0.1") {
		t.Errorf("page: %d %s", a.status, a.body)
	}
	out := did[api.PasskeyOutcome](b, ceremonyPath(api.RouteAnswer, page.ID), b.touch(page.ID))
	u, err := url.Parse(out.Redirect)
	if err != nil || u.Host != "127.0.0.1:50123" {
		t.Fatalf("redirect %q, error %v", out.Redirect, err)
	}
	code, err := base64.RawURLEncoding.DecodeString(u.Query().Get("code"))
	if err != nil {
		t.Fatal(err)
	}
	// Everything that the browser saw, without the program's key and verifier.
	thief := api.RedeemRequest{ID: page.ID, Code: code}
	s.refused(b.post(api.RouteRedeem.Path, thief), http.StatusNotFound)
	in := must[api.RedeemResponse](s, nil, "POST", api.RouteRedeem.Path, api.RedeemRequest{ID: page.ID, Code: code, Verifier: testVerifier})
	if in.SignIn == nil || in.SignIn.Handle != "carol" || in.SignIn.Factor != "passkey" {
		t.Fatalf("session %+v", in.SignIn)
	}
	if strings.Contains(out.Redirect, tokenText(in.SignIn.Token)) {
		t.Error("the token is in an address")
	}
	carol := &resident{token: in.SignIn.Token}
	if status := must[api.StatusResponse](s, carol, "GET", api.RouteStatus.Path, nil); status.Handle != "carol" {
		t.Errorf("status %+v", status)
	}
	for path, want := range map[string]int{"/signin/" + page.ID: http.StatusNotFound, "/signin/": http.StatusNotFound, "/signin/x%2Fy": http.StatusNotFound} {
		if a := b.get(path); a.status != want {
			t.Errorf("%s afterwards: %d", path, a.status)
		}
	}
}

// TestS21Cookie: the cookie is this origin's alone, no script reads it, and no other
// site's page makes a browser send it.
func TestS21Cookie(t *testing.T) {
	s := withPasskeys(t)
	values := map[string]bool{}
	for _, path := range []string{"/enroll", "/device", "/signin/none"} {
		a := newBrowser(s).get(path)
		set := a.header.Values("Set-Cookie")
		if len(set) != 1 {
			t.Fatalf("%s sets %q", path, set)
		}
		name, rest, _ := strings.Cut(set[0], "=")
		value, attributes, _ := strings.Cut(rest, "; ")
		if diff := cmp.Diff("Path=/; HttpOnly; Secure; SameSite=Strict", attributes); diff != "" || name != "__Host-vaultpam-browser" {
			t.Errorf("%s sets %s (-want +got):\n%s", path, name, diff)
		}
		if data, err := base64.RawURLEncoding.DecodeString(value); err != nil || len(data) != 32 || values[value] {
			t.Errorf("%s sets %q", path, value)
		}
		values[value] = true
	}
	b := newBrowser(s)
	b.get("/enroll")
	if a := b.get("/device"); len(a.header.Values("Set-Cookie")) != 0 {
		t.Errorf("a browser that has one gets %v", a.header.Values("Set-Cookie"))
	}
	for _, broken := range []string{"__Host-vaultpam-browser=", "__Host-vaultpam-browser=AAAA", "vaultpam-browser=" + strings.Repeat("A", 43)} {
		b.cookie = broken
		if a := b.get("/device"); len(a.header.Values("Set-Cookie")) != 1 {
			t.Errorf("%q: no other one", broken)
		}
	}
	// Neither the API nor a file sets any.
	if a := b.s.ask(http.MethodGet, api.RouteInfo.Path, nil, nil); len(a.header.Values("Set-Cookie")) != 0 {
		t.Error("the API sets a cookie")
	}
}

// TestS21StolenCookie: who has the cookie and nothing else is nobody.
func TestS21StolenCookie(t *testing.T) {
	s := withPasskeys(t)
	b := newBrowser(s).invited("carol")
	mine, other := s.waiting("carols-laptop", 50123), s.waiting("bobs-laptop", 0)
	b.get("/signin/" + mine.ID)
	b.touch(mine.ID) // the ceremony is this browser's from here on
	thief := newBrowser(s)
	thief.cookie = b.cookie
	for _, r := range api.Routes() {
		if r.Who == api.WhoAnybody {
			continue
		}
		req := thief.request(strings.NewReplacer("{id}", "1", "{index}", "0", "{handle}", "ada", "{name}", "db1").Replace(r.Path), map[string]any{})
		req.Method = r.Method
		s.refused(s.do(req), http.StatusUnauthorized)
	}
	// A passkey of somebody else's for this ceremony proves nothing either.
	thief.auth.Options.UserHandle = b.auth.Options.UserHandle
	s.refused(thief.post(ceremonyPath(api.RouteAnswer, mine.ID), thief.touch(mine.ID)), http.StatusUnauthorized)
	// No page says anything of a ceremony that is not in its address.
	for _, path := range []string{"/enroll", "/device", "/signin/", "/signin/x", "/signin/" + mine.ID} {
		body := string(b.get(path).body)
		for _, secret := range []string{other.ID, other.Code, "bobs-laptop", b.cookie} {
			if strings.Contains(body, secret) {
				t.Errorf("%s says %q", path, secret)
			}
		}
	}
	// And without the cookie the ceremony is not theirs.
	stranger := newBrowser(s)
	for _, r := range []api.Route{api.RouteAsk, api.RouteAnswer, api.RouteRegister, api.RouteDeny} {
		var body any = api.Empty{}
		if r == api.RouteAnswer || r == api.RouteRegister {
			body = api.PasskeyRequest{Credential: json.RawMessage("{}")}
		}
		for _, cookie := range []string{"", "__Host-vaultpam-browser=" + strings.Repeat("A", 43), strings.ToLower(b.cookie)} {
			stranger.cookie = cookie
			s.refused(stranger.post(ceremonyPath(r, mine.ID), body), http.StatusForbidden)
		}
	}
}

// elsewhere are what a browser says of a request that a page of another site made.
var elsewhere = map[string]map[string]string{
	"another site":            {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
	"a subdomain":             {"Sec-Fetch-Site": "same-site", "Origin": "https://evil." + siteName},
	"another site, no origin": {"Sec-Fetch-Site": "cross-site"},
	"a frame without one":     {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
	"an older browser":        {"Origin": "https://evil.example"},
	"an older one's frame":    {"Origin": "null"},
	"another port":            {"Sec-Fetch-Site": "same-site", "Origin": "https://" + siteName + ":8443"},
	"a name that looks alike": {"Origin": "https://" + siteName + ".evil.example"},
}

// TestS21OtherPages: no page of another site calls anything with the cookie, and
// nothing happens by it.
func TestS21OtherPages(t *testing.T) {
	s := withPasskeys(t)
	b := newBrowser(s).invited("carol")
	page := s.waiting("carols-laptop", 50123)
	for name, says := range elsewhere {
		for _, r := range api.Routes() {
			if r.Method == http.MethodGet {
				continue
			}
			req := b.request(strings.NewReplacer("{id}", page.ID, "{handle}", "ada", "{name}", "db1").Replace(r.Path), map[string]any{})
			req.Method = r.Method
			req.Header.Del("Sec-Fetch-Site")
			req.Header.Del("Origin")
			for h, v := range says {
				req.Header.Set(h, v)
			}
			if e := s.refused(s.do(req), http.StatusForbidden); !strings.Contains(e.Detail, "origin") {
				t.Errorf("%s, %s: %s", name, r.Pattern(), e.Detail)
			}
		}
	}
	// The ceremony is as it was, and nobody's yet.
	out := did[api.PasskeyOutcome](b, ceremonyPath(api.RouteAnswer, page.ID), b.touch(page.ID))
	if out.Redirect == "" {
		t.Errorf("outcome %+v", out)
	}
}

// TestS21NoWebSockets: whoever wants to speak something else than HTTP is not
// answered in it, wherever they come from.
func TestS21NoWebSockets(t *testing.T) {
	s := withPasskeys(t)
	b := newBrowser(s)
	b.get("/enroll")
	paths := []string{"/", "/enroll", "/device", "/signin/x", "/static/x", "/ws"}
	for _, r := range api.Routes() {
		paths = append(paths, strings.NewReplacer("{id}", "1", "{index}", "0", "{handle}", "ada", "{name}", "db1").Replace(r.Path))
	}
	for _, path := range paths {
		for _, origin := range []string{"https://" + siteName, "https://evil.example", ""} {
			req := s.request(http.MethodGet, path, s.admin.token, nil)
			for h, v := range map[string]string{
				"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Cookie": b.cookie,
			} {
				req.Header.Set(h, v)
			}
			if origin != "" {
				req.Header.Set("Origin", origin)
			}
			a := s.do(req)
			if a.status == http.StatusSwitchingProtocols || a.header.Get("Sec-WebSocket-Accept") != "" || a.header.Get("Upgrade") != "" {
				t.Errorf("%s from %q: %d %v", path, origin, a.status, a.header)
			}
		}
	}
}

// TestS21PageHeaders: no page is framed, cached, or loads what is not ours; nor is a
// file of theirs.
func TestS21PageHeaders(t *testing.T) {
	s := withPasskeys(t)
	b := newBrowser(s)
	id := s.waiting("carols-laptop", 0).ID
	static := ""
	for _, path := range []string{"/enroll", "/device", "/signin/" + id, "/signin/none"} {
		a := b.get(path)
		for h, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Strict-Transport-Security": "max-age=31536000", "Cross-Origin-Opener-Policy": "same-origin",
			"Content-Type": "text/html; charset=utf-8", "Access-Control-Allow-Origin": "", "Server": "",
		} {
			if got := a.header.Get(h); got != want {
				t.Errorf("%s: %s is %q, want %q", path, h, got, want)
			}
		}
		policy := a.header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'", "script-src 'self'"} {
			if !strings.Contains(policy, want) || strings.Contains(policy, "unsafe") {
				t.Errorf("%s: policy %s", path, policy)
			}
		}
		_, rest, found := strings.Cut(string(a.body), `<script type="module" src="/static/`)
		if !found && path != "/signin/none" {
			t.Errorf("%s names no script", path)
		} else if found {
			static, _, _ = strings.Cut(rest, `"`)
		}
	}
	a := b.get("/static/" + static)
	for h, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
		"Cross-Origin-Resource-Policy": "same-origin", "Strict-Transport-Security": "max-age=31536000", "Content-Type": "text/javascript; charset=utf-8",
	} {
		if got := a.header.Get(h); got != want || a.status != http.StatusOK {
			t.Errorf("/static/%s: %d, %s is %q, want %q", static, a.status, h, got, want)
		}
	}
	if a := b.get("/static/none"); a.status != http.StatusNotFound || a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("a file that is not there: %d %v", a.status, a.header)
	}
	for _, path := range []string{"/enroll", "/device", "/signin/" + id, "/static/" + static} {
		s.refused(b.post(path, map[string]any{}), http.StatusNotFound)
	}
}

// TestS20DevicePage: a code leads to a page that says who asks, and no address
// holds a code.
func TestS20DevicePage(t *testing.T) {
	s := withPasskeys(t)
	b := newBrowser(s).invited("carol")
	page := s.waiting("build-host", 0)
	if page.URL != "https://"+siteName+"/device" || len(page.Code) != 9 {
		t.Errorf("page %+v", page)
	}
	if body := string(b.get("/device?code=" + page.Code).body); strings.Contains(body, page.Code) || strings.Contains(body, page.ID) {
		t.Error("the page takes the code out of its address")
	}
	found := did[api.DeviceFindResponse](b, api.RouteDeviceFind.Path, api.DeviceFindRequest{Code: page.Code})
	body := string(b.get("/signin/" + found.ID).body)
	for _, want := range []string{"build-host", "127.0.0.1", "just now", page.Code, "Go on only if you asked for this yourself"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	out := did[api.PasskeyOutcome](b, ceremonyPath(api.RouteAnswer, found.ID), b.touch(found.ID))
	if out.Redirect != "" || out.Done == "" {
		t.Errorf("outcome %+v", out)
	}
	in := must[api.RedeemResponse](s, nil, "POST", api.RouteRedeem.Path, api.RedeemRequest{ID: page.ID, Verifier: testVerifier})
	if in.SignIn == nil || in.SignIn.Handle != "carol" {
		t.Errorf("session %+v", in)
	}
	for i := range 6 {
		want := http.StatusNotFound
		if i == 5 {
			want = http.StatusTooManyRequests
		}
		s.refused(b.post(api.RouteDeviceFind.Path, api.DeviceFindRequest{Code: fmt.Sprintf("BBBB-BBB%c", "BCDFGH"[i])}), want)
	}
}
