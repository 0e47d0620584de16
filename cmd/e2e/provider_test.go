//go:build linux

package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// A provider is a company's OpenID provider, honest, over TLS and on another site
// than the server: 127.0.0.1, where the server is localhost. The example server that
// server/login is tried with can be neither, and knows no back-channel logout.
type provider struct {
	issuer, callback string
	secret           string // of the server, which is its client
	key              *ecdsa.PrivateKey

	mu       sync.Mutex // guards what follows
	accounts map[string]*ssoAccount
	codes    map[string]*ssoRequest
}

// An ssoAccount is somebody's at the provider. Its subject never changes.
type ssoAccount struct {
	subject, name, password string
	factor                  bool // the provider says to have asked for a second factor
	asks                    bool // it asks before it sends them back, and shows where
}

// An ssoRequest is an authorization request, and who answered it.
type ssoRequest struct {
	url.Values
	account *ssoAccount
}

const ssoClient = "vaultpam"

// doProvider starts a provider with an account for each of these people, whose
// passwords become $PERSON_password, and tells the server of it.
func (w *world) doProvider(ts *script, args []string) error {
	if len(args) < 1 || w.site == "" || w.provider != nil || w.server != nil {
		return errors.New("want PERSON…, after site and init, once, and before serve")
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(w.site, "cert.pem"), filepath.Join(w.site, "key.pem"))
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	p := &provider{
		issuer: "https://" + l.Addr().String(), callback: "https://" + ts.Getenv("server") + "/sso/callback", secret: rand.Text(), key: key,
		accounts: map[string]*ssoAccount{}, codes: map[string]*ssoRequest{},
	}
	for _, name := range args {
		p.accounts[name] = &ssoAccount{subject: rand.Text(), name: name, password: rand.Text()}
		ts.Setenv(name+"_password", p.accounts[name].password)
	}
	s := &http.Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}}, ReadHeaderTimeout: patience, Handler: p.routes()}
	go func() { _ = s.ServeTLS(l, "", "") }() // ends with the script
	ts.Defer(func() { _ = s.Close() })
	ts.Setenv("issuer", p.issuer)
	w.provider = p
	return w.tellOf(p)
}

// tellOf writes the provider into the server's configuration.
func (w *world) tellOf(p *provider) error {
	secret := filepath.Join(w.dir, "sso-secret")
	if err := errors.Join(os.WriteFile(secret, []byte(p.secret+"\n"), 0o600), w.operator.own(secret)); err != nil {
		return err
	}
	path := filepath.Join(w.data(), "vaultpam.yaml")
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "sso:\n  name: Example Login\n  issuer: %s\n  client_id: %s\n  client_secret_file: %s\n  second_factor:\n    amr: [mfa]\n", p.issuer, ssoClient, secret)
	return errors.Join(err, f.Close())
}

// doAccount changes an account at the provider: there is a second factor, it is asked
// before it is sent back, or it is called by another name.
func (w *world) doAccount(_ *script, args []string) error {
	if len(args) < 2 || w.provider == nil {
		return errors.New("want PERSON factor | asks | called NAME, after provider")
	}
	p := w.provider
	p.mu.Lock()
	defer p.mu.Unlock()
	a, ok := p.accounts[args[0]]
	switch {
	case !ok:
		return fmt.Errorf("%s has no account at the provider", args[0])
	case args[1] == "factor" && len(args) == 2:
		a.factor = true
	case args[1] == "asks" && len(args) == 2:
		a.asks = true
	case args[1] == "called" && len(args) == 3:
		a.name = args[2]
	default:
		return fmt.Errorf("no change of an account: %q", args[1:])
	}
	return nil
}

// doSignsOut has the provider tell the server that somebody signed out there (OpenID
// Connect Back-Channel Logout 1.0, section 2.5).
func (w *world) doSignsOut(ts *script, args []string) error {
	if err := want(args, 1, 1); err != nil {
		return err
	}
	if w.provider == nil {
		return errors.New("there is no provider")
	}
	p := w.provider
	p.mu.Lock()
	a, ok := p.accounts[args[0]]
	p.mu.Unlock()
	if !ok {
		return fmt.Errorf("%s has no account at the provider", args[0])
	}
	token, err := p.sign("logout+jwt", map[string]any{
		"iss": p.issuer, "sub": a.subject, "aud": ssoClient, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(), "jti": rand.Text(),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	})
	if err != nil {
		return err
	}
	roots, err := w.roots()
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots}}}
	res, err := client.PostForm("https://"+ts.Getenv("server")+"/sso/backchannel", url.Values{"logout_token": {token}})
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		err = fmt.Errorf("the server answers the logout token with %s", res.Status)
	}
	return errors.Join(err, res.Body.Close())
}

func (p *provider) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{
			"issuer": p.issuer, "authorization_endpoint": p.issuer + "/authorize", "token_endpoint": p.issuer + "/token", "jwks_uri": p.issuer + "/keys",
			"id_token_signing_alg_values_supported": []string{"ES256"}, "authorization_response_iss_parameter_supported": true,
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: "1", Algorithm: "ES256", Use: "sig"}}})
	})
	mux.HandleFunc("GET /authorize", p.page)
	mux.HandleFunc("POST /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	return mux
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // whoever asked and has gone needs nothing
}

// signInPage is the provider's own. The address of its form is its own.
var signInPage = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,"><title>Example Login</title>
<h1>Example Login</h1>{{with .}}<p>{{.}}</p>{{end}}
<form method="post"><label>User name <input name="username" autocomplete="username"></label>
<label>Password <input name="password" type="password" autocomplete="current-password"></label><button>Log in</button></form></html>`))

// backPage shows where somebody is sent back to, so that a script can steal it.
var backPage = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,"><title>Example Login</title>
<h1>Example Login</h1><p>You go back to {{.}}</p><a href="{{.}}">Go back</a></html>`))

// page asks who somebody is, for a request that is right (OpenID Connect Core 1.0,
// section 3.1.2.2).
func (p *provider) page(w http.ResponseWriter, r *http.Request) {
	if !p.right(r.URL.Query()) {
		http.Error(w, "this request is not one of our client's", http.StatusBadRequest)
		return
	}
	show(w, signInPage, "")
}

func show(w http.ResponseWriter, page *template.Template, text string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = page.Execute(w, text) // to a browser that may have gone
}

func (p *provider) right(q url.Values) bool {
	return q.Get("client_id") == ssoClient && q.Get("redirect_uri") == p.callback && q.Get("response_type") == "code" &&
		q.Get("code_challenge_method") == "S256" && len(q.Get("state")) >= 32 && len(q.Get("nonce")) >= 32
}

// authorize sends somebody back who knows their password.
func (p *provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	p.mu.Lock()
	defer p.mu.Unlock()
	a, ok := p.accounts[r.PostFormValue("username")]
	if !ok || !p.right(q) || subtle.ConstantTimeCompare([]byte(r.PostFormValue("password")), []byte(a.password)) != 1 {
		show(w, signInPage, "That is not the password.")
		return
	}
	code := rand.Text()
	p.codes[code] = &ssoRequest{q, a}
	back := p.callback + "?" + url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {p.issuer}}.Encode()
	if a.asks {
		show(w, backPage, back)
		return
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}

// token redeems a code, once, for the client that it was asked for by.
func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	p.mu.Lock()
	defer p.mu.Unlock()
	asked, ok := p.codes[r.PostFormValue("code")]
	delete(p.codes, r.PostFormValue("code"))
	verifier := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !ok || id != ssoClient || secret != p.secret || r.PostFormValue("redirect_uri") != p.callback ||
		base64.RawURLEncoding.EncodeToString(verifier[:]) != asked.Get("code_challenge") {
		w.WriteHeader(http.StatusBadRequest)
		answer(w, map[string]any{"error": "invalid_grant"})
		return
	}
	now := time.Now()
	claims := map[string]any{
		"iss": p.issuer, "sub": asked.account.subject, "aud": ssoClient, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		"nonce": asked.Get("nonce"), "preferred_username": asked.account.name, "amr": []string{"pwd"},
	}
	if asked.account.factor {
		claims["amr"] = []string{"pwd", "mfa"}
	}
	signed, err := p.sign("JWT", claims)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, map[string]any{"access_token": rand.Text(), "token_type": "Bearer", "id_token": signed})
}

func (p *provider) sign(kind string, claims map[string]any) (string, error) {
	options := (&jose.SignerOptions{}).WithHeader("kid", "1").WithType(jose.ContentType(kind))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: p.key}, options)
	if err != nil {
		return "", err
	}
	data, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(data)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}
