package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/vaultpam/vaultpam/server/api"
)

// An oidcProvider signs ada in whenever it is asked; server/login's tests have those
// that lie, and a real one.
type oidcProvider struct {
	*httptest.Server
	s     *site
	key   *ecdsa.PrivateKey
	nonce string
}

func newOIDCProvider(s *site) *oidcProvider {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	p := &oidcProvider{s: s, key: key}
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(v); err != nil {
			s.t.Error(err)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"ES256"},
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "1", Algorithm: "ES256", Use: "sig"}}})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": p.sign(map[string]any{"nonce": p.nonce, "preferred_username": adminIs})})
	})
	p.Server = httptest.NewServer(mux)
	s.t.Cleanup(p.Close)
	return p
}

// sign makes a token for ada, with more claims.
func (p *oidcProvider) sign(more map[string]any) string {
	p.s.t.Helper()
	now := p.s.clock.now()
	claims := map[string]any{"iss": p.URL, "sub": "24400320", "aud": "pam", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	for name, v := range more {
		claims[name] = v
	}
	data, err := json.Marshal(claims)
	if err != nil {
		p.s.t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: p.key}, (&jose.SignerOptions{}).WithHeader("kid", "1").WithType("JWT"))
	if err != nil {
		p.s.t.Fatal(err)
	}
	signed, err := signer.Sign(data)
	if err != nil {
		p.s.t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		p.s.t.Fatal(err)
	}
	return text
}

// ssoSite is a site that browsers and a provider know.
func ssoSite(t *testing.T) (*site, *oidcProvider) {
	t.Helper()
	at := newHand().now()
	ca := newWebCA(t, at)
	pair := newPair(t, ca.issue("localhost", around(at)))
	secret := filepath.Join(t.TempDir(), "secret")
	replace(t, secret, []byte("secret\n"), 0o600)
	env := map[string]string{
		"VAULTPAMD_TLS_MODE": "file", "VAULTPAMD_TLS_CERT": pair.cert, "VAULTPAMD_TLS_KEY": pair.key,
		"VAULTPAMD_SSO_NAME": "Example Login", "VAULTPAMD_SSO_CLIENT_ID": "pam", "VAULTPAMD_SSO_CLIENT_SECRET_FILE": secret,
	}
	s := localhost(t, "localhost", env)
	p := newOIDCProvider(s)
	env["VAULTPAMD_SSO_ISSUER"] = p.URL
	s.roots = ca.pool()
	s.http = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: ca.pool(), ServerName: "localhost"},
	}}
	t.Cleanup(s.http.CloseIdleConnections)
	s.run()
	s.admin = s.enrolled(s.begun.Invitation.String())
	return s, p
}

// post is a call of a page's.
func post[A any](s *site, cookie, path string, body any, status int) A {
	s.t.Helper()
	req := s.request("POST", path, nil, body)
	req.Header.Del(api.ProofHeader)
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	var out A
	a := s.do(req)
	if a.status != status {
		s.t.Fatalf("%s: %d %s, want %d", path, a.status, a.body, status)
	}
	if err := json.Unmarshal(a.body, &out); err != nil {
		s.t.Fatalf("%s: %v in %s", path, err, a.body)
	}
	return out
}

// TestSSO goes the whole way that a browser goes, with its cookies as it sends them.
func TestSSO(t *testing.T) {
	s, p := ssoSite(t)
	verifier := "0123456789abcdef0123456789abcdef0123456789abcdef"
	challenge := sha256.Sum256([]byte(verifier))
	begun := must[api.BrowserResponse](s, nil, "POST", api.RouteSignInBegin.Path, api.BrowserSignInRequest{
		Machine: "adas-laptop", Challenge: challenge[:], Port: 4711, State: "0123456789abcdef",
	})
	page := s.ask("GET", "/signin/"+begun.ID, nil, nil)
	cookie, attributes, _ := strings.Cut(page.header.Get("Set-Cookie"), ";")
	if !strings.Contains(string(page.body), "Sign in with Example Login") || !strings.Contains(attributes, "SameSite=Strict") {
		t.Fatalf("%d %v %s", page.status, page.header, page.body)
	}
	ceremony := "/v1/ceremonies/" + begun.ID
	post[api.Error](s, "", ceremony+"/sso", api.Empty{}, http.StatusForbidden)
	to, err := url.Parse(post[api.SSOLocation](s, cookie, ceremony+"/sso", api.Empty{}, http.StatusOK).Location)
	origin, _, _ := strings.Cut(begun.URL, "/signin/")
	if err != nil || !strings.HasPrefix(to.String(), p.URL+"/authorize?") || to.Query().Get("redirect_uri") != origin+"/sso/callback" {
		t.Fatalf("sent to %s: %v", to, err)
	}
	p.nonce = to.Query().Get("nonce")

	// The provider's redirect carries no strict cookie, and must not be given another.
	back := s.ask("GET", "/sso/callback?code=c&state="+to.Query().Get("state"), nil, nil)
	if back.status != http.StatusOK || back.header.Get("Set-Cookie") != "" || !strings.Contains(string(back.body), "/static/") ||
		strings.Contains(string(back.body), to.Query().Get("state")) {
		t.Fatalf("back: %d %v %s", back.status, back.header, back.body)
	}
	finish := api.SSOFinishRequest{State: to.Query().Get("state"), Code: "c"}
	post[api.Error](s, "", "/v1/sso/finish", finish, http.StatusForbidden)
	second := post[api.SSOOutcome](s, cookie, "/v1/sso/finish", finish, http.StatusOK).Second
	if second == nil || second.Handle != adminIs || !second.TOTP || second.Passkey || second.ID != begun.ID {
		t.Fatalf("second factor %+v", second)
	}
	post[api.Error](s, cookie, "/v1/sso/finish", finish, http.StatusNotFound)
	post[api.Error](s, cookie, ceremony+"/code", api.SSOCodeRequest{Code: "000"}, http.StatusUnauthorized)
	s.clock.turn(30 * time.Second)
	home, err := url.Parse(post[api.SSOOutcome](s, cookie, ceremony+"/code", api.SSOCodeRequest{Code: s.code(s.admin)}, http.StatusOK).Redirect)
	if err != nil || home.Host != "127.0.0.1:4711" || home.Query().Get("state") != "0123456789abcdef" {
		t.Fatalf("home to %s: %v", home, err)
	}
	code, err := base64.RawURLEncoding.DecodeString(home.Query().Get("code"))
	if err != nil {
		t.Fatal(err)
	}
	in := must[api.RedeemResponse](s, nil, "POST", api.RouteRedeem.Path, api.RedeemRequest{ID: begun.ID, Code: code, Verifier: verifier}).SignIn
	if in == nil || in.Handle != adminIs || in.Factor != "totp" {
		t.Fatalf("signed in %+v", in)
	}
	if a := s.ask("GET", api.RouteStatus.Path, in.Token, nil); a.status != http.StatusOK {
		t.Fatalf("signed in, and %d %s", a.status, a.body)
	}

	logout := func(kind, token string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "POST", "https://"+s.https+"/sso/backchannel", strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", kind)
		return s.do(req).status
	}
	const form = "application/x-www-form-urlencoded"
	bye := p.sign(map[string]any{"jti": "1", "events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}})
	for name, got := range map[string]int{
		"no token": logout(form, ""), "an ID token": logout(form, p.sign(map[string]any{"nonce": "n"})), "JSON": logout("application/json", bye),
	} {
		if got != http.StatusBadRequest {
			t.Errorf("%s: %d", name, got)
		}
	}
	if got := logout(form, bye); got != http.StatusOK {
		t.Errorf("signed out there: %d", got)
	}
	s.refused(s.ask("GET", api.RouteStatus.Path, in.Token, nil), http.StatusUnauthorized)
	must[api.StatusResponse](s, s.admin, "GET", api.RouteStatus.Path, nil)
}

// TestNoSSO: without a provider there is no page, no button and no way.
func TestNoSSO(t *testing.T) {
	s := populated(t)
	if a := s.ask("GET", "/sso/callback?code=c&state=s", nil, nil); a.status != http.StatusNotFound {
		t.Errorf("the page: %d", a.status)
	}
	if a := s.ask("POST", "/sso/backchannel", nil, "logout_token=x"); a.status != http.StatusBadRequest {
		t.Errorf("signing out: %d", a.status)
	}
	post[api.Error](s, "", "/v1/sso/finish", api.SSOFinishRequest{}, http.StatusNotFound)
	s.refused(s.ask("POST", "/v1/admin/users/"+adminIs+"/sso", s.admin.token, api.LinkSSORequest{Subject: "1"}), http.StatusConflict)
}
