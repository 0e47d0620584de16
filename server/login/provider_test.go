package login_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/vaultpam/vaultpam/server/login"
)

// claims are a token's.
type claims map[string]any

// A provider is an OpenID provider that says whatever a test wants, rightly signed
// or not: what no honest one does. An honest one is in sso_real_test.go.
type provider struct {
	*httptest.Server
	t     testing.TB
	clock *clock
	key   *ecdsa.PrivateKey

	mu      sync.Mutex // guards what follows
	says    claims     // of the person who signs in, over the usual ones
	forge   func(claims) string
	info    claims // what its user info endpoint says, nil: it has none
	names   bool   // says that its answers carry its name
	down    bool
	codes   map[string]asked
	queries int
}

// asked is what an authorization request held.
type asked struct{ challenge, nonce, redirect string }

func newProvider(t testing.TB, c *clock) *provider {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{t: t, clock: c, key: key, says: claims{}, codes: map[string]asked{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		p.answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "1", Algorithm: "ES256", Use: "sig"}}})
	})
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("GET /userinfo", func(w http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.answer(w, p.info)
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *provider) answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		p.t.Log(err) // whoever asked has seen enough
	}
}

func (p *provider) discovery(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queries++
	if p.down {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	says := claims{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
		"id_token_signing_alg_values_supported": []string{"ES256", "HS256", "none"},
	}
	if p.names {
		says["authorization_response_iss_parameter_supported"] = true
	}
	if p.info != nil {
		says["userinfo_endpoint"] = p.URL + "/userinfo"
	}
	p.answer(w, says)
}

// authorize is a person who signs in at the provider: it reads where the browser was
// sent, and answers what it is sent back with.
func (p *provider) authorize(location string) login.SSOAnswer {
	p.t.Helper()
	u, err := url.Parse(location)
	if err != nil {
		p.t.Fatal(err)
	}
	q := u.Query()
	if q.Get("code_challenge_method") != "S256" || q.Get("response_type") != "code" || q.Get("client_id") != "pam" ||
		len(q.Get("state")) < 32 || len(q.Get("nonce")) < 32 || q.Get("redirect_uri") != "https://pam.example.eu/sso/callback" {
		p.t.Fatalf("sent to %s", location)
	}
	code := base64.RawURLEncoding.EncodeToString(random(16))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.codes[code] = asked{challenge: q.Get("code_challenge"), nonce: q.Get("nonce"), redirect: q.Get("redirect_uri")}
	return login.SSOAnswer{State: q.Get("state"), Code: code, Issuer: p.URL}
}

// token is the token endpoint: a code is good once, for whom it was asked for.
func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id, secret, _ := r.BasicAuth()
	a, ok := p.codes[r.PostFormValue("code")]
	delete(p.codes, r.PostFormValue("code"))
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !ok || id != "pam" || secret != "secret" || r.PostFormValue("redirect_uri") != a.redirect ||
		base64.RawURLEncoding.EncodeToString(sum[:]) != a.challenge {
		w.WriteHeader(http.StatusBadRequest)
		p.answer(w, claims{"error": "invalid_grant"})
		return
	}
	c := p.usual()
	c["nonce"] = a.nonce
	maps.Copy(c, p.says)
	for name, v := range c {
		if v == nil {
			delete(c, name)
		}
	}
	sign := p.sign
	if p.forge != nil {
		sign = p.forge
	}
	p.answer(w, claims{"access_token": "a", "token_type": "Bearer", "id_token": sign(c)})
}

// usual are the claims of a token that is right.
func (p *provider) usual() claims {
	now := p.clock.Now()
	return claims{
		"iss": p.URL, "sub": "24400320", "aud": "pam", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "preferred_username": "carol",
	}
}

func (p *provider) sign(c claims) string { return p.signAs(c, jose.ES256, p.key, "JWT") }

func (p *provider) signAs(c claims, alg jose.SignatureAlgorithm, key any, kind string) string {
	p.t.Helper()
	options := (&jose.SignerOptions{}).WithHeader("kid", "1")
	if kind != "" {
		options = options.WithType(jose.ContentType(kind))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		p.t.Fatal(err)
	}
	data, err := json.Marshal(c)
	if err != nil {
		p.t.Fatal(err)
	}
	signed, err := signer.Sign(data)
	if err != nil {
		p.t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		p.t.Fatal(err)
	}
	return text
}

// unsigned is a token of the algorithm "none".
func unsigned(c claims) string {
	data, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	text := base64.RawURLEncoding.EncodeToString
	return text([]byte(`{"alg":"none"}`)) + "." + text(data) + "."
}
