package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/store"
)

// A replay is the slow and obvious way to a past moment: all entries from the
// first on, each looked at.
type replay struct {
	entries []*store.Entry
	texts   map[store.Commitment]string
}

// readAll reads the ledger and the texts beside it.
func readAll(t testing.TB, b store.Backend) *replay {
	t.Helper()
	r := &replay{texts: map[store.Commitment]string{}}
	records, err := b.Records(context.Background(), 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range records {
		e, err := store.DecodeEntry(data)
		if err != nil {
			t.Fatal(err)
		}
		r.entries = append(r.entries, e)
	}
	for row, err := range b.SideAll(context.Background(), store.SideOpenings, nil) {
		if err != nil {
			t.Fatal(err)
		}
		o, c, err := store.OpeningOf(row)
		if err != nil {
			t.Fatal(err)
		}
		r.texts[c] = o.Text
	}
	return r
}

// size is how many entries count at a moment.
func (r *replay) size(moment store.Millis) int {
	size := 0
	for i, e := range r.entries {
		at := e.Time
		if accepted, ok := e.Event.(*store.ClockAccepted); ok {
			at = accepted.Time
		}
		if at <= moment {
			size = i + 1
		}
	}
	return size
}

func (r *replay) after(t testing.TB, size int) access.State {
	t.Helper()
	s := access.New()
	for _, e := range r.entries[:size] {
		var err error
		if s, err = access.Apply(s, e, func(c store.Commitment) (string, bool) { text, ok := r.texts[c]; return text, ok }); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// sameAt compares the ledger's answer for a moment with the replay's.
func (r *replay) sameAt(t testing.TB, l *ledger.Ledger, moment store.Millis) {
	t.Helper()
	got, err := l.At(context.Background(), moment)
	size := r.size(moment)
	if size == 0 {
		var refused *access.Refusal
		if !errors.As(err, &refused) {
			t.Fatalf("before the birth: error %v, want a refusal", err)
		}
		return
	}
	if err != nil {
		t.Fatalf("at %v: %v", moment.Time(), err)
	}
	sameState(t, r.after(t, size), got)
}

// sameState compares two states with the names in them.
func sameState(t testing.TB, want, got access.State) {
	t.Helper()
	if want.Next() != got.Next() {
		t.Fatalf("the state after %d entries, want the one after %d", got.Next(), want.Next())
	}
	wantBytes, err := want.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	gotBytes, err := got.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(wantBytes, gotBytes) {
		t.Fatalf("another state after %d entries", want.Next())
	}
	if diff := cmp.Diff(handlesIn(want), handlesIn(got)); diff != "" {
		t.Fatalf("names after %d entries (-want +got):\n%s", want.Next(), diff)
	}
}

func handlesIn(s access.State) map[store.Handle]store.UserID {
	found := map[store.Handle]store.UserID{}
	for u := range s.Users() {
		if by, ok := s.UserByHandle(u.Handle); ok {
			found[u.Handle] = by.ID
		}
	}
	return found
}

// moments are some that matter: on entries, beside them, before the first and
// behind the last.
func (r *replay) moments(random *rand.Rand, n int) []store.Millis {
	last := slices.MaxFunc(r.entries, func(a, b *store.Entry) int { return int(a.Time - b.Time) })
	first := r.entries[0].Time
	found := []store.Millis{first - 1, first, last.Time, last.Time + 1}
	for range n {
		e := r.entries[random.IntN(len(r.entries))]
		found = append(found, e.Time, e.Time-1, e.Onward(), e.Onward()+store.Millis(random.IntN(3000)-1500))
	}
	return found
}

// sameBetween compares the bounds of the entries between two moments.
func (r *replay) sameBetween(t testing.TB, l *ledger.Ledger, from, to store.Millis) {
	t.Helper()
	first, next, err := l.Between(context.Background(), from, to)
	var refused *access.Refusal
	if from > to || r.size(to) == 0 {
		if !errors.As(err, &refused) {
			t.Fatalf("from %d to %d: error %v, want a refusal", from, to, err)
		}
		return
	}
	if err != nil || int(first) != r.size(from) || int(next) != r.size(to) {
		t.Fatalf("from %d to %d: entries %d to %d, want %d to %d: %v", from, to, first, next, r.size(from), r.size(to), err)
	}
}
