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
		return access.SignInWithTOTP{User: p.id, Step: step, Token: c.hash(), Source: "192.0.2.7", Salt: c.random()}
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
	if want := c.at() + store.Millis(access.SignInLife.Milliseconds()); e.Expires != want || e.User != p.id || e.Token != p.token || e.Step != p.step {
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
		c.wait(access.SignInLife)
		c.signIn(&other)
	}
	if grown := len(snapshot(t, c.state)) - size; grown > 8 {
		t.Errorf("the state grew by %d bytes over expired sign-ins", grown)
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
	p := c.employ("carol")
	c.wait(access.SignInLife - time.Minute)
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
