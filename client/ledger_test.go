package client_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

func follow(t *testing.T, l *client.Ledger) store.Checkpoint {
	t.Helper()
	c, err := l.Follow(t.Context())
	if err != nil {
		t.Fatalf("following: %v", err)
	}
	return c
}

func TestFollowRemembersWhatGrew(t *testing.T) {
	f := newFake(t)
	h := newHome(t, nil)
	for _, size := range []uint64{1, 2, 2, 3, 8, 100, 1000} {
		f.use(f.grow(f.current(), size, "a"))
		// A fresh Ledger each time, as each command is a process of its own.
		l := f.open(t, h)
		if got := follow(t, l); got.Size != size {
			t.Errorf("followed to %d, want %d", got.Size, size)
		}
		if got, err := l.Remembered(); err != nil || got.Size != size {
			t.Errorf("remembered %d (%v), want %d", got.Size, err, size)
		}
	}
	files, err := os.ReadDir(h.RememberedDir())
	if err != nil || len(files) != 1 {
		t.Errorf("%d files are remembered (%v), want the last one alone", len(files), err)
	}
}

func TestS41ForkNamesIndex(t *testing.T) {
	for _, tt := range []struct {
		name  string
		saw   uint64
		shown func(f *fake, l *ledger) *ledger
		index uint64
	}{
		{"rolled back", 20, func(f *fake, l *ledger) *ledger { return f.grow(l, 13, "") }, 13},
		{"last entry dropped", 20, func(f *fake, l *ledger) *ledger { return f.grow(l, 19, "") }, 19},
		{"rolled back and grown to the same size", 20, func(f *fake, l *ledger) *ledger { return f.grow(f.grow(l, 13, ""), 20, "b") }, 20},
		{"rolled back and grown beyond", 20, func(f *fake, l *ledger) *ledger { return f.grow(f.grow(l, 19, ""), 50, "b") }, 20},
		{"another ledger", 20, func(f *fake, _ *ledger) *ledger { return f.grow(nil, 64, "b") }, 20},
		{"another ledger, smaller", 20, func(f *fake, _ *ledger) *ledger { return f.grow(nil, 3, "b") }, 3},
		{"one entry edited", 64, func(f *fake, l *ledger) *ledger {
			edited := *l
			edited.records = append([][]byte(nil), l.records...)
			edited.records[7] = f.record(7, "forged")
			return f.grow(&edited, 65, "a")
		}, 64},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			h := newHome(t, nil)
			before := f.grow(nil, tt.saw, "a")
			f.use(before)
			want := follow(t, f.open(t, h))
			f.use(tt.shown(f, before))

			for range 2 { // the second look is no more forgiving than the first
				l := f.open(t, h)
				_, err := l.Follow(t.Context())
				var fork *client.ForkError
				if !errors.As(err, &fork) || fork.Index != tt.index {
					t.Fatalf("got %v, want a fork at %d", err, tt.index)
				}
				if got, want := fork.Error(), "ledger fork at index "+strconv.FormatUint(tt.index, 10); got != want {
					t.Errorf("message %q, want %q", got, want)
				}
				checkEvidence(t, f, fork, before.signed)
				got, err := l.Remembered()
				if diff := cmp.Diff(want, got); err != nil || diff != "" {
					t.Errorf("what was remembered changed (%v):\n%s", err, diff)
				}
			}
			f.use(f.grow(before, tt.saw+5, "a"))
			if got := follow(t, f.open(t, h)); got.Size != tt.saw+5 {
				t.Errorf("the true ledger is followed to %d", got.Size)
			}
		})
	}
}

// checkEvidence: both checkpoints are kept, signed, and say different things.
func checkEvidence(t *testing.T, f *fake, fork *client.ForkError, remembered []byte) {
	t.Helper()
	for path, want := range map[string][]byte{fork.Remembered: remembered, fork.Shown: f.current().signed} {
		got, err := os.ReadFile(path)
		if diff := cmp.Diff(string(want), string(got)); err != nil || diff != "" {
			t.Errorf("evidence in %s (%v):\n%s", path, err, diff)
		}
	}
}

func TestFollowRefusesCheckpointsOfOthers(t *testing.T) {
	f, other := newFake(t), newFake(t)
	h := newHome(t, nil)
	follow(t, f.open(t, h))
	f.use(other.grow(nil, 9, "a")) // signed by another key
	if _, err := f.open(t, h).Follow(t.Context()); !errors.Is(err, store.ErrCheckpoint) {
		t.Errorf("got %v, want ErrCheckpoint", err)
	}
}

func TestFollowRefusesDamagedMemory(t *testing.T) {
	f := newFake(t)
	h := newHome(t, nil)
	f.use(f.grow(nil, 5, "a"))
	follow(t, f.open(t, h))
	path := filepath.Join(h.RememberedDir(), "00000000000000000005")
	bad := append([]byte(nil), f.grow(nil, 4, "a").signed...) // signed, of another size
	if err := os.WriteFile(path, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.open(t, h).Follow(t.Context()); !errors.Is(err, store.ErrCheckpoint) {
		t.Errorf("got %v, want ErrCheckpoint", err)
	}
}

// Many processes follow a ledger that grows; what is remembered never goes
// back, and none of them sees a fork.
func TestFollowInParallel(t *testing.T) {
	f := newFake(t)
	h := newHome(t, nil)
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			l := f.open(t, h)
			largest := uint64(0)
			for range 20 {
				if worker == 0 {
					f.use(f.grow(f.current(), f.current().tree.Size()+1, "a"))
				}
				if _, err := l.Follow(t.Context()); err != nil {
					t.Errorf("following: %v", err)
					return
				}
				now, err := l.Remembered()
				if err != nil || now.Size < largest {
					t.Errorf("remembered %d after %d (%v)", now.Size, largest, err)
					return
				}
				largest = now.Size
			}
		})
	}
	wg.Wait()
}

func TestEntryIsProved(t *testing.T) {
	f := newFake(t)
	f.use(f.grow(nil, 30, "a"))
	l := f.open(t, newHome(t, nil))
	for _, index := range []store.Index{0, 1, 15, 16, 29} {
		got, err := l.Entry(t.Context(), index)
		if err != nil {
			t.Fatalf("entry %d: %v", index, err)
		}
		if got.Entry.Index != index || got.At.Size != 30 {
			t.Errorf("entry %d: got %d at %d", index, got.Entry.Index, got.At.Size)
		}
	}
	if _, err := l.Entry(t.Context(), 30); !client.IsKind(err, api.KindNotFound) {
		t.Errorf("an entry beyond the end: got %v, want not-found", err)
	}
}

// A server that proves one thing and shows another is refused.
func TestEntryProofIsBoundToWhatIsShown(t *testing.T) {
	f := newFake(t)
	f.use(f.grow(nil, 30, "a"))
	l := f.open(t, newHome(t, nil))
	for name, lie := range map[string]func(r *api.EntryResponse){
		"another entry's bytes and proof": func(r *api.EntryResponse) { *r = f.entry(f.current(), 8, 30) },
		"another entry, renamed":          func(r *api.EntryResponse) { *r = f.entry(f.current(), 8, 30); r.Entry.Index = 7 },
		"another entry's proof":           func(r *api.EntryResponse) { r.Proof = f.entry(f.current(), 8, 30).Proof },
		"forged bytes":                    func(r *api.EntryResponse) { r.Data = f.record(7, "forged") },
		"no proof":                        func(r *api.EntryResponse) { r.Proof = nil },
		"a short hash":                    func(r *api.EntryResponse) { r.Proof[0] = r.Proof[0][:31] },
		"a longer proof":                  func(r *api.EntryResponse) { r.Proof = append(r.Proof, r.Proof[0]) },
		"another type":                    func(r *api.EntryResponse) { r.Entry.Type = "session.started" },
		"another time":                    func(r *api.EntryResponse) { r.Entry.Time = r.Entry.Time.AddDate(0, 0, 1) },
		"another index":                   func(r *api.EntryResponse) { r.Entry.Index = 9 },
	} {
		t.Run(name, func(t *testing.T) {
			f.handle(api.RouteEntry, func(w http.ResponseWriter, _ *http.Request) {
				r := f.entry(f.current(), 7, 30)
				lie(&r)
				answer(w, r)
			})
			var bad *client.BadEntryError
			if _, err := l.Entry(t.Context(), 7); !errors.As(err, &bad) || bad.Index != 7 {
				t.Errorf("got %v, want entry 7 not to verify", err)
			}
		})
	}
}

// A server that knows nothing of ?size= answers for the ledger as it is.
func TestEntryOfAGrowingLedger(t *testing.T) {
	f := newFake(t)
	f.use(f.grow(nil, 10, "a"))
	grown := 0
	f.handle(api.RouteEntry, func(w http.ResponseWriter, _ *http.Request) {
		if grown < 2 {
			grown++
			f.use(f.grow(f.current(), f.current().tree.Size()+1, "a"))
		}
		answer(w, f.entry(f.current(), 7, f.current().tree.Size()))
	})
	l := f.open(t, newHome(t, nil))
	got, err := l.Entry(t.Context(), 7)
	if err != nil || got.At.Size != 12 {
		t.Errorf("got size %d (%v), want 12", got.At.Size, err)
	}
	grown = -100
	if _, err := l.Entry(t.Context(), 7); !client.IsKind(err, api.KindUnavailable) {
		t.Errorf("a ledger that never rests: got %v, want unavailable", err)
	}
}

func TestCancelledCallsSaySo(t *testing.T) {
	f := newFake(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.open(t, newHome(t, nil)).Follow(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}
