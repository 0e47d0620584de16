package ledger_test

import (
	"context"
	"errors"
	"testing"

	"github.com/vaultpam/vaultpam/store"
)

// A slowSaver is a back end that holds up snapshots until it is told what to do
// with them.
type slowSaver struct {
	store.Backend
	reached chan store.Snapshot
	release chan error // nil: save it
}

func (b slowSaver) SaveSnapshot(ctx context.Context, s store.Snapshot) error {
	b.reached <- s
	if err := <-b.release; err != nil {
		return err
	}
	return b.Backend.SaveSnapshot(ctx, s)
}

// TestSnapshotMeanwhile: entries go on while a snapshot is being saved, and what
// could not be saved is tried again at the end.
func TestSnapshotMeanwhile(t *testing.T) {
	h := build(t)
	h.close(h.open())
	saver := slowSaver{reached: make(chan store.Snapshot, 1), release: make(chan error, 1)}
	l := h.openOver(func(b store.Backend) store.Backend {
		saver.Backend = b
		return saver
	})
	l.SnapshotEvery(1)
	do(t, l, addUser("bob"))
	held := <-saver.reached
	do(t, l, addUser("dana"))
	if size := l.State().Next(); uint64(size) <= held.Size {
		t.Fatalf("the ledger has %d entries, the snapshot that is being saved %d", size, held.Size)
	}
	saver.release <- errors.New("no room for it")
	closed := make(chan error)
	go func() { closed <- l.Close() }() // ends with the test
	last := <-saver.reached
	saver.release <- nil
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	if size := l.State().Next(); uint64(size) != last.Size {
		t.Errorf("the ledger has %d entries, its last snapshot %d", size, last.Size)
	}
}
