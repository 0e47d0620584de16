package login_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/store"
)

// mapping is the company's.
func mapping(issuer string) login.SSO {
	return login.SSO{
		Name: "Example Login", Issuer: issuer, ClientID: "pam", ClientSecret: "secret", Redirect: "https://pam.example.eu/sso/callback",
		Scopes: []string{"profile"}, HandleClaim: "preferred_username", GroupsClaim: "groups",
		Groups: map[string]store.GroupName{"DB Team": "dba", "Everybody": "staff"}, AMR: []string{"mfa"}, ACR: []string{"gold"},
		Transport: &http.Transport{DisableKeepAlives: true},
	}
}

// A desk is an office with a provider, and carol who has an authenticator.
type desk struct {
	*office
	provider *provider
	seed     []byte
	sso      login.SSO
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	o := found(t)
	d := &desk{office: o, provider: newProvider(t, o.clock)}
	d.sso = mapping(d.provider.URL)
	d.seed = o.employ("carol")
	for _, name := range []string{"dba", "staff", "ops"} {
		o.do(access.AddGroup{By: access.Caller{Local: true}, Name: name})
	}
	d.reopen()
	return d
}

// reopen has the office signed in by the provider, after a restart.
func (d *desk) reopen() {
	d.Helper()
	d.restart()
	var err error
	if d.Login, err = login.New(login.Config{
		Ledger: d.ledger, Sealer: d.sealer(), Now: d.clock.Now, Random: rand.Reader, SSO: &d.sso,
		Browser: &login.Browser{Origins: []string{"https://pam.example.eu"}, Refusal: func() string { return "" }},
	}); err != nil {
		d.Fatal(err)
	}
}

// laptop is home, with a name.
func laptop() login.Client {
	c := home
	c.Machine = "carols-laptop"
	return c
}

// A visit is a program that waits, and a browser.
type visit struct {
	d        *desk
	id       string
	browser  []byte
	verifier string
}

func (d *desk) visit() *visit {
	d.Helper()
	v := &visit{d: d, browser: random(32), verifier: base64.RawURLEncoding.EncodeToString(random(32))}
	begun, err := d.BeginSignIn(laptop(), login.SignInWish{Port: 4711, State: "0123456789abcdef", Challenge: sha256.Sum256([]byte(v.verifier))})
	if err != nil {
		d.Fatal(err)
	}
	v.id = begun.ID
	return v
}

// leave sends the browser to the provider and has its person sign in there.
func (v *visit) leave() login.SSOAnswer {
	v.d.Helper()
	location, err := v.d.BeginSSO(v.d.Context(), v.id, v.browser)
	if err != nil {
		v.d.Fatal(err)
	}
	return v.d.provider.authorize(location)
}

func (v *visit) back(a login.SSOAnswer) (login.Outcome, error) {
	return v.d.FinishSSO(v.d.Context(), v.browser, a)
}

// redeem fetches the session that a redirect leads to.
func (v *visit) redeem(redirect string) login.Session {
	v.d.Helper()
	u, err := url.Parse(redirect)
	if err != nil || u.Host != "127.0.0.1:4711" {
		v.d.Fatalf("redirected to %q: %v", redirect, err)
	}
	code, err := base64.RawURLEncoding.DecodeString(u.Query().Get("code"))
	if err != nil {
		v.d.Fatal(err)
	}
	s, err := v.d.Redeem(v.d.Context(), login.Redemption{ID: v.id, Code: code, Verifier: v.verifier}, home)
	if err != nil {
		v.d.Fatal(err)
	}
	return s
}

// pending fails the test if the visit signed somebody in.
func (v *visit) pending() {
	v.d.Helper()
	ctx, cancel := context.WithCancel(v.d.Context())
	cancel()
	if _, err := v.d.Redeem(ctx, login.Redemption{ID: v.id, Verifier: v.verifier}, home); !errors.Is(err, login.ErrPending) {
		v.d.Fatalf("the program that waits: error %v, want that it waits", err)
	}
}

// link signs carol in for the first time.
func (d *desk) link() login.Session {
	d.Helper()
	v := d.visit()
	o, err := v.back(v.leave())
	if err != nil || o.Second == nil || !o.Second.TOTP || o.Second.Passkey || o.Second.Handle != "carol" || o.Redirect != "" {
		d.Fatalf("back from the provider: %+v, %v", o, err)
	}
	d.clock.wait(time.Minute)
	if o, err = d.AnswerCode(d.Context(), v.id, v.browser, d.code(d.seed), home); err != nil {
		d.Fatal(err)
	}
	return v.redeem(o.Redirect)
}

// vouch signs carol in, whom the provider asked for a second factor.
func (d *desk) vouch(more claims) login.Session {
	d.Helper()
	d.provider.set(func() {
		d.provider.says = claims{"amr": []string{"pwd", "mfa"}}
		for name, v := range more {
			d.provider.says[name] = v
		}
	})
	v := d.visit()
	o, err := v.back(v.leave())
	if err != nil || o.Second != nil {
		d.Fatalf("back from the provider: %+v, %v", o, err)
	}
	return v.redeem(o.Redirect)
}

func (d *desk) carol() access.User {
	u, _ := d.ledger.State().UserByHandle("carol")
	return u
}

func (d *desk) groups() string {
	var names []string
	for g := range d.ledger.State().GroupsOf(d.carol().ID) {
		names = append(names, string(g.Name))
	}
	return strings.Join(names, " ")
}

func (d *desk) open(s login.Session) bool {
	_, _, err := d.ledger.State().Caller(by(s.Token), store.At(d.clock.Now()))
	return err == nil
}

// TestSSOFirstSignIn: who shows their own factor links the provider's account, once
// and for all; from then on the account counts, and no name.
func TestSSOFirstSignIn(t *testing.T) {
	d := newDesk(t)
	d.provider.set(func() {
		// A second factor there is not enough for the first time.
		d.provider.says = claims{"amr": []string{"mfa"}, "groups": []string{"DB Team", "Nobody Here"}}
	})
	first := d.link()
	if first.Kind != store.FactorTOTP || d.carol().SSO == 0 || d.groups() != "dba" {
		t.Errorf("signed in with %s, link %d, groups %q", first.Kind, d.carol().SSO, d.groups())
	}
	d.reopen()
	second := d.vouch(claims{"groups": []string{"Everybody"}, "preferred_username": "alice"})
	if second.Kind != store.FactorSSO || second.User.Handle != "carol" || d.groups() != "staff" {
		t.Errorf("%s signed in with %s, groups %q", second.User.Handle, second.Kind, d.groups())
	}
	_, x, err := d.ledger.State().Caller(by(second.Token), store.At(d.clock.Now()))
	if err != nil || x.Touched != 0 || x.Fresh(store.At(d.clock.Now())) {
		t.Errorf("the session %+v, %v: the provider's word is no touch and no fresh proof", x, err)
	}
	// What has no second factor there is asked for one here.
	d.provider.set(func() { d.provider.says = claims{"amr": []string{"pwd"}, "acr": "silver"} })
	v := d.visit()
	if o, err := v.back(v.leave()); err != nil || o.Second == nil || o.Second.Handle != "carol" {
		t.Errorf("without a second factor there: %+v, %v", o, err)
	}
	v.pending()
}

// TestSSOTakesOverNobody: neither a handle that is given to somebody else at the
// provider, nor one that somebody gives themselves, is anybody's way in.
func TestSSOTakesOverNobody(t *testing.T) {
	d := newDesk(t)
	d.link()
	for name, says := range map[string]claims{
		"a recycled handle":      {"sub": "666", "amr": []string{"mfa"}},
		"an unknown handle":      {"sub": "666", "preferred_username": "mallory", "amr": []string{"mfa"}},
		"no handle":              {"sub": "666", "preferred_username": nil, "amr": []string{"mfa"}},
		"a handle in capitals":   {"sub": "666", "preferred_username": "CAROL", "amr": []string{"mfa"}},
		"who has not enrolled":   {"sub": "666", "preferred_username": "alice", "amr": []string{"mfa"}},
		"a handle that is a lie": {"sub": "666", "preferred_username": "carol\u0000", "amr": []string{"mfa"}},
	} {
		d.provider.set(func() { d.provider.says = says })
		v := d.visit()
		if o, err := v.back(v.leave()); kind(err) != access.Forbidden || o.Redirect != "" || o.Second != nil {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
		v.pending()
	}
	if users := slices.Collect(d.ledger.State().Users()); len(users) != 2 {
		t.Errorf("there are %d users", len(users))
	}
}

// TestSSOOfAnotherUser: whom the provider calls carol has to show carol's factor,
// and no other.
func TestSSOWrongSecondFactor(t *testing.T) {
	d := newDesk(t)
	other := d.employ("dave")
	v := d.visit()
	if _, err := v.back(v.leave()); err != nil {
		t.Fatal(err)
	}
	d.clock.wait(time.Minute)
	if _, err := d.AnswerCode(t.Context(), v.id, v.browser, d.code(other), home); kind(err) != access.Unauthenticated {
		t.Errorf("dave's code: %v", err)
	}
	if _, err := d.AnswerCode(t.Context(), v.id, random(32), d.code(d.seed), home); kind(err) != access.Forbidden {
		t.Errorf("in another browser: %v", err)
	}
	dave, _ := d.ledger.State().UserByHandle("dave")
	if o, err := login.TouchedMeanwhile(d.Login, v.id, dave.ID); !errors.Is(err, access.ErrPasskey) || o.Redirect != "" {
		t.Errorf("dave's passkey, asked for before carol was vouched for: %+v, %v", o, err)
	}
	fresh := d.visit()
	if _, err := d.AnswerCode(t.Context(), fresh.id, fresh.browser, d.code(d.seed), home); kind(err) != access.NotFound {
		t.Errorf("before the provider was asked: %v", err)
	}
	v.pending()
	if d.carol().SSO != 0 {
		t.Error("an account was linked")
	}
}

// TestSSOForgedTokens: whatever is wrong with a token, it signs nobody in.
func TestSSOForgedTokens(t *testing.T) {
	d := newDesk(t)
	d.link()
	now := d.clock.Now()
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	says := func(c claims) func() { return func() { d.provider.says = c } }
	forges := func(f func(claims) string) func() { return func() { d.provider.forge = f } }
	many := make([]string, 2001)
	for name, change := range map[string]func(){
		"another issuer":            says(claims{"iss": "https://login.evil.example"}),
		"no issuer":                 says(claims{"iss": nil}),
		"another audience":          says(claims{"aud": "wiki"}),
		"no audience":               says(claims{"aud": nil}),
		"two audiences, no azp":     says(claims{"aud": []string{"pam", "wiki"}}),
		"another azp":               says(claims{"aud": []string{"pam", "wiki"}, "azp": "wiki"}),
		"azp of another type":       says(claims{"azp": 7}),
		"expired":                   says(claims{"exp": now.Add(-time.Second).Unix()}),
		"no end":                    says(claims{"exp": nil}),
		"from the future":           says(claims{"iat": now.Add(time.Hour).Unix(), "exp": now.Add(2 * time.Hour).Unix()}),
		"another nonce":             says(claims{"nonce": "n"}),
		"no nonce":                  says(claims{"nonce": nil}),
		"no subject":                says(claims{"sub": nil}),
		"an empty subject":          says(claims{"sub": ""}),
		"a subject of two lines":    says(claims{"sub": "24400320\nx"}),
		"a subject of another type": says(claims{"sub": 24400320}),
		"a long subject":            says(claims{"sub": strings.Repeat("1", 256)}),
		"groups as a number":        says(claims{"groups": 1}),
		"groups as an object":       says(claims{"groups": claims{"DB Team": true}}),
		"groups as a flag":          says(claims{"groups": true}),
		"a group that is a number":  says(claims{"groups": []any{"DB Team", 1}}),
		"a group that is nothing":   says(claims{"groups": []any{nil}}),
		"lists within lists":        says(claims{"groups": []any{[]string{"DB Team"}}}),
		"too many groups":           says(claims{"groups": many}),
		"a huge group":              says(claims{"groups": []string{strings.Repeat("x", 1025)}}),
		"huge claims":               says(claims{"more": strings.Repeat("x", 2<<20)}),
		"amr as an object":          says(claims{"amr": claims{"mfa": true}}),
		"acr as a list":             says(claims{"acr": []string{"gold"}}),
		"a handle that is a list":   says(claims{"preferred_username": []string{"carol"}}),
		"alg none":                  forges(unsigned),
		"no signature":              forges(func(c claims) string { return strings.Join(strings.Split(d.provider.sign(c), ".")[:2], ".") + "." }),
		"another key":               forges(func(c claims) string { return d.provider.signAs(c, jose.ES256, stranger, "JWT") }),
		"the client's secret": forges(func(c claims) string {
			return d.provider.signAs(c, jose.HS256, []byte(strings.Repeat("secret", 8)), "JWT")
		}),
		"nothing": forges(func(claims) string { return "" }),
		"another person's token": forges(func(c claims) string {
			parts := strings.Split(d.provider.sign(c), ".")
			c["sub"] = "1"
			return parts[0] + "." + strings.Split(d.provider.sign(c), ".")[1] + "." + parts[2]
		}),
	} {
		t.Run(name, func(t *testing.T) {
			d.provider.set(func() { d.provider.says, d.provider.forge = claims{}, nil; change() })
			before := d.ledger.State().Next()
			v := d.visit()
			o, err := v.back(v.leave())
			if k := kind(err); k != access.Unauthenticated && k != access.Invalid || o.Redirect != "" || o.Second != nil {
				t.Errorf("%+v, %v", o, err)
			}
			v.pending()
			if d.ledger.State().Next() != before {
				t.Error("there is an entry of it")
			}
		})
	}
}

// TestSSOAnswersThatAreNotOurs: of another browser, of another provider, stolen,
// shown twice, late.
func TestSSOAnswersThatAreNotOurs(t *testing.T) {
	d := newDesk(t)
	d.link()
	d.provider.set(func() { d.provider.says = claims{"amr": []string{"mfa"}} })
	refused := func(name string, err error, kinds ...access.Kind) {
		t.Helper()
		if !slices.Contains(kinds, kind(err)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	v := d.visit()
	a := v.leave()

	_, err := d.FinishSSO(t.Context(), random(32), a)
	refused("a stolen address in another browser", err, access.Forbidden)
	_, err = d.FinishSSO(t.Context(), nil, a)
	refused("a browser without its cookie", err, access.Forbidden)
	_, err = v.back(login.SSOAnswer{State: a.State + "x", Code: a.Code})
	refused("another state", err, access.NotFound)
	_, err = v.back(login.SSOAnswer{Code: a.Code})
	refused("no state", err, access.NotFound)
	// None of them took the answer from the browser that it is for.
	o, err := v.back(a)
	if err != nil || o.Redirect == "" {
		t.Fatalf("the right browser: %+v, %v", o, err)
	}
	_, err = v.back(a)
	refused("the same answer again", err, access.NotFound)
	v.redeem(o.Redirect)
	_, err = v.back(a)
	refused("the same answer after its end", err, access.NotFound)

	// An attacker's code in carol's browser, and hers in theirs: PKCE holds each to
	// who asked for it.
	mallory, carol := d.visit(), d.visit()
	theirs, hers := mallory.leave(), carol.leave()
	_, err = carol.back(login.SSOAnswer{State: hers.State, Code: theirs.Code, Issuer: theirs.Issuer})
	refused("an injected code", err, access.Unauthenticated)
	_, err = mallory.back(login.SSOAnswer{State: theirs.State, Code: hers.Code, Issuer: hers.Issuer})
	refused("a stolen code", err, access.Unauthenticated)
	carol.pending()
	mallory.pending()

	for name, change := range map[string]func(*login.SSOAnswer){
		"another provider's answer": func(a *login.SSOAnswer) { a.Issuer = "https://login.evil.example" },
		"an error":                  func(a *login.SSOAnswer) { a.Error = "access_denied" },
		"no code":                   func(a *login.SSOAnswer) { a.Code = "" },
		"a code that is none":       func(a *login.SSOAnswer) { a.Code = "x" },
	} {
		v := d.visit()
		a := v.leave()
		change(&a)
		_, err := v.back(a)
		refused(name, err, access.Unauthenticated)
		v.pending()
	}

	late := d.visit()
	a = late.leave()
	d.clock.wait(5 * time.Minute)
	_, err = late.back(a)
	refused("too late", err, access.NotFound)
}

// TestSSOProviderNamesItself: one that says that it does must (RFC 9207).
func TestSSOProviderNamesItself(t *testing.T) {
	d := newDesk(t)
	d.provider.set(func() { d.provider.names = true })
	v := d.visit()
	a := v.leave()
	a.Issuer = ""
	if _, err := v.back(a); kind(err) != access.Unauthenticated {
		t.Errorf("an answer without a name: %v", err)
	}
	d.link()
}

// TestSSOUserInfo: claims that are not in the token stand behind the user info
// endpoint; those of somebody else are not taken, and no others than handle and
// groups are.
func TestSSOUserInfo(t *testing.T) {
	d := newDesk(t)
	d.provider.set(func() {
		d.provider.says = claims{"preferred_username": nil}
		d.provider.info = claims{"sub": "24400320", "preferred_username": "carol", "groups": "DB Team", "amr": []string{"mfa"}}
	})
	d.link()
	if d.groups() != "dba" {
		t.Errorf("groups %q", d.groups())
	}
	v := d.visit()
	if o, err := v.back(v.leave()); err != nil || o.Second == nil {
		t.Errorf("amr of the user info: %+v, %v", o, err)
	}
	d.provider.set(func() { d.provider.info["sub"] = "1" })
	v = d.visit()
	if _, err := v.back(v.leave()); kind(err) != access.Unauthenticated {
		t.Errorf("user info of somebody else: %v", err)
	}
}

// TestSSOWantsAVerifiedAddress where addresses say who somebody is.
func TestSSOWantsAVerifiedAddress(t *testing.T) {
	d := newDesk(t)
	d.sso.HandleClaim = "email"
	d.reopen()
	d.employ("erin@example.eu")
	for name, tc := range map[string]struct {
		says claims
		kind access.Kind
	}{
		"verified":     {claims{"email": "erin@example.eu", "email_verified": true}, 0},
		"not verified": {claims{"email": "erin@example.eu", "email_verified": false}, access.Forbidden},
		"nothing said": {claims{"email": "erin@example.eu"}, access.Forbidden},
		"a number":     {claims{"email": "erin@example.eu", "email_verified": 1}, access.Forbidden},
	} {
		d.provider.set(func() { d.provider.says = tc.says })
		v := d.visit()
		if _, err := v.back(v.leave()); kind(err) != tc.kind || tc.kind == 0 && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSSOUnreachable: a provider that does not answer keeps nobody from starting,
// and is asked again.
func TestSSOUnreachable(t *testing.T) {
	d := newDesk(t)
	if d.provider.queries != 0 {
		t.Error("the provider was asked before anybody wanted it")
	}
	d.provider.set(func() { d.provider.down = true })
	v := d.visit()
	_, err := d.BeginSSO(t.Context(), v.id, v.browser)
	var refused *api.Error
	if !errors.As(err, &refused) || refused.Kind != api.KindUnavailable {
		t.Errorf("error %v", err)
	}
	d.provider.set(func() { d.provider.down = false })
	d.link()
}

// TestSSODeviceTakesAPasskey: a sign-in whose code was typed on another machine is
// not confirmed by the provider's word.
func TestSSODeviceTakesAPasskey(t *testing.T) {
	d := newDesk(t)
	begun, err := d.BeginSignIn(laptop(), login.SignInWish{Challenge: sha256.Sum256(nil)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.BeginSSO(t.Context(), begun.ID, random(32)); kind(err) != access.Forbidden {
		t.Errorf("error %v", err)
	}
}

// TestSSOLinkedByAnAdministrator: then nobody has to be called what they are called
// here, and what came in by an account before is over.
func TestSSOLinkedByAnAdministrator(t *testing.T) {
	d := newDesk(t)
	local := access.Caller{Local: true}
	identity := access.Identity{Issuer: d.provider.URL, Subject: "24400320"}
	d.do(access.LinkSSO{By: local, User: "carol", Identity: identity, Salt: [32]byte(random(32))})
	s := d.vouch(claims{"preferred_username": "somebody-else"})
	if s.User.Handle != "carol" || !d.open(s) {
		t.Fatalf("%s signed in", s.User.Handle)
	}
	if _, err := d.ledger.Do(t.Context(), access.LinkSSO{By: local, User: "alice", Identity: identity}); kind(err) != access.Conflict {
		t.Errorf("one account for two: %v", err)
	}
	d.do(access.LinkSSO{By: local, User: "carol", Identity: access.Identity{Issuer: d.provider.URL, Subject: "2"}, Salt: [32]byte(random(32))})
	if d.open(s) {
		t.Error("what came in by the account before is not over")
	}
	v := d.visit()
	if _, err := v.back(v.leave()); kind(err) != access.Forbidden {
		t.Errorf("the account before: %v", err)
	}
}

// goodbye are the claims of a logout token that is right.
func (d *desk) goodbye() claims {
	now := d.clock.Now()
	return claims{
		"iss": d.provider.URL, "aud": "pam", "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(), "jti": base64.RawURLEncoding.EncodeToString(random(16)),
		"sub": "24400320", "events": claims{"http://schemas.openid.net/event/backchannel-logout": claims{}},
	}
}

func (d *desk) logout(c claims) error {
	return d.EndSSO(d.Context(), d.provider.signAs(c, jose.ES256, d.provider.key, "logout+jwt"))
}

// TestSSOLogout: the provider's word that somebody signed out ends what came from
// there, and nothing else; also after a restart.
func TestSSOLogout(t *testing.T) {
	d := newDesk(t)
	d.link()
	own, err := d.SignIn(t.Context(), login.Proof{Handle: "carol", Code: totp(d.seed, d.clock.Now().Add(30*time.Second), 6)}, home)
	if err != nil {
		t.Fatal(err)
	}
	first, second := d.vouch(claims{"sid": "s1"}), d.vouch(claims{"sid": "s2"})
	d.reopen()
	bye := d.goodbye()
	bye["sid"] = "s1"
	if err := d.logout(bye); err != nil {
		t.Fatal(err)
	}
	if d.open(first) || !d.open(second) || !d.open(own) {
		t.Errorf("after the end of one of the provider's sessions: %t, %t, %t", d.open(first), d.open(second), d.open(own))
	}
	bye = d.goodbye()
	delete(bye, "sub")
	bye["sid"] = "s2"
	if err := d.logout(bye); err != nil || d.open(second) {
		t.Errorf("by the session alone: %v, open %t", err, d.open(second))
	}
	third := d.vouch(nil)
	if err := d.logout(d.goodbye()); err != nil || d.open(third) || !d.open(own) {
		t.Errorf("by the account alone: %v, open %t; signed in without the provider: %t", err, d.open(third), d.open(own))
	}
	ended, err := d.ledger.Find(t.Context(), store.Query{Type: store.TypeSignInEnded})
	if err != nil || len(ended) != 4 { // the first sign-in of all, and the three
		t.Errorf("%d entries of it, %v", len(ended), err)
	}
	if err := d.logout(d.goodbye()); err != nil {
		t.Errorf("where nobody is signed in: %v", err)
	}
}

// TestSSOForgedLogout: no token but the provider's own, for us, of this moment and
// for the first time, ends anything.
func TestSSOForgedLogout(t *testing.T) {
	d := newDesk(t)
	d.link()
	s := d.vouch(nil)
	now := d.clock.Now()
	event := "http://schemas.openid.net/event/backchannel-logout"
	with := func(name string, v any) string {
		c := d.goodbye()
		c[name] = v
		if v == nil {
			delete(c, name)
		}
		return d.provider.signAs(c, jose.ES256, d.provider.key, "logout+jwt")
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"nothing":                "",
		"no token":               "x",
		"a huge one":             with("more", strings.Repeat("x", 20<<10)),
		"another audience":       with("aud", "wiki"),
		"another issuer":         with("iss", "https://login.evil.example"),
		"old":                    with("iat", now.Add(-3*time.Minute).Unix()),
		"from the future":        with("iat", now.Add(3*time.Minute).Unix()),
		"expired":                with("exp", now.Add(-time.Second).Unix()),
		"no end":                 with("exp", nil),
		"no moment":              with("iat", nil),
		"no jti":                 with("jti", nil),
		"no events":              with("events", nil),
		"another event":          with("events", claims{"http://schemas.openid.net/event/other": claims{}}),
		"an event that is none":  with("events", claims{event: true}),
		"an event that is null":  with("events", claims{event: nil}),
		"a nonce":                with("nonce", "n"),
		"an empty nonce":         with("nonce", ""),
		"nobody":                 with("sub", nil),
		"an ID token":            d.provider.sign(d.provider.usual()),
		"an access token's type": d.provider.signAs(d.goodbye(), jose.ES256, d.provider.key, "at+jwt"),
		"another key":            d.provider.signAs(d.goodbye(), jose.ES256, stranger, "logout+jwt"),
		"alg none":               unsigned(d.goodbye()),
	} {
		if err := d.EndSSO(t.Context(), token); kind(err) != access.Invalid {
			t.Errorf("%s: %v", name, err)
		}
		if !d.open(s) {
			t.Fatalf("%s ended the session", name)
		}
	}
	bye := d.goodbye()
	if err := d.logout(bye); err != nil || d.open(s) {
		t.Fatalf("the right one: %v, open %t", err, d.open(s))
	}
	again := d.vouch(nil)
	if err := d.logout(bye); kind(err) != access.Invalid || !d.open(again) {
		t.Errorf("the same again: %v, open %t", err, d.open(again))
	}
	// A logout token is no ID token either.
	d.provider.set(func() { d.provider.forge = func(claims) string { return d.provider.sign(d.goodbye()) } })
	v := d.visit()
	if _, err := v.back(v.leave()); kind(err) != access.Unauthenticated {
		t.Errorf("a logout token as ID token: %v", err)
	}
}
