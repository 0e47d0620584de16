package access_test

import (
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// TestS14StepOnce: a time step signs in once, and no step before it later.
func TestS14StepOnce(t *testing.T) {
	c := found(t)
	p := c.employ("carol") // enrolled with step 1000
	c.signIn(&p)           // with 1001
	in := func(step uint64) access.SignInWithTOTP {
		return access.SignInWithTOTP{User: p.id, Step: step, Holder: c.holder()}
	}
	for _, step := range []uint64{0, 999, 1000, 1001} {
		c.refused(in(step))
	}
	c.do(in(1003))
	for _, step := range []uint64{1003, 1002} {
		c.refused(in(step)) // 1002 was never used, and is over
	}
	c.do(in(1004))
	// A snapshot keeps what was used.
	var err error
	if c.state, err = access.OpenSnapshot(snapshot(t, c.state), c.text); err != nil {
		t.Fatal(err)
	}
	c.refused(in(1004))
	c.do(in(1005))
}

func TestSignIn(t *testing.T) {
	c := found(t)
	p := c.employ("carol")
	e := last[*store.SignInSucceeded](c)
	if want := c.at() + store.Millis(signInLife.Milliseconds()); e.Expires != want || e.User != p.id || e.Token != p.token || e.Step != p.step {
		t.Errorf("event %+v", e)
	}
	if text, ok := c.text(e.Source); !ok || text != "192.0.2.7" {
		t.Errorf("source %q, %v", text, ok)
	}
	u, x, err := c.state.Caller(p.caller(), c.at())
	if err != nil || u.ID != p.id || x.Entry != p.signIn || x.Expires != e.Expires {
		t.Errorf("caller %+v, %+v, error %v", u, x, err)
	}
	// One sign-in session ends, the other goes on.
	other := p
	c.signIn(&other)
	c.do(access.SignOut{By: p.caller()})
	if ended := last[*store.SignInEnded](c); ended.SignIn != p.signIn || ended.User != p.id {
		t.Errorf("event %+v", ended)
	}
	if _, _, err := c.state.Caller(other.caller(), c.at()); err != nil {
		t.Errorf("the other sign-in: %v", err)
	}
	// An expired one is let go of at the next.
	size := len(snapshot(t, c.state))
	for range 5 {
		c.wait(signInLife)
		c.signIn(&other)
	}
	if grown := len(snapshot(t, c.state)) - size; grown > 8 {
		t.Errorf("the state grew by %d bytes over expired sign-ins", grown)
	}
}

// TestSignInIdles: a sign-in session that nothing is issued to ends, and one that
// is used goes on; what was set when it was opened counts for it.
func TestSignInIdles(t *testing.T) {
	c := found(t)
	p := c.employ("carol")
	for range 2 {
		c.wait(4*time.Hour - time.Millisecond)
		c.certificate(p)
	}
	c.do(access.ChangeSetting{By: local, Setting: store.SettingSignInIdle, Value: "5m"})
	c.wait(time.Hour)
	c.certificate(p)
	c.signIn(&p)
	c.wait(5*time.Minute - time.Millisecond)
	if _, x, err := c.state.Caller(p.caller(), c.at()); err != nil || x.Ends() != c.at()+1 {
		t.Errorf("ends %d, error %v", x.Ends(), err)
	}
	c.wait(time.Millisecond)
	c.do(access.ChangeSetting{By: local, Setting: store.SettingSignInIdle, Value: "168h"})
	c.refused(access.IssueUserCertificate{By: p.caller(), Key: keys().subject, Nonce: c.random()})
	c.refused(c.start(p, "db1", "root"))
}

// TestSignInsOneByOne: a person ends any of their sessions, and nobody else's.
func TestSignInsOneByOne(t *testing.T) {
	c := found(t)
	p, bob := c.employ("carol"), c.employ("bob")
	laptop := p
	c.signIn(&p)
	if all := c.state.SignInsOf(p.id, c.at()); len(all) != 2 || all[0].Entry != laptop.signIn || all[1].Entry != p.signIn {
		t.Errorf("sessions %+v", all)
	}
	if r := c.refused(access.SignOut{By: p.caller(), SignIn: bob.signIn}); r.Kind != access.NotFound {
		t.Errorf("bob's: %v", r)
	}
	c.do(access.SignOut{By: p.caller(), SignIn: laptop.signIn})
	c.refused(access.SignOut{By: p.caller(), SignIn: laptop.signIn})
	if _, _, err := c.state.Caller(p.caller(), c.at()); err != nil {
		t.Error(err)
	}
	if _, _, err := c.state.Caller(laptop.caller(), c.at()); err == nil {
		t.Error("the other session goes on")
	}
}

// TestStolenTokenWithoutItsKey: a token alone is nobody.
func TestStolenTokenWithoutItsKey(t *testing.T) {
	c := found(t)
	p, thief := c.employ("carol"), c.employ("mallory")
	for name, by := range map[string]access.Caller{
		"no key": {Token: p.token}, "the thief's own key": {Token: p.token, Key: thief.caller().Key},
	} {
		if r := c.refused(access.IssueUserCertificate{By: by, Key: keys().subject, Nonce: c.random()}); r.Kind != access.Unauthenticated {
			t.Errorf("%s: %v", name, r)
		}
	}
}

func TestNoteFailures(t *testing.T) {
	c := found(t)
	p := c.employ("carol")
	c.do(access.NoteFailures{User: p.id, Count: 3, Source: "192.0.2.0/32", Salt: c.random()})
	if e := last[*store.SignInFailed](c); e.User != p.id || e.Count != 3 {
		t.Errorf("event %+v", e)
	}
	if e := c.entries[len(c.entries)-1]; e.Actor != (store.Actor{}) {
		t.Errorf("actor %+v, want the server", e.Actor)
	}
	c.do(access.NoteFailures{User: p.id, Count: 1 << 60, Source: "192.0.2.0/32", Salt: c.random()})
	if e := last[*store.SignInFailed](c); e.Count != store.MaxFailureCount {
		t.Errorf("count %d", e.Count)
	}
	c.refused(access.NoteFailures{User: p.id})
	c.refused(access.NoteFailures{User: c.userID(), Count: 1})
}

// TestS37SignInEnds: a certificate ends no later than the sign-in it came from,
// and none comes after it.
func TestS37SignInEnds(t *testing.T) {
	c := found(t)
	c.tireless()
	p := c.employ("carol")
	c.wait(signInLife - time.Minute)
	d := c.do(access.IssueUserCertificate{By: p.caller(), Key: keys().subject, Nonce: c.random()})
	_, x, err := c.state.Caller(p.caller(), c.at())
	if err != nil {
		t.Fatal(err)
	}
	if got := store.At(d.Certificate.ValidBefore()); got != x.Expires {
		t.Errorf("certificate until %d, sign-in until %d", got, x.Expires)
	}
	c.do(access.SignOut{By: p.caller()})
	c.refused(access.IssueUserCertificate{By: p.caller(), Key: keys().subject, Nonce: c.random()})
}
