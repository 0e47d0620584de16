package ledger_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/store"
)

// clocks are the system's clock, which can be set, and one that can't.
type clocks struct {
	wall, up atomic.Int64 // nanoseconds
}

// wind gives a house the clocks.
func wind(h *house) *clocks {
	c := &clocks{}
	c.wall.Store(time.Now().UnixNano())
	h.config.Now = func() time.Time { return time.Unix(0, c.wall.Load()) }
	h.config.Uptime = func() time.Duration { return time.Duration(c.up.Load()) }
	return c
}

// pass lets time pass on both, step sets the one that can be set.
func (c *clocks) pass(d time.Duration) { c.wall.Add(int64(d)); c.up.Add(int64(d)) }
func (c *clocks) step(d time.Duration) { c.wall.Add(int64(d)) }

func refusedForClock(t *testing.T, l *ledger.Ledger, p person) {
	t.Helper()
	cert, _, err := l.Issue(t.Context(), p.certificate())
	var refused *access.Refusal
	if cert != nil || !errors.As(err, &refused) || refused.Kind != access.Clock {
		t.Fatalf("certificate %v, error %v; want a refusal for the clock", cert, err)
	}
}

func issued(t *testing.T, l *ledger.Ledger, p person) ledger.Result {
	t.Helper()
	_, r, err := l.Issue(t.Context(), p.certificate())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestS39ClockAhead: a clock that is set ahead while the server runs issues
// nothing until it is right again, or somebody says that it is right.
func TestS39ClockAhead(t *testing.T) {
	h := build(t)
	c := wind(h)
	l := h.open()
	p := employ(t, l, "carol", h.subject)
	issued(t, l, p)

	c.pass(3 * time.Hour) // however long nobody asks for anything
	issued(t, l, p)
	c.step(ledger.MaxClockAhead)
	issued(t, l, p)
	c.step(10 * time.Minute)
	refusedForClock(t, l, p)
	c.pass(2 * time.Hour) // it does not become right by waiting
	refusedForClock(t, l, p)
	c.step(-10 * time.Minute)
	issued(t, l, p)

	c.step(10 * time.Minute)
	refusedForClock(t, l, p)
	if _, err := l.Do(t.Context(), access.AcceptClock{By: byToken(p.token)}); err == nil {
		t.Fatal("a user accepted the clock")
	}
	do(t, l, access.AcceptClock{By: local})
	issued(t, l, p)
	h.close(l)
	h.check()
}

// TestS39FutureLedger: a ledger that was dated into the future decides nothing
// until somebody says that the clock is right; then it goes on from there, and
// searches by time find what came after.
func TestS39FutureLedger(t *testing.T) {
	h := build(t)
	c := wind(h)
	l := h.open()
	p := employ(t, l, "carol", h.subject)
	right := h.config.Now()
	before := issued(t, l, p)
	h.close(l)

	c.step(365 * 24 * time.Hour) // the machine starts with a wrong clock
	l = h.open()
	dated := do(t, l, addUser("dated"))
	c.step(-365 * 24 * time.Hour)
	refusedForClock(t, l, p)
	h.close(l)
	l = h.open()
	refusedForClock(t, l, p)

	do(t, l, access.AcceptClock{By: local})
	c.pass(time.Second)
	after := issued(t, l, p)
	if after.Time <= before.Time || after.Time > store.At(right.Add(time.Minute)) {
		t.Errorf("the entry after is dated %v, the clock says %v", after.Time.Time(), h.config.Now())
	}
	for _, tt := range []struct {
		since time.Time
		want  store.Index
	}{
		{right.Add(-time.Hour), 0},
		{right.Add(time.Second / 2), dated.First}, // what was dated into the future is dated so
		{right.Add(2 * time.Second), after.First + 1},
	} {
		got, err := l.Since(t.Context(), store.At(tt.since))
		if err != nil || got != tt.want {
			t.Errorf("entries since %v begin at %d, %v; want %d", tt.since, got, err, tt.want)
		}
	}
	h.close(l)
	h.check()
	l = h.open()
	if again := issued(t, l, p); again.Time < after.Time {
		t.Error("the time went back over a start")
	}
}
