package server_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/vaultpam/vaultpam/server/api"
)

// A visit is a program and a browser that sign in together, with all that the
// server answered them.
type visit struct {
	*site
	key     ed25519.PrivateKey // the program's
	cookie  string             // the browser's
	passkey *authenticator
	answers map[string][]byte // by what was asked
	secrets map[string][]byte
	// theirs names the answers that a secret belongs in.
	theirs map[string][]string
}

// newVisit is a site that browsers make passkeys with.
func newVisit(t *testing.T) *visit {
	t.Helper()
	at := newHand().now()
	ca := newWebCA(t, at)
	shown := ca.issue("localhost", around(at))
	p := newPair(t, shown)
	s := localhost(t, "localhost", map[string]string{"VAULTPAMD_TLS_MODE": "file", "VAULTPAMD_TLS_CERT": p.cert, "VAULTPAMD_TLS_KEY": p.key})
	s.shows(ca, shown).run()
	s.admin = s.enrolled(s.begun.Invitation.String())
	_, port, _ := net.SplitHostPort(s.https)
	v := &visit{site: s, answers: map[string][]byte{}, secrets: map[string][]byte{}, theirs: map[string][]string{}}
	v.passkey = newAuthenticator(t, "https://localhost:"+port)
	var err error
	if _, v.key, err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	v.secret("the seed of the session's key", v.key.Seed())
	return v
}

// secret is one from now on, and may be in these answers alone.
func (v *visit) secret(name string, value []byte, theirs ...string) {
	v.secrets[name], v.theirs[name] = value, theirs
}

// visited makes a call and reads its answer.
func visited[A any](v *visit, name string, r *http.Request, status int) A {
	v.t.Helper()
	a := v.do(r)
	if a.status != status {
		v.t.Fatalf("%s: %d %s", name, a.status, a.body)
	}
	v.answers[name] = a.body
	var out A
	if err := json.Unmarshal(a.body, &out); err != nil {
		v.t.Fatalf("%s: %v", name, err)
	}
	return out
}

// program is a call that the program signs.
func (v *visit) program(method, path string, token []byte, body any) *http.Request {
	v.t.Helper()
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			v.t.Fatal(err)
		}
		body = string(data)
	}
	r := v.request(method, path, token, body)
	r.Header.Set(api.ProofHeader, api.Prove(v.key, api.Signed{Method: method, Target: path, Token: token, Body: data}, v.env.Now()))
	return r
}

// browser is a call of a page, which signs nothing and sends its cookie.
func (v *visit) browser(method, path string, body any) *http.Request {
	v.t.Helper()
	r := v.request(method, path, nil, body)
	r.Header.Del(api.ProofHeader)
	if v.cookie != "" {
		r.Header.Set("Cookie", v.cookie)
	}
	return r
}

// opens shows a page, and keeps the cookie that the browser gets.
func (v *visit) opens(path string) {
	v.t.Helper()
	a := v.do(v.browser("GET", path, nil))
	if a.status != http.StatusOK {
		v.t.Fatalf("%s: %d %s", path, a.status, a.body)
	}
	v.answers["the page "+path] = a.body
	if set := a.header.Get("Set-Cookie"); set != "" {
		v.cookie, _, _ = strings.Cut(set, ";")
		_, value, _ := strings.Cut(v.cookie, "=")
		raw, err := base64.RawURLEncoding.DecodeString(value)
		if err != nil {
			v.t.Fatal(err)
		}
		v.secret("the browser's cookie", raw)
	}
}

// enrols has somebody who was invited make a passkey.
func (v *visit) enrols(handle string) {
	v.t.Helper()
	added := must[api.AddUserResponse](v.site, v.admin, "POST", api.RouteUserAdd.Path, api.AddUserRequest{Handle: handle, Roles: []string{"engineer"}})
	inv, err := api.ParseInvitation(added.Invitation)
	if err != nil {
		v.t.Fatal(err)
	}
	v.secret("the invitation", inv.Token[:])
	v.opens("/enroll")
	begun := visited[api.EnrollBeginResponse](v, "enrol begin", v.browser("POST", api.RouteEnrollBegin.Path, api.EnrollBeginRequest{Token: inv.Token[:]}), http.StatusOK)
	if begun.Passkey == nil {
		v.t.Fatalf("no passkey is asked for: %q", begun.PasskeyRefusal)
	}
	done := visited[api.EnrollPasskeyResponse](v, "enrol finish", v.browser("POST", api.RouteEnrollKey.Path, api.PasskeyRequest{
		ID: begun.Passkey.ID, Name: "blue key", Credential: v.passkey.create(begun.Passkey.Options),
	}), http.StatusOK)
	for i, code := range done.RecoveryCodes {
		v.secret(fmt.Sprintf("recovery code %d", i), []byte(code), "enrol finish")
	}
	if len(done.RecoveryCodes) != 10 {
		v.t.Errorf("%d recovery codes", len(done.RecoveryCodes))
	}
}

// begins asks for a sign-in by browser: with a redirect, or where there is no port
// with a code to type.
func (v *visit) begins(name string, port uint16) (api.BrowserResponse, string) {
	v.t.Helper()
	verifier, state := rand.Text()+rand.Text(), rand.Text()
	v.secret("the verifier of "+name, []byte(verifier))
	challenge := sha256.Sum256([]byte(verifier))
	q := api.BrowserSignInRequest{Machine: "carols-laptop", Challenge: challenge[:], Port: port}
	if port != 0 {
		q.State = state
		v.secret("the state of "+name, []byte(state), name+" finish")
	}
	return visited[api.BrowserResponse](v, name+" begin", v.program("POST", api.RouteSignInBegin.Path, nil, q), http.StatusOK), verifier
}

// confirms has the browser prove on a ceremony's page who is there.
func (v *visit) confirms(name, id string) api.PasskeyOutcome {
	v.t.Helper()
	v.opens("/signin/" + id)
	path := "/v1/ceremonies/" + id
	asked := visited[api.PasskeyOptions](v, name+" ask", v.browser("POST", path+"/begin", map[string]any{}), http.StatusOK)
	return visited[api.PasskeyOutcome](v, name+" finish", v.browser("POST", path+"/finish", api.PasskeyRequest{Credential: v.passkey.get(asked.Options)}), http.StatusOK)
}

func (v *visit) opened(name string, in *api.SignInResponse) []byte {
	v.t.Helper()
	if in == nil || len(in.Token) != 32 || len(in.Device) != 32 {
		v.t.Fatalf("%s: no session: %+v", name, in)
	}
	v.secret("the token of "+name, in.Token, name+" redeem")
	v.secret("what the machine is known by after "+name, in.Device, name+" redeem")
	return in.Token
}

// byRedirect signs in as a program does whose browser comes back to it.
func (v *visit) byRedirect(name string, spoil func(*api.RedeemRequest), status int) []byte {
	v.t.Helper()
	begun, verifier := v.begins(name, 40000)
	outcome := v.confirms(name, begun.ID)
	back, err := url.Parse(outcome.Redirect)
	if err != nil || back.Host != "127.0.0.1:40000" {
		v.t.Fatalf("%s: the browser is sent to %q", name, outcome.Redirect)
	}
	code, err := base64.RawURLEncoding.DecodeString(back.Query().Get("code"))
	if err != nil || len(code) != 32 {
		v.t.Fatalf("%s: a code %q: %v", name, back.Query().Get("code"), err)
	}
	v.secret("the code of "+name, code, name+" finish")
	q := api.RedeemRequest{ID: begun.ID, Code: code, Verifier: verifier}
	if spoil != nil {
		spoil(&q)
	}
	r := visited[api.RedeemResponse](v, name+" redeem", v.program("POST", api.RouteRedeem.Path, nil, q), status)
	if status != http.StatusOK {
		return nil
	}
	return v.opened(name, r.SignIn)
}

// byDevice signs in a machine that shows a code.
func (v *visit) byDevice(name string) []byte {
	v.t.Helper()
	begun, verifier := v.begins(name, 0)
	v.secret("the code that "+name+" shows", []byte(begun.Code), name+" begin", "the page /signin/"+begun.ID)
	v.opens("/device")
	v.browserRefused("a wrong code", api.RouteDeviceFind.Path, api.DeviceFindRequest{Code: "BBBB-CANA"}, http.StatusNotFound)
	found := visited[api.DeviceFindResponse](v, name+" find", v.browser("POST", api.RouteDeviceFind.Path, api.DeviceFindRequest{Code: begun.Code}), http.StatusOK)
	if found.ID != begun.ID {
		v.t.Errorf("the code leads to %s, not to %s", found.ID, begun.ID)
	}
	v.confirms(name, found.ID)
	r := visited[api.RedeemResponse](v, name+" redeem", v.program("POST", api.RouteRedeem.Path, nil, api.RedeemRequest{ID: begun.ID, Verifier: verifier}), http.StatusOK)
	return v.opened(name, r.SignIn)
}

func (v *visit) browserRefused(name, path string, body any, status int) {
	v.t.Helper()
	a := v.do(v.browser("POST", path, body))
	v.refused(a, status)
	v.answers[name] = a.body
}
