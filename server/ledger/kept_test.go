package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/bolt"
)

// lively is a world with several snapshots of its past, all of them kept.
func lively(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, 3)
	for w.ledger.State().Next() < 6*keptEvery {
		w.act()
	}
	w.settle()
	w.log.take()
	return w
}

// keptIn returns what is kept, with its data.
func (w *world) keptIn() []store.Snapshot {
	w.Helper()
	heads, err := w.backend.KeptSnapshots(context.Background())
	if err != nil {
		w.Fatal(err)
	}
	for i, s := range heads {
		if heads[i], err = w.backend.KeptSnapshot(context.Background(), s.Size); err != nil {
			w.Fatal(err)
		}
	}
	return heads
}

func (w *world) keep(s store.Snapshot) {
	w.Helper()
	if err := w.backend.KeepSnapshot(context.Background(), s); err != nil {
		w.Fatal(err)
	}
}

// TestS40SpoiledPast: a kept snapshot that is not this server's own, of this
// ledger and of that moment is not used; that is said, the answer is right all the
// same, and the snapshot is made anew.
func TestS40SpoiledPast(t *testing.T) {
	w := lively(t)
	all := w.keptIn()
	if len(all) < 6 {
		t.Fatalf("%d snapshots are kept", len(all))
	}
	latest, stranger := w.latest(), lively(t).keptIn()
	at := 3
	good := all[at]
	moment := w.momentOf(good.Size)
	for name, spoil := range map[string]func(*store.Snapshot){
		"a byte of the MAC":          func(s *store.Snapshot) { s.Data[3] ^= 1 },
		"a byte of the state":        func(s *store.Snapshot) { s.Data[len(s.Data)/2] ^= 1 },
		"cut short":                  func(s *store.Snapshot) { s.Data = s.Data[:len(s.Data)-1] },
		"nothing but the MAC":        func(s *store.Snapshot) { s.Data = s.Data[:32] },
		"empty":                      func(s *store.Snapshot) { s.Data = nil },
		"another root":               func(s *store.Snapshot) { s.Root[0] ^= 1 },
		"another ledger's":           func(s *store.Snapshot) { *s = stranger[at] },
		"that of another moment":     func(s *store.Snapshot) { s.Data = all[at-1].Data },
		"all of another moment":      func(s *store.Snapshot) { *s = all[at-1]; s.Size = good.Size },
		"the latest, which is other": func(s *store.Snapshot) { s.Data, s.Root = latest.Data, latest.Root },
		"the version of another":     func(s *store.Snapshot) { s.Data, s.Version = stranger[at].Data, access.FoldVersion },
	} {
		t.Run(name, func(t *testing.T) {
			s := good
			s.Data = bytes.Clone(s.Data)
			spoil(&s)
			w.keep(s)
			readAll(t, w.backend).sameAt(t, w.ledger, moment)
			if logged := w.log.take(); !strings.Contains(logged, "a snapshot of the past is not used") {
				t.Errorf("logged %q", logged)
			}
			w.settle()
			if diff := cmp.Diff(all, w.keptIn()); diff != "" {
				t.Errorf("what is kept after that (-want +got):\n%s", diff)
			}
		})
	}
}

// latest is the snapshot that a start would use.
func (w *world) latest() store.Snapshot {
	w.Helper()
	w.close(w.ledger)
	w.ledger = w.openOver(w.wrap)
	s, err := w.backend.Snapshot(context.Background())
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// momentOf is one that the past after size entries is the state of, or one of few
// entries more.
func (w *world) momentOf(size uint64) store.Millis {
	w.Helper()
	r := readAll(w, w.backend)
	for _, e := range r.entries[size-1:] {
		if n := r.size(e.Time); n >= int(size) && n < int(size)+keptEvery {
			return e.Time
		}
	}
	w.Fatalf("no moment has the first %d entries", size)
	return 0
}

// TestS30ChangedPast: entries that somebody changed in the back end, and their
// leaves in the tree with them, make no answer.
func TestS30ChangedPast(t *testing.T) {
	w := newWorld(t, 1)
	w.config = ledger.KeepEvery(w.config, 1000) // all is folded from the birth on
	w.restart()
	p := employ(t, w.ledger, "carol", w.subject)
	do(t, w.ledger, addUser("bob"))
	moment := w.ledger.State().Time()
	w.pass(time.Second)
	do(t, w.ledger, access.RemoveUser{By: local, Handle: "carol"})
	var changed atomic.Pointer[store.Entry]
	e, _, err := w.ledger.Entry(t.Context(), p.grant)
	if err != nil {
		t.Fatal(err)
	}
	e.Event.(*store.GrantAdded).Logins = []store.Login{"deploy"}
	data, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	w.wrap = func(b store.Backend) store.Backend {
		return tampered{Backend: b, record: func(i store.Index, was []byte) []byte {
			if changed.Load() != nil && i == p.grant {
				return data
			}
			return was
		}, hash: func(i int64, was store.Hash) store.Hash {
			if changed.Load() != nil && i == tlog.StoredHashIndex(0, int64(p.grant)) {
				return store.Hash(tlog.RecordHash(data))
			}
			return was
		}}
	}
	w.restart()
	if _, err := w.ledger.At(t.Context(), moment); err != nil {
		t.Fatalf("before anything was changed: %v", err)
	}
	changed.Store(e)
	if _, err := w.ledger.At(t.Context(), moment); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("with a changed grant: %v, want ErrCorrupt", err)
	}
}

// TestUpgradedFold: snapshots of another version of the fold are made anew beside
// the writer, from the oldest on; the next start goes on where the last ended, and
// questions are answered meanwhile.
func TestUpgradedFold(t *testing.T) {
	w := lively(t)
	for _, s := range w.keptIn() {
		s.Version--
		w.keep(s)
	}
	gate := &keepGate{left: 2}
	w.wrap = func(b store.Backend) store.Backend { return gatedKeeper{b, gate} }
	w.close(w.ledger)
	w.ledger = w.openOver(w.wrap)
	await(t, func() bool { there, _ := w.ledger.Kept(); return there == 2 })
	if there, due := w.ledger.Kept(); there != 2 || due < 6 {
		t.Fatalf("%d of %d are kept", there, due)
	}
	if logged := w.log.take(); !strings.Contains(logged, "snapshots of the past are being made") {
		t.Errorf("logged %q", logged)
	}
	w.compare(10)
	do(t, w.ledger, addUser("meanwhile")) // the writer goes on
	w.close(w.ledger)                     // and does not wait for what is held up

	size := w.size()
	for _, s := range w.afterwards() {
		want := uint64(access.FoldVersion)
		if s.Size > 2*keptEvery && s.Size <= size-size%keptEvery && s.Version != want-1 {
			t.Errorf("the snapshot at %d is of version %d", s.Size, s.Version)
		}
		if s.Size <= 2*keptEvery && s.Version != want {
			t.Errorf("the snapshot at %d is of version %d", s.Size, s.Version)
		}
	}
	gate = &keepGate{left: 1 << 30}
	w.ledger = w.openOver(w.wrap)
	w.settle()
	if _, due := w.ledger.Kept(); gate.made.Load() != int64(due-2) {
		t.Errorf("%d were made after the restart, want %d", gate.made.Load(), due-2)
	}
	w.compare(10)
	for _, s := range w.keptIn() {
		if s.Version != access.FoldVersion {
			t.Errorf("the snapshot at %d is of version %d", s.Size, s.Version)
		}
	}
}

// afterwards is what a ledger that nobody has open keeps.
func (w *world) afterwards() []store.Snapshot {
	w.Helper()
	b, err := bolt.Open(w.path())
	if err != nil {
		w.Fatal(err)
	}
	defer b.Close()
	heads, err := b.KeptSnapshots(context.Background())
	if err != nil {
		w.Fatal(err)
	}
	return heads
}

// A keepGate lets so many snapshots of the past be kept; the next waits until its
// context ends.
type keepGate struct {
	left int64
	made atomic.Int64
}

type gatedKeeper struct {
	store.Backend
	gate *keepGate
}

func (b gatedKeeper) KeepSnapshot(ctx context.Context, s store.Snapshot) error {
	if b.gate.made.Load() >= b.gate.left {
		<-ctx.Done()
		return ctx.Err()
	}
	err := b.Backend.KeepSnapshot(ctx, s)
	b.gate.made.Add(1)
	return err
}

// TestKeepingFails: where nothing can be kept the writer goes on, and so do the
// answers.
func TestKeepingFails(t *testing.T) {
	w := newWorld(t, 5)
	w.wrap = func(b store.Backend) store.Backend { return brokenKeeper{b} }
	w.restart()
	for range 40 {
		w.act()
	}
	await(t, func() bool { return strings.Contains(w.log.take(), "could not be kept") })
	if there, due := w.ledger.Kept(); there != 0 || due == 0 {
		t.Errorf("%d of %d are kept", there, due)
	}
	w.compare(10)
	w.wrap = bare
	w.restart()
	w.settle()
	w.compare(10)
}

type brokenKeeper struct{ store.Backend }

func (brokenKeeper) KeepSnapshot(context.Context, store.Snapshot) error {
	return fmt.Errorf("%w: as the disk says", store.ErrFull)
}
