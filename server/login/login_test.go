package login_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/login"
)

func TestNew(t *testing.T) {
	o := found(t)
	good := login.Config{Ledger: o.ledger, Sealer: o.sealer(), Now: time.Now, Random: rand.Reader}
	for name, spoil := range map[string]func(*login.Config){
		"ledger": func(c *login.Config) { c.Ledger = nil },
		"sealer": func(c *login.Config) { c.Sealer = nil },
		"clock":  func(c *login.Config) { c.Now = nil },
		"random": func(c *login.Config) { c.Random = nil },
	} {
		c := good
		spoil(&c)
		if _, err := login.New(c); err == nil {
			t.Errorf("no %s: made", name)
		}
	}
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := login.NewSealer(random(n), rand.Reader); err == nil {
			t.Errorf("a sealer with a key of %d bytes", n)
		}
	}
	if _, err := login.NewSealer(random(32), nil); err == nil {
		t.Error("a sealer without randomness")
	}
}

// TestS14EnrolCodeIsUsedUp: the code that enrolled does not sign in.
func TestS14EnrolCodeIsUsedUp(t *testing.T) {
	o := found(t)
	seed := o.employ("carol")
	if err := o.try("carol", o.code(seed), home); !errors.Is(err, access.ErrSignIn) {
		t.Errorf("error %v", err)
	}
	// Neither does the one before it, which is still within the drift.
	if err := o.try("carol", totp(seed, o.clock.Now().Add(-30*time.Second), 6), home); !errors.Is(err, access.ErrSignIn) {
		t.Errorf("error %v", err)
	}
	if err := o.try("carol", totp(seed, o.clock.Now().Add(30*time.Second), 6), home); err != nil {
		t.Errorf("the next one: %v", err)
	}
}

// TestS14OneCodeOnce: of a hundred who submit one code at the same time, one
// gets in; and nobody with it later, in any spelling, or after a restart.
func TestS14OneCodeOnce(t *testing.T) {
	o := found(t)
	seed := o.employ("carol")
	o.clock.wait(time.Minute)
	code := o.code(seed)
	results := make([]error, 100)
	var racers sync.WaitGroup // end with their answers
	for i := range results {
		spelling := code
		if i%2 == 1 {
			spelling = code[:3] + " " + code[3:]
		}
		racers.Go(func() { results[i] = o.try("carol", spelling, address(i)) })
	}
	racers.Wait()
	won := 0
	for _, err := range results {
		if err == nil {
			won++
		} else if !errors.Is(err, access.ErrSignIn) && kind(err) != access.Limited {
			t.Errorf("error %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d signed in", won)
	}
	o.restart()
	o.clock.wait(7 * 24 * time.Hour) // so that no limit is in the way
	fresh := o.code(seed)
	if err := o.try("carol", fresh, home); err != nil {
		t.Fatalf("after a restart: %v", err)
	}
	o.restart()
	for _, spelling := range []string{fresh, " " + fresh, fresh[:3] + "-" + fresh[3:], fresh[:3] + "\u00a0" + fresh[3:]} {
		if err := o.try("carol", spelling, home); !errors.Is(err, access.ErrSignIn) {
			t.Errorf("%q again: %v", spelling, err)
		}
	}
}

// TestSpellings: what people type between digits does not count, and nothing
// else is forgiven.
func TestSpellings(t *testing.T) {
	o := found(t)
	seed := o.employ("carol")
	for _, tc := range []struct {
		spell func(string) string
		ok    bool
	}{
		{func(c string) string { return c }, true},
		{func(c string) string { return c[:3] + " " + c[3:] }, true},
		{func(c string) string { return " " + c + " " }, true},
		{func(c string) string { return c[:3] + "-" + c[3:] }, true},
		{func(c string) string { return c[:3] + "\u00a0" + c[3:] }, true},
		{func(string) string { return "" }, false},
		{func(string) string { return " - " }, false},
		{func(c string) string { return c[:5] }, false},
		{func(c string) string { return c + "0" }, false},
		{func(c string) string { return "0" + c }, false},
		{func(c string) string { return c + "\n" }, false},
		{func(c string) string { return c + "\x00" }, false},
		{func(c string) string { return strings.Repeat(c, 10_000) }, false},
		{func(c string) string { return string([]rune{rune(c[0]) - '0' + '０'}) + c[1:] }, false},
	} {
		o.clock.wait(login.Window)
		text := tc.spell(o.code(seed))
		if err := o.try("carol", text, home); (err == nil) != tc.ok {
			t.Errorf("%.40q: error %v", text, err)
		}
	}
}

// TestDrift: a clock may be off by one step.
func TestDrift(t *testing.T) {
	for drift, ok := range map[int]bool{-3: false, -2: false, -1: true, 0: true, 1: true, 2: false, 3: false} {
		o := found(t)
		seed := o.employ("carol")
		o.clock.wait(10 * time.Minute)
		err := o.try("carol", totp(seed, o.clock.Now().Add(time.Duration(drift)*30*time.Second), 6), home)
		if (err == nil) != ok {
			t.Errorf("drift %d: error %v", drift, err)
		}
	}
}

// TestWhoCantSignIn: one answer for all of them.
func TestWhoCantSignIn(t *testing.T) {
	o := found(t)
	seed := o.employ("carol")
	o.invite("bob") // has not enrolled
	o.clock.wait(time.Minute)
	for name, handle := range map[string]string{"nobody": "mallory", "invited only": "bob", "no handle": "", "in capitals": "CAROL", "a space": "carol "} {
		if err := o.try(handle, o.code(seed), home); !errors.Is(err, access.ErrSignIn) || err.Error() != access.ErrSignIn.Error() {
			t.Errorf("%s: error %v", name, err)
		}
	}
	o.do(access.RemoveUser{By: access.Caller{Local: true}, Handle: "carol"})
	if err := o.try("carol", o.code(seed), home); !errors.Is(err, access.ErrSignIn) {
		t.Errorf("removed: error %v", err)
	}
}

// TestRandomFails: without randomness nothing is opened and nothing enrolled.
func TestRandomFails(t *testing.T) {
	o := found(t)
	seed := o.employ("carol")
	o.clock.wait(time.Minute)
	broken := errors.New("no entropy")
	made := func(random io.Reader) (*login.Login, error) {
		return login.New(login.Config{Ledger: o.ledger, Sealer: o.sealer(), Now: o.clock.Now, Random: random})
	}
	if _, err := made(failing{broken}); !errors.Is(err, broken) {
		t.Errorf("made without randomness: %v", err)
	}
	// There is enough of it for the key of challenges, and then no more.
	l, err := made(io.MultiReader(bytes.NewReader(random(32)), failing{broken}))
	if err != nil {
		t.Fatal(err)
	}
	if c, _, err := l.ChallengeBot("ci", home); !errors.Is(err, broken) || c != nil {
		t.Errorf("a challenge: %x, %v", c, err)
	}
	size := o.ledger.State().Next()
	if _, err := l.SignIn(t.Context(), login.Proof{Handle: "carol", Code: o.code(seed)}, home); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if o.ledger.State().Next() != size {
		t.Error("a sign-in was appended")
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
