package login_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/store"
)

// TestS19Redeem: the session is for who began the sign-in and was come back to, and
// nobody else; a try that fails ends it.
func TestS19Redeem(t *testing.T) {
	o := found(t)
	k, _ := o.enrolPasskey("carol")
	thief := login.Client{Source: home.Source, Key: store.ClientKey{9}}
	for name, change := range map[string]func(*login.Redemption, *program){
		"no code":          func(r *login.Redemption, _ *program) { r.Code = nil },
		"another code":     func(r *login.Redemption, _ *program) { r.Code = random(32) },
		"a code cut off":   func(r *login.Redemption, _ *program) { r.Code = r.Code[:31] },
		"a longer code":    func(r *login.Redemption, _ *program) { r.Code = append(r.Code, 0) },
		"the code's hash":  func(r *login.Redemption, _ *program) { h := sha256.Sum256(r.Code); r.Code = h[:] },
		"no verifier":      func(r *login.Redemption, _ *program) { r.Verifier = "" },
		"another verifier": func(r *login.Redemption, _ *program) { r.Verifier = unpadded(random(32)) },
		"the challenge": func(r *login.Redemption, _ *program) {
			h := sha256.Sum256([]byte(r.Verifier))
			r.Verifier = string(h[:])
		},
		"a verifier and more":     func(r *login.Redemption, _ *program) { r.Verifier += " " },
		"after a minute":          func(_ *login.Redemption, p *program) { p.o.clock.wait(time.Minute) },
		"after its time":          func(_ *login.Redemption, p *program) { p.o.clock.wait(5 * time.Minute) },
		"another ceremony's code": func(r *login.Redemption, p *program) { r.Code = p.o.loopback(home).touch(k) },
		"another ceremony": func(r *login.Redemption, p *program) {
			other := p.o.loopback(home)
			other.touch(k)
			r.ID = other.begun.ID
		},
	} {
		p := o.loopback(home)
		r := p.redemption(p.touch(k))
		good := p.redemption(r.Code)
		change(&r, p)
		_, err := o.Redeem(t.Context(), r, p.client)
		wantKind(t, name, err, access.NotFound)
		if r.ID == good.ID {
			_, err = o.Redeem(t.Context(), good, p.client)
			wantKind(t, name+", then the right one", err, access.NotFound)
		}
	}
	// Who only saw the ID, with another key or none, can't even end it.
	p := o.loopback(home)
	r := p.redemption(p.touch(k))
	_, err := o.Redeem(t.Context(), r, thief)
	wantKind(t, "another key", err, access.NotFound)
	_, err = o.Redeem(t.Context(), r, login.Client{Source: home.Source})
	wantKind(t, "no key", err, access.NotFound)
	_, err = o.Redeem(t.Context(), login.Redemption{ID: unpadded(random(32)), Code: r.Code, Verifier: r.Verifier}, p.client)
	wantKind(t, "an ID of nobody", err, access.NotFound)
	o.nobodyIn("none of these")
	s, err := o.Redeem(t.Context(), r, p.client)
	if err != nil {
		t.Fatal(err)
	}
	_, err = o.Redeem(t.Context(), r, p.client)
	wantKind(t, "twice", err, access.NotFound)
	// The session is the key's: the token by itself is nobody's.
	if _, _, err := o.ledger.State().Caller(access.Caller{Token: login.TokenHash(s.Token), Key: thief.Key}, store.At(o.clock.Now())); err == nil {
		t.Error("another key calls with the token")
	}
	o.holdsSession(s)
}

// TestS19RedeemOnce: of 50 at once one gets the session.
func TestS19RedeemOnce(t *testing.T) {
	o := found(t)
	k, _ := o.enrolPasskey("carol")
	p := o.loopback(home)
	r := p.redemption(p.touch(k))
	if n := race(50, func() error { _, err := o.Redeem(t.Context(), r, p.client); return err }); n != 1 {
		t.Errorf("%d of 50 got in", n)
	}
	if n := len(o.entries(store.TypeSignInSucceeded)); n != 1 {
		t.Errorf("%d sign-ins", n)
	}
}

// TestS19NobodyConfirmed: before anybody confirmed it there is nothing to fetch,
// whatever is known.
func TestS19NobodyConfirmed(t *testing.T) {
	o := found(t)
	o.enrolPasskey("carol")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, p := range []*program{o.loopback(home), o.device(home)} {
		for range 3 {
			if _, err := o.Redeem(ctx, p.redemption(make([]byte, 32)), p.client); !errors.Is(err, login.ErrPending) {
				t.Errorf("error %v", err)
			}
		}
		if err := o.Deny(p.begun.ID, chrome, home.Source); err != nil {
			t.Fatal(err)
		}
		_, err := o.Redeem(t.Context(), p.redemption(nil), p.client)
		wantKind(t, "turned down", err, access.Forbidden)
	}
	o.nobodyIn("nobody confirmed")
}

// TestS19Begin: what could not be bound to a program is not begun.
func TestS19Begin(t *testing.T) {
	o := found(t)
	good := login.SignInWish{Port: 50123, State: programState, Challenge: store.Hash{1}}
	machine := login.Client{Source: home.Source, Key: clientKey, Machine: "laptop"}
	for name, change := range map[string]func(*login.Client, *login.SignInWish){
		"no key":                func(c *login.Client, _ *login.SignInWish) { c.Key = store.ClientKey{} },
		"no challenge":          func(_ *login.Client, w *login.SignInWish) { w.Challenge = store.Hash{} },
		"no state":              func(_ *login.Client, w *login.SignInWish) { w.State = "" },
		"a short state":         func(_ *login.Client, w *login.SignInWish) { w.State = "123456789012345" },
		"no machine":            func(c *login.Client, _ *login.SignInWish) { c.Machine = "" },
		"a machine's sequences": func(c *login.Client, _ *login.SignInWish) { c.Machine = "\x1b]0;x\a" },
		"a machine's lines":     func(c *login.Client, _ *login.SignInWish) { c.Machine = "laptop\nyour own" },
		"a machine turned":      func(c *login.Client, _ *login.SignInWish) { c.Machine = "\u202eevil" },
		"a machine of a mile":   func(c *login.Client, _ *login.SignInWish) { c.Machine = string(make([]byte, 5000)) },
	} {
		c, w := machine, good
		change(&c, &w)
		if _, err := o.BeginSignIn(c, w); kind(err) != access.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What the wish holds goes into a redirect to this machine as text alone.
	good.State = "x&code=evil#\r\nSet-Cookie: a@b/../"
	begun, err := o.BeginSignIn(machine, good)
	if err != nil {
		t.Fatal(err)
	}
	k, _ := o.enrolPasskey("carol")
	out, err := o.confirm(begun.ID, k)
	if err != nil {
		t.Fatal(err)
	}
	want := "&state=x%26code%3Devil%23%0D%0ASet-Cookie%3A+a%40b%2F..%2F"
	if len(out.Redirect) != len("http://127.0.0.1:50123/?code=")+43+len(want) || out.Redirect[len(out.Redirect)-len(want):] != want {
		t.Errorf("redirect %s", out.Redirect)
	}
}
