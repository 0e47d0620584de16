package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/store"
)

// second opens another writer over the same back end.
func (h *house) second(wrap func(store.Backend) store.Backend) *ledger.Ledger {
	h.Helper()
	c := h.config
	c.Backend = wrap(h.backend.Backend)
	l, err := ledger.Open(context.Background(), c)
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { _ = l.Close() })
	return l
}

func bare(b store.Backend) store.Backend { return b }

// TestS10TwoWriters: two writers over one back end never fork it: every command
// that was answered is one entry, serials are unique, and what one has revoked
// the other does not allow.
func TestS10TwoWriters(t *testing.T) {
	const clients, each = 8, 25
	h := build(t)
	a := h.open()
	p := employ(t, a, "carol", h.subject)
	size := a.State().Next()
	ledgers := []*ledger.Ledger{a, h.second(bare)}
	var group errgroup.Group // ends with the clients' last command
	serials := make([][]uint64, clients)
	for c := range clients {
		group.Go(func() error {
			for range each {
				cert, r, err := ledgers[c%2].Issue(context.Background(), p.certificate())
				if err != nil {
					return err
				}
				if cert.Serial != uint64(r.First) {
					return fmt.Errorf("serial %d in entry %d", cert.Serial, r.First)
				}
				serials[c] = append(serials[c], cert.Serial)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	seen := map[uint64]bool{}
	for _, s := range serials {
		for _, serial := range s {
			if seen[serial] {
				t.Errorf("serial %d twice", serial)
			}
			seen[serial] = true
		}
	}
	do(t, ledgers[1], access.RemoveUser{By: local, Handle: "carol"})
	var refused *access.Refusal
	if cert, _, err := a.Issue(t.Context(), p.certificate()); !errors.As(err, &refused) || cert != nil {
		// The first writer has not seen the removal: its append finds out.
		t.Errorf("certificate %v after the other writer's revocation, error %v", cert, err)
	}
	for _, l := range ledgers {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	head, err := h.backend.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := uint64(size) + clients*each + 1; head.Size != want {
		t.Errorf("%d entries, want %d", head.Size, want)
	}
	h.close(a)
	h.check()
}

// TestConflictForEver: a writer that is always too late says so, and goes on.
func TestConflictForEver(t *testing.T) {
	h := build(t)
	l := h.open()
	h.backend.set(func(int, store.Batch) error { return store.ErrConflict }, nil)
	if _, err := l.Do(t.Context(), addUser("bob")); !errors.Is(err, store.ErrConflict) {
		t.Errorf("error %v, want ErrConflict", err)
	}
	h.backend.set(nil, nil)
	do(t, l, addUser("bob"))
}

// TestConflictThenUnreadable: a writer that can't catch up stops.
func TestConflictThenUnreadable(t *testing.T) {
	h := build(t)
	var blind atomic.Bool
	l := h.openOver(func(b store.Backend) store.Backend {
		return tampered{Backend: b, head: func(head store.Head) store.Head {
			if blind.Load() {
				head.Checkpoint = []byte("strange")
			}
			return head
		}}
	})
	blind.Store(true)
	h.backend.set(func(int, store.Batch) error { return store.ErrConflict }, nil)
	if _, err := l.Do(t.Context(), addUser("bob")); !errors.Is(err, store.ErrUncertain) {
		t.Errorf("error %v, want ErrUncertain", err)
	}
	<-l.Stopped()
	if !errors.Is(l.Err(), store.ErrCheckpoint) {
		t.Errorf("error %v, want ErrCheckpoint", l.Err())
	}
}

// TestCatchUpIsOneMoment: while a writer catches up, the other one appends. What
// it sees then is one moment: as many entries as its checkpoint says.
func TestCatchUpIsOneMoment(t *testing.T) {
	h := build(t)
	a := h.open()
	var l *ledger.Ledger
	var busy atomic.Bool
	n := 0
	meddle := func(head store.Head) store.Head {
		if busy.Load() {
			n++
			do(t, a, addUser(fmt.Sprintf("late%d", n)))
		}
		return head
	}
	l = h.second(func(b store.Backend) store.Backend { return tampered{Backend: b, head: meddle} })
	do(t, a, addUser("bob")) // now l is behind
	busy.Store(true)
	got := make(chan error, 1)
	changed := l.Changed()
	go func() { // ends with its answer
		_, err := l.Do(context.Background(), addUser("carol"))
		got <- err
	}()
	<-changed
	busy.Store(false)
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	if n == 0 {
		t.Error("nobody meddled")
	}
	for i := range l.State().Next() {
		if _, _, err := l.Entry(t.Context(), i); err != nil {
			t.Error(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	h.close(a)
	h.check()
}

// TestViewIsOneMoment: the state that a catch-up shows has as many entries as
// the checkpoint beside it.
func TestViewIsOneMoment(t *testing.T) {
	h := build(t)
	a := h.open()
	meddled := false
	l := h.second(func(b store.Backend) store.Backend {
		return tampered{Backend: b, snapshot: func(s store.Snapshot) (store.Snapshot, error) {
			// Between reading the head and reading the entries.
			if !meddled {
				meddled = true
				do(t, a, addUser("late"))
			}
			return s, store.ErrNotFound
		}}
	})
	cp, err := store.OpenCheckpoint(l.Checkpoint(), l.Origin(), l.LogPublicKey())
	if err != nil {
		t.Fatal(err)
	}
	if !meddled || cp.Size != uint64(l.State().Next()) {
		t.Errorf("a state of %d entries beside a checkpoint of %d", l.State().Next(), cp.Size)
	}
	do(t, l, addUser("bob"))
	if _, ok := l.State().UserByHandle("late"); !ok {
		t.Error("the other writer's entry is missing")
	}
	if bytes.Equal(a.Checkpoint(), l.Checkpoint()) {
		t.Error("the first writer knows of what it was not told")
	}
}
