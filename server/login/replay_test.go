package login_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/store"
)

// TestS17Replay: an assertion is an answer to one challenge, in one ceremony, of
// one browser, for two minutes, once.
func TestS17Replay(t *testing.T) {
	o := found(t)
	k, _ := o.enrolPasskey("carol")
	bob, _ := o.enrolPasskey("bob")
	p := o.loopback(home)
	asked, err := o.Ask(p.begun.ID, chrome, home)
	if err != nil {
		t.Fatal(err)
	}
	answer := k.get(t, asked.Get)
	firefox := random(32)
	for name, cookie := range map[string][]byte{"another browser": firefox, "no cookie": nil, "half a cookie": chrome[:16]} {
		_, err := o.Answer(t.Context(), p.begun.ID, cookie, answer, home)
		wantKind(t, name, err, access.Forbidden)
		_, err = o.Ask(p.begun.ID, cookie, home)
		wantKind(t, name+" asks", err, access.Forbidden)
		wantKind(t, name+" denies", o.Deny(p.begun.ID, cookie, home.Source), access.Forbidden)
	}
	other := o.loopback(home)
	if _, err := o.Ask(other.begun.ID, chrome, home); err != nil {
		t.Fatal(err)
	}
	_, err = o.Answer(t.Context(), other.begun.ID, chrome, answer, home)
	wantKind(t, "in another ceremony", err, access.Unauthenticated)
	out, err := o.Answer(t.Context(), p.begun.ID, chrome, answer, home)
	if err != nil {
		t.Fatal(err)
	}
	_, err = o.Answer(t.Context(), p.begun.ID, chrome, answer, home)
	wantKind(t, "a second time", err, access.NotFound)
	if _, err := p.redeem(o.codeIn(out)); err != nil {
		t.Fatal(err)
	}
	_, err = o.Answer(t.Context(), p.begun.ID, chrome, answer, home)
	wantKind(t, "after the ceremony", err, access.NotFound)

	// Another user's confirmation is not carol's.
	in := o.signIn(o.enter(bob))
	begun, err := o.BeginConfirm(in, login.PurposeConfirm, "x", home)
	if err != nil {
		t.Fatal(err)
	}
	_, err = o.confirm(begun.ID, k)
	wantKind(t, "in another's session", err, access.Unauthenticated)

	// A page that was left open asks again: the earlier challenge is over.
	late := o.loopback(home)
	asked, err = o.Ask(late.begun.ID, chrome, home)
	if err != nil {
		t.Fatal(err)
	}
	answer = k.get(t, asked.Get)
	o.clock.wait(2*time.Minute - time.Millisecond)
	if _, err := o.Ask(late.begun.ID, chrome, home); err != nil {
		t.Fatal(err)
	}
	_, err = o.Answer(t.Context(), late.begun.ID, chrome, answer, home)
	wantKind(t, "to the challenge before", err, access.Unauthenticated)
	if asked, err = o.Ask(late.begun.ID, chrome, home); err != nil {
		t.Fatal(err)
	}
	o.clock.wait(2 * time.Minute)
	_, err = o.Answer(t.Context(), late.begun.ID, chrome, k.get(t, asked.Get), home)
	wantKind(t, "after two minutes", err, access.Conflict)
	if asked, err = o.Ask(late.begun.ID, chrome, home); err != nil {
		t.Fatal(err)
	}
	o.clock.wait(time.Minute + time.Millisecond)
	_, err = o.Answer(t.Context(), late.begun.ID, chrome, k.get(t, asked.Get), home)
	wantKind(t, "after the ceremony's time", err, access.NotFound)
}

// TestS17AnswerOnce: one assertion that is sent 100 times at once is one.
func TestS17AnswerOnce(t *testing.T) {
	o := found(t)
	k, _ := o.enrolPasskey("carol")
	in := o.signIn(o.enter(k))
	for _, what := range []string{"sign-in", "confirmation"} {
		id := o.device(home).begun.ID
		if what == "confirmation" {
			begun, err := o.BeginConfirm(in, login.PurposeConfirm, "x", home)
			if err != nil {
				t.Fatal(err)
			}
			id = begun.ID
		}
		asked, err := o.Ask(id, chrome, home)
		if err != nil {
			t.Fatal(err)
		}
		answer := k.get(t, asked.Get)
		if n := race(100, func() error { _, err := o.Answer(t.Context(), id, chrome, answer, home); return err }); n != 1 {
			t.Errorf("%s: %d of 100 were taken", what, n)
		}
	}
	if n := len(o.entries(store.TypeSignInConfirmed)); n != 1 {
		t.Errorf("%d confirmations", n)
	}
}

// race returns how many of n calls at once succeed.
func race(n int, do func() error) int64 {
	var won atomic.Int64
	var racers sync.WaitGroup // end with their answers
	start := make(chan struct{})
	for range n {
		racers.Go(func() {
			<-start
			if do() == nil {
				won.Add(1)
			}
		})
	}
	close(start)
	racers.Wait()
	return won.Load()
}

// TestS17PurposesApart: what was asked for one purpose is no answer for another.
func TestS17PurposesApart(t *testing.T) {
	o := found(t)
	k, _ := o.enrolPasskey("carol")
	invitation := o.invite("dave")
	begun, asked, err := o.BeginPasskey(invitation, chrome, home)
	if err != nil {
		t.Fatal(err)
	}
	dave := newToken(t)
	answer := dave.create(t, asked.Create)
	wantKind(t, "an invitation's passkey, added", o.Register(t.Context(), begun.ID, chrome, answer, ""), access.NotFound)
	_, err = o.FinishPasskey(t.Context(), begun.ID, chrome, answer, "")
	wantKind(t, "afterwards", err, access.Conflict)
	_, err = o.Ask(begun.ID, chrome, home)
	wantKind(t, "signing in by an invitation's page", err, access.NotFound)

	in := o.signIn(o.enter(k))
	add, err := o.BeginConfirm(in, login.PurposeAdd, "", home)
	if err != nil {
		t.Fatal(err)
	}
	asked, err = o.Ask(add.ID, chrome, home)
	if err != nil || asked.Create == nil {
		t.Fatalf("asked %+v, error %v", asked, err)
	}
	_, err = o.Answer(t.Context(), add.ID, chrome, k.get(t, o.get(k)), home)
	wantKind(t, "an assertion where a passkey was asked for", err, access.Conflict)
	if asked, err = o.Ask(add.ID, chrome, home); err != nil {
		t.Fatal(err)
	}
	_, err = o.FinishPasskey(t.Context(), add.ID, chrome, newToken(t).create(t, asked.Create), "")
	wantKind(t, "a passkey that is added, by an invitation", err, access.NotFound)
	_, err = o.Redeem(t.Context(), login.Redemption{ID: add.ID}, home)
	wantKind(t, "redeeming it", err, access.NotFound)
	wantKind(t, "waiting for a sign-in", o.Wait(t.Context(), o.loopback(home).begun.ID, in), access.NotFound)
	if n := len(o.entries(store.TypeFactorEnrolled)); n != 1 {
		t.Errorf("%d factors", n)
	}
}

// get is what another ceremony asks.
func (o *office) get(*token) []byte {
	o.Helper()
	asked, err := o.Ask(o.loopback(home).begun.ID, chrome, home)
	if err != nil {
		o.Fatal(err)
	}
	return asked.Get
}

// TestS17Gone: what was removed between the touch and the redemption proves
// nothing.
func TestS17Gone(t *testing.T) {
	o := found(t)
	k, carol := o.enrolPasskey("carol")
	s := o.enter(k)
	second := newToken(t)
	o.addPasskey(o.signIn(s), second, nil)
	u, _ := o.ledger.State().User(carol.ID)
	p := o.loopback(home)
	code := p.touch(second)
	o.do(access.RemoveFactor{By: by(s.Token), Factor: u.Factors[1].Entry})
	if _, err := p.redeem(code); !errors.Is(err, access.ErrPasskey) {
		t.Errorf("a removed factor: %v", err)
	}
	p = o.loopback(home)
	_, err := o.confirm(p.begun.ID, second)
	wantKind(t, "a factor that was removed before", err, access.Unauthenticated)

	confirm, err := o.BeginConfirm(o.signIn(s), login.PurposeConfirm, "x", home)
	if err != nil {
		t.Fatal(err)
	}
	p = o.device(home)
	p.touch(k)
	o.do(access.RemoveUser{By: access.Caller{Local: true}, Handle: "carol"})
	if _, err := p.redeem(nil); !errors.Is(err, access.ErrPasskey) {
		t.Errorf("a removed user: %v", err)
	}
	if _, err := o.confirm(confirm.ID, k); err == nil {
		t.Error("a removed user confirmed")
	}
	p = o.loopback(home)
	_, err = o.confirm(p.begun.ID, k)
	wantKind(t, "a user who was removed before", err, access.Unauthenticated)
	if n := len(o.entries(store.TypeSignInSucceeded)); n != 1 {
		t.Errorf("%d sign-ins", n)
	}
}

// TestS17CounterIsHeld: a counter that goes back is an entry, and shuts the factor
// and no other.
func TestS17CounterIsHeld(t *testing.T) {
	for name, way := range map[string]func(*office, *token, store.Index) error{
		"sign-in": func(o *office, k *token, _ store.Index) error {
			p := o.loopback(home)
			_, err := p.redeem(p.touch(k))
			return err
		},
		"confirmation": func(o *office, k *token, in store.Index) error {
			begun, err := o.BeginConfirm(in, login.PurposeConfirm, "x", home)
			if err != nil {
				return err
			}
			_, err = o.confirm(begun.ID, k)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := found(t)
			k, carol := o.enrolPasskey("carol")
			k.counter = 40
			in := o.signIn(o.enter(k))
			second := newToken(t)
			o.addPasskey(in, second, nil)
			o.enter(second)
			clone := *k
			clone.counter = 20
			if err := way(o, &clone, in); !errors.Is(err, access.ErrCloned) {
				t.Errorf("a copy: %v", err)
			}
			e := o.entries(store.TypeFactorCloned)
			if len(e) != 1 || e[0].Event.(*store.FactorCloned).User != carol.ID || e[0].Event.(*store.FactorCloned).Counter != 21 {
				t.Fatalf("entries %+v", e)
			}
			if err := way(o, second, in); err != nil {
				t.Errorf("another factor: %v", err)
			}
			p := o.loopback(home)
			_, err := o.confirm(p.begun.ID, k)
			wantKind(t, "the factor from then on", err, access.Unauthenticated)
		})
	}
}

// TestS17Overtaken: two machines wait at once, and the one that was confirmed first
// fetches its session last. Nobody has a copy of the key for that; who could have
// it taken for one by waiting would shut others out.
func TestS17Overtaken(t *testing.T) {
	o := found(t)
	k, _ := o.enrolPasskey("carol")
	slow, fast := o.device(home), o.device(home)
	slow.touch(k)
	fast.touch(k)
	if _, err := fast.redeem(nil); err != nil {
		t.Fatal(err)
	}
	_, err := slow.redeem(nil)
	wantKind(t, "overtaken", err, access.Conflict)
	if e := o.entries(store.TypeFactorCloned); len(e) != 0 {
		t.Errorf("taken for a copy: %+v", e[0].Event)
	}
	o.enter(k)
	// Two that say the same are two.
	slow, fast = o.device(home), o.device(home)
	slow.touch(k)
	k.counter--
	fast.touch(k)
	if _, err := fast.redeem(nil); err != nil {
		t.Fatal(err)
	}
	if _, err = slow.redeem(nil); !errors.Is(err, access.ErrCloned) {
		t.Errorf("the same counter twice: %v", err)
	}
}
