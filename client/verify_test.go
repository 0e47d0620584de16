package client_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

func noProgress(uint64, uint64) {}

func TestS30VerifyNamesTheFirstBadEntry(t *testing.T) {
	const size = 45
	type change func(f *fake, l *ledger)
	forge := func(index uint64) change {
		// The database was edited: the entry, and not the tree beside it.
		return func(f *fake, l *ledger) { l.records[index] = f.record(index, "forged") }
	}
	for _, tt := range []struct {
		name   string
		change change
		index  uint64
	}{
		{"first", forge(0), 0},
		{"second", forge(1), 1},
		{"at the end of a page", forge(6), 6},
		{"at the beginning of a page", forge(7), 7},
		{"in the middle", forge(31), 31},
		{"last", forge(size - 1), size - 1},
		{"two", func(f *fake, l *ledger) { forge(33)(f, l); forge(12)(f, l) }, 12},
		{"not an entry", func(_ *fake, l *ledger) { l.records[20] = []byte("nonsense") }, 20},
		{"swapped", func(_ *fake, l *ledger) { l.records[20], l.records[21] = l.records[21], l.records[20] }, 20},
		{"a year earlier", func(f *fake, l *ledger) {
			e, err := store.DecodeEntry(l.records[22])
			if err != nil {
				f.t.Fatal(err)
			}
			e.Time -= 365 * 24 * 3600 * 1000
			if l.records[22], err = e.Encode(); err != nil {
				f.t.Fatal(err)
			}
		}, 22},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			l := f.grow(nil, size, "a")
			tt.change(f, l)
			f.use(l)
			_, err := f.open(t, newHome(t, nil)).Verify(t.Context(), noProgress)
			var bad *client.BadEntryError
			if !errors.As(err, &bad) || bad.Index != tt.index {
				t.Errorf("got %v, want entry %d not to verify", err, tt.index)
			}
		})
	}
}

// A clock that ran backwards was signed over like everything else: the hashes
// are right, and the entries are not.
func TestVerifyRefusesTimesThatGoBack(t *testing.T) {
	f := newFake(t)
	l := f.grow(nil, 30, "a")
	e, err := store.DecodeEntry(l.records[22])
	if err != nil {
		t.Fatal(err)
	}
	e.Time -= 1000
	if l.records[22], err = e.Encode(); err != nil {
		t.Fatal(err)
	}
	f.use(f.grow(l, 30, "a")) // hashed and signed anew
	_, err = f.open(t, newHome(t, nil)).Verify(t.Context(), noProgress)
	var bad *client.BadEntryError
	if !errors.As(err, &bad) || bad.Index != 22 {
		t.Errorf("got %v, want entry 22 not to verify", err)
	}
}

func TestS30VerifyRefusesARewrittenTree(t *testing.T) {
	f := newFake(t)
	h := newHome(t, nil)
	true1 := f.grow(nil, 40, "a")
	forged := *true1
	forged.records = append([][]byte(nil), true1.records...)
	forged.records[11] = f.record(11, "forged")
	whole := f.grow(&forged, 40, "a")
	whole.signed = true1.signed // without the log key
	f.use(whole)
	_, err := f.open(t, h).Verify(t.Context(), noProgress)
	var bad *client.BadEntryError
	if !errors.As(err, &bad) || bad.Index > 11 {
		t.Errorf("got %v, want an entry not after 11 not to verify", err)
	}
}

func TestVerifyTellsSizeAndRoot(t *testing.T) {
	f := newFake(t)
	h := newHome(t, nil)
	f.use(f.grow(nil, 20, "a"))
	follow(t, f.open(t, h))
	l := f.grow(f.current(), 45, "a")
	f.use(l)
	var steps []uint64
	got, err := f.open(t, h).Verify(t.Context(), func(done, _ uint64) { steps = append(steps, done) })
	if err != nil {
		t.Fatal(err)
	}
	want := client.Verified{Checkpoint: store.Checkpoint{Origin: store.Origin(serverName), Size: 45, Root: l.tree.Root()}, Since: 20}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]uint64{7, 14, 21, 28, 35, 42, 45}, steps); diff != "" {
		t.Error(diff)
	}
}

// A server that goes silent in the middle, or answers for another place, is
// refused and not waited for.
func TestVerifyRefusesMissingPages(t *testing.T) {
	f := newFake(t)
	f.use(f.grow(nil, 20, "a"))
	for name, r := range map[string]api.RawResponse{
		"nothing":       {From: 0},
		"another place": {From: 3, Records: f.current().records[3:]},
	} {
		t.Run(name, func(t *testing.T) {
			f.handle(api.RouteRaw, func(w http.ResponseWriter, _ *http.Request) { answer(w, r) })
			_, err := f.open(t, newHome(t, nil)).Verify(t.Context(), noProgress)
			var bad *client.BadEntryError
			if !errors.As(err, &bad) || bad.Index != 0 {
				t.Errorf("got %v, want entry 0 not to verify", err)
			}
		})
	}
}
