package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// TestAtWorlds lets things happen at random, with clocks that are wrong and set
// right, and restarts and crashes between. Whatever is kept by then, the state of
// any moment is the one that reading everything from the birth on makes, and the
// entries between two moments make the one state of the other.
func TestAtWorlds(t *testing.T) {
	worlds := uint64(15)
	if os.Getenv("VAULTPAM_CAMPAIGN") == "1" {
		worlds = 1000
	}
	for seed := range worlds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t, seed)
			for range 3 {
				for range 20 + w.rand.IntN(20) {
					w.act()
				}
				if w.rand.IntN(2) == 0 {
					w.settle()
				}
				w.compare(10)
				w.restart()
			}
			w.settle()
			w.compare(30)
			if logged := w.log.take(); strings.Contains(logged, "WARN") && strings.Contains(logged, "not used") {
				t.Errorf("what was kept was not used:\n%s", logged)
			}
		})
	}
}

// compare holds many moments against a replay.
func (w *world) compare(n int) {
	w.Helper()
	r := readAll(w, w.backend)
	moments := r.moments(w.rand, n)
	for _, moment := range moments {
		r.sameAt(w, w.ledger, moment)
	}
	for range n {
		r.sameBetween(w, w.ledger, one(w, moments), one(w, moments))
	}
}

// TestAtBounds: the moments around a birth, several entries at one moment, and
// moments to come.
func TestAtBounds(t *testing.T) {
	w := newWorld(t, 1)
	l := w.ledger
	birth := l.State().Time()
	var refused *access.Refusal
	if _, err := l.At(t.Context(), birth-1); !errors.As(err, &refused) || refused.Kind != access.NotFound ||
		!strings.Contains(refused.Message, birth.Time().UTC().Format(time.DateTime)) {
		t.Errorf("before the birth: %v", err)
	}
	if _, _, err := l.Between(t.Context(), birth-2, birth-1); !errors.As(err, &refused) || refused.Kind != access.NotFound {
		t.Errorf("between two moments before the birth: %v", err)
	}
	if _, _, err := l.Between(t.Context(), birth+1, birth); !errors.As(err, &refused) || refused.Kind != access.Invalid {
		t.Errorf("from a moment to an earlier one: %v", err)
	}
	if s, err := l.At(t.Context(), birth); err != nil || s.Next() != l.State().Next() {
		t.Errorf("at the birth: %d entries, %v", s.Next(), err)
	}
	do(t, l, addUser("bob"))
	do(t, l, addUser("carol")) // at the same moment
	both := l.State()
	w.pass(time.Second)
	do(t, l, access.RemoveUser{By: local, Handle: "bob"})
	for _, tt := range []struct {
		name   string
		moment store.Millis
		want   access.State
	}{
		{"of both", both.Time(), both},
		{"just before the next", l.State().Time() - 1, both},
		{"of the last", l.State().Time(), l.State()},
		{"to come", l.State().Time() + 1_000_000, l.State()},
	} {
		got, err := l.At(t.Context(), tt.moment)
		if err != nil {
			t.Fatalf("the moment %s: %v", tt.name, err)
		}
		sameState(t, tt.want, got)
	}
	first, next, err := l.Between(t.Context(), birth-1, both.Time())
	if err != nil || first != 0 || next != both.Next() {
		t.Errorf("from before the birth: entries %d to %d, %v", first, next, err)
	}
}

// TestAtAcrossReset: what was dated into the future counts from when the clock was
// accepted, and a moment that the ledger's clock went through twice is the second.
func TestAtAcrossReset(t *testing.T) {
	w := newWorld(t, 1)
	l := w.ledger
	do(t, l, addUser("before"))
	before := l.State()
	w.pass(time.Hour)
	do(t, l, addUser("dated"))
	dated := l.State()
	w.step(-time.Hour)
	w.pass(time.Second)
	do(t, l, access.AcceptClock{By: local})
	accepted := l.State()
	w.pass(time.Minute)
	do(t, l, addUser("after"))
	after := l.State()
	w.pass(2 * time.Hour)
	do(t, l, addUser("later"))
	for _, tt := range []struct {
		name   string
		moment store.Millis
		want   access.State
	}{
		{"just before the clock was accepted", accepted.Time() - 1, before},
		{"at which it was accepted", accepted.Time(), accepted},
		{"before the next entry", after.Time() - 1, accepted},
		{"of the next entry", after.Time(), after},
		{"that the wrong clock showed", dated.Time(), after},
	} {
		got, err := l.At(t.Context(), tt.moment)
		if err != nil {
			t.Fatalf("the moment %s: %v", tt.name, err)
		}
		if got.Next() != tt.want.Next() {
			t.Errorf("the moment %s: %d entries, want %d", tt.name, got.Next(), tt.want.Next())
		}
		sameState(t, tt.want, got)
	}
}

// TestAtNames: a handle is in a past state as it is in the present one, and gone
// from both where it was erased.
func TestAtNames(t *testing.T) {
	w := newWorld(t, 1)
	p := employ(t, w.ledger, "carol", w.subject)
	moment := w.ledger.State().Time()
	w.pass(time.Second)
	do(t, w.ledger, access.RemoveUser{By: local, Handle: "carol"})
	for i := range 2 * keptEvery {
		w.pass(time.Second)
		do(t, w.ledger, addUser(fmt.Sprintf("user%d", i)))
	}
	w.settle()
	for range 2 {
		s, err := w.ledger.At(t.Context(), moment)
		if err != nil {
			t.Fatal(err)
		}
		if u, ok := s.UserByHandle("carol"); !ok || u.ID != p.id || u.Handle != "carol" {
			t.Errorf("carol is %+v, %v", u, ok)
		}
		w.restart()
	}
	var erased []store.SideWrite
	for row, err := range w.backend.SideAll(t.Context(), store.SideOpenings, p.id[:]) {
		if err != nil {
			t.Fatal(err)
		}
		erased = append(erased, store.SideWrite{Table: store.SideOpenings, Key: row.Key})
	}
	if err := w.backend.WriteSide(t.Context(), erased); err != nil {
		t.Fatal(err)
	}
	w.restart()
	s, err := w.ledger.At(t.Context(), moment)
	if err != nil {
		t.Fatal(err)
	}
	if u, ok := s.User(p.id); !ok || u.Handle != "" {
		t.Errorf("after erasing, carol is %+v, %v", u, ok)
	}
	if _, ok := s.UserByHandle("carol"); ok {
		t.Error("after erasing, the handle is still found")
	}
}

// TestAtMeanwhile asks for moments while the writer and the keeper are at work.
func TestAtMeanwhile(t *testing.T) {
	w := newWorld(t, 1)
	for range 30 {
		w.act()
	}
	r := readAll(t, w.backend)
	newest := store.Millis(0)
	for _, e := range r.entries {
		newest = max(newest, e.Time) // whatever comes is behind it
	}
	if ahead := newest - store.At(w.config.Now()); ahead >= 0 {
		w.pass(time.Duration(ahead+1) * time.Millisecond)
	}
	var group errgroup.Group // ends with the last question
	var over atomic.Bool
	for seed := range uint64(4) {
		group.Go(func() error {
			random := rand.New(rand.NewPCG(seed, 9))
			for n := 0; n < 20 || !over.Load(); n++ {
				e := r.entries[random.IntN(len(r.entries))]
				got, err := w.ledger.At(context.Background(), e.Time)
				if err != nil {
					return err
				}
				if want := r.size(e.Time); int(got.Next()) != want {
					return fmt.Errorf("at %d: %d entries, want %d", e.Time, got.Next(), want)
				}
			}
			return nil
		})
	}
	for range 60 {
		w.pass(time.Millisecond)
		w.try(addUser(w.name("late")))
	}
	over.Store(true)
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.compare(20)
}
