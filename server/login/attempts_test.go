package login_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/login"
)

// TestS15PerSource: ten failures from one source, and it has to wait, also after
// a restart; others don't.
func TestS15PerSource(t *testing.T) {
	o := found(t)
	seed := o.employ("carol")
	o.clock.wait(time.Minute)
	for i := range login.LimitPerPair {
		if err := o.try("carol", o.wrong(seed), home); !errors.Is(err, access.ErrSignIn) {
			t.Fatalf("failure %d: %v", i, err)
		}
	}
	limited := func(source login.Client, want bool) {
		t.Helper()
		if err := o.try("carol", o.wrong(seed), source); (kind(err) == access.Limited) != want {
			t.Errorf("from %s: error %v, limited should be %v", source, err, want)
		}
	}
	limited(home, true)
	if err := o.try("carol", o.code(seed), home); kind(err) != access.Limited {
		t.Errorf("with the right code: error %v", err)
	}
	o.restart()
	limited(home, true)
	limited(at("::ffff:192.0.2.7"), true)
	limited(at("192.0.2.8"), false)
	if err := o.try("carol", o.code(seed), at("192.0.2.8")); err != nil {
		t.Errorf("the user from elsewhere: %v", err)
	}
	o.clock.wait(login.Window - time.Second)
	limited(home, true)
	o.clock.wait(time.Second)
	if err := o.try("carol", o.code(seed), home); err != nil {
		t.Errorf("after the window: %v", err)
	}
}

// TestS15IPv6: one /64 is one source.
func TestS15IPv6(t *testing.T) {
	o := found(t)
	seed := o.employ("carol")
	for i := range login.LimitPerPair {
		if err := o.try("carol", o.wrong(seed), at(fmt.Sprintf("2001:db8:0:1::%x", i+1))); !errors.Is(err, access.ErrSignIn) {
			t.Fatal(err)
		}
	}
	if err := o.try("carol", o.wrong(seed), at("2001:db8:0:1:ffff::1")); kind(err) != access.Limited {
		t.Errorf("from the same /64: %v", err)
	}
	if err := o.try("carol", o.wrong(seed), at("2001:db8:0:2::1")); !errors.Is(err, access.ErrSignIn) {
		t.Errorf("from another /64: %v", err)
	}
	if err := o.try("carol", o.wrong(seed), login.Client{}); !errors.Is(err, access.ErrSignIn) {
		t.Errorf("from nowhere: %v", err)
	}
}

// TestS15ParallelGuesses: guessing at once gives no more guesses than guessing
// one after the other.
func TestS15ParallelGuesses(t *testing.T) {
	const guesses = 200
	for name, source := range map[string]func(int) login.Client{"one source": func(int) login.Client { return home }, "many sources": address} {
		t.Run(name, func(t *testing.T) {
			most := login.LimitPerPair
			if name == "many sources" {
				most = login.LimitFree
			}
			o := found(t)
			seed := o.employ("carol")
			wrong := o.wrong(seed)
			held := o.backend.hold() // no guess fails before all have been let in or not
			results := make(chan error, guesses)
			var guessers sync.WaitGroup // end with their answers
			for i := range guesses {
				guessers.Go(func() { results <- o.try("carol", wrong, source(i)) })
			}
			limited := 0
			await(t, func() bool {
				for {
					select {
					case err := <-results:
						if kind(err) != access.Limited {
							t.Errorf("error %v while nothing could fail", err)
						}
						limited++
						continue
					default:
					}
					return limited+o.backend.secretsRead() == guesses
				}
			})
			if got := o.backend.secretsRead(); got > most {
				t.Errorf("%d guesses at once, want at most %d", got, most)
			}
			close(held)
			guessers.Wait()
			if err := o.try("carol", o.code(seed), source(0)); kind(err) != access.Limited {
				t.Errorf("after that: %v", err)
			}
		})
	}
}

func await(t *testing.T, so func() bool) {
	t.Helper()
	ticker := time.NewTicker(100 * time.Microsecond)
	defer ticker.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !so() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatal("it does not come to be")
		}
	}
}

// TestS16UnknownHandles: who guesses handles gets the same answers, in the same
// order, for those that nobody has.
func TestS16UnknownHandles(t *testing.T) {
	answers := func(handle string) []string {
		o := found(t)
		seed := o.employ("carol")
		var texts []string
		for range login.LimitPerPair + 3 {
			texts = append(texts, o.try(handle, o.wrong(seed), home).Error())
		}
		for i := range 200 {
			texts = append(texts, o.try(handle, o.wrong(seed), address(i)).Error())
		}
		for range 100 {
			o.clock.wait(24 * time.Hour)
			texts = append(texts, o.try(handle, o.wrong(seed), home).Error())
		}
		return texts
	}
	known := answers("carol")
	for _, handle := range []string{"mallory", "", "Carol"} {
		unknown := answers(handle)
		for i := range known {
			if known[i] != unknown[i] {
				t.Errorf("try %d at %q: %q, at a known handle %q", i+1, handle, unknown[i], known[i])
				break
			}
		}
	}
}

// TestS16UnknownHandlesApart: failures at one handle that nobody has say nothing
// about another.
func TestS16UnknownHandlesApart(t *testing.T) {
	o := found(t)
	for range login.LimitPerPair + 1 {
		_ = o.try("mallory", "000000", home)
	}
	if err := o.try("mallory", "000000", home); kind(err) != access.Limited {
		t.Errorf("mallory: %v", err)
	}
	if err := o.try("trudy", "000000", home); !errors.Is(err, access.ErrSignIn) {
		t.Errorf("trudy: %v", err)
	}
}

// TestS15Spraying: one source does not get many tries by spreading them over
// many handles, known or not.
func TestS15Spraying(t *testing.T) {
	o := found(t)
	tried := 0
	for i := range 300 {
		err := o.try(fmt.Sprintf("user%d", i), "000000", home)
		if errors.Is(err, access.ErrSignIn) {
			tried++
		} else if kind(err) != access.Limited {
			t.Fatal(err)
		}
	}
	if tried != login.LimitPerSource {
		t.Errorf("%d tries, want %d", tried, login.LimitPerSource)
	}
	if err := o.try("user1", "000000", address(1)); !errors.Is(err, access.ErrSignIn) {
		t.Errorf("from elsewhere: %v", err)
	}
}

// TestS13UnknownNamesAreNeverStored: people type passwords into the field for
// the handle. No file holds them, and no entry tells of them.
func TestS13UnknownNamesAreNeverStored(t *testing.T) {
	const canary = "canary-hunter2"
	o := found(t)
	o.employ("carol")
	for i := range 20 {
		_ = o.try(canary, "424242", address(i))
	}
	size := o.ledger.State().Next()
	if err := o.NoteFailures(t.Context()); err != nil {
		t.Fatal(err)
	}
	if o.ledger.State().Next() != size {
		t.Error("an entry about nobody's failures")
	}
	if err := o.try("carol", "424242", home); err == nil {
		t.Fatal("signed in")
	}
	o.close()
	for _, text := range []string{canary, "424242"} {
		if o.holds([]byte(text)) {
			t.Errorf("the database holds %q", text)
		}
	}
	if !o.holds([]byte("carol")) {
		t.Error("the canary test reads the wrong file")
	}
	o.open()
}
