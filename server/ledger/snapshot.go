package ledger

import (
	"context"
	"errors"

	"github.com/vaultpam/vaultpam/store"
)

// snapshotEvery is after how many entries a snapshot is saved, besides at the
// end. A start after a crash folds at most so many, and as many as came while one
// was being saved.
const snapshotEvery = 20_000

// saveSnapshot begins to save the state if at least every entries came since the
// last one and none is being saved. The writer goes on meanwhile: encoding a
// large state takes longer than many batches. A snapshot that can't be saved
// costs time at the next start and nothing else.
func (l *Ledger) saveSnapshot(every store.Index) {
	v := l.now.Load()
	if v.state.Next() == l.snapshot || v.state.Next() < l.snapshot+every {
		return
	}
	select {
	case <-l.saved:
	default:
		return
	}
	saved := make(chan struct{})
	l.snapshot, l.saved = v.state.Next(), saved
	go func() { // ends by itself, and the writer not before it
		defer close(saved)
		s, err := sealSnapshot(l.SnapshotKey, v)
		if err == nil {
			err = l.Backend.SaveSnapshot(context.Background(), s)
		}
		if l.unsaved = err != nil; l.unsaved {
			l.Log.Warn("no snapshot was saved", "error", err)
		}
	}()
}

// saveLast saves the state that is the last, unless that has been done.
func (l *Ledger) saveLast() {
	<-l.saved
	if l.unsaved {
		l.snapshot = 0
	}
	l.saveSnapshot(0)
	<-l.saved
}

// CheckSnapshot says why the next start will not use the snapshot of a back end
// and fold the entries instead; nil where it will, or where there is none. A key
// of c other than the snapshot key is not needed.
func CheckSnapshot(ctx context.Context, c Config) error {
	if c.Backend == nil || len(c.SnapshotKey) != 32 {
		return errors.New("checking the snapshot: back end and snapshot key are needed")
	}
	head, err := c.Backend.Head(ctx)
	if err != nil {
		return err
	}
	_, err = openSnapshot(ctx, c, store.Hashes(ctx, c.Backend), head.Size, func(store.Commitment) (string, bool) { return "", false })
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
