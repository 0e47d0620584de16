package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"github.com/vaultpam/vaultpam/store"
)

// view runs fn on what was acknowledged when it began, and perhaps more. As long
// as all of that is committed, any number of readers go on at once.
func (b *Backend) view(ctx context.Context, fn func(*bbolt.Tx) error) error {
	if err := b.usable(ctx); err != nil {
		return err
	}
	if b.backlog() > 0 {
		b.applying.Lock()
		defer b.applying.Unlock()
		if err := b.usable(ctx); err != nil {
			return err
		}
		if b.backlog() > 0 { // it still is
			if err := b.take(); err != nil {
				return err
			}
			return guarded(func() error { return fn(b.tx) })
		}
	}
	return closedError(guarded(func() error { return b.db.View(fn) }))
}

// update runs fn, which may be nil, and commits what it did and all that was
// acknowledged, durably. Where fn fails nothing was written. Where the commit
// fails the error is ErrFull or ErrUncertain.
func (b *Backend) update(ctx context.Context, fn func(*bbolt.Tx) error) error {
	if err := b.usable(ctx); err != nil {
		return err
	}
	b.applying.Lock()
	defer b.applying.Unlock()
	if err := b.usable(ctx); err != nil {
		return err
	}
	if fn == nil && b.backlog() == 0 {
		return nil
	}
	return b.transact(fn)
}

// guarded runs fn. bbolt panics on pages that contradict themselves, and reading a
// page that the disk does not give is a fault.
func guarded(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer recovered(&err)
	return fn()
}

// take puts what was acknowledged into the open transaction, and opens one where
// there is none. Nobody but this process sees it before it is committed.
func (b *Backend) take() error {
	b.mu.Lock()
	queue := b.queue
	b.queue = nil
	b.mu.Unlock()
	b.taken = append(b.taken, queue...)
	err := guarded(func() (err error) {
		if b.tx == nil {
			if b.tx, err = b.db.Begin(true); err != nil {
				return err
			}
		}
		batch, err := join(queue)
		if err != nil {
			return err
		}
		size, err := readSize(b.tx)
		if err != nil {
			return err
		}
		if len(batch.Records) > 0 && batch.Expect.Size != size {
			return fmt.Errorf("%w: the journal goes on behind entry %d, the ledger has %d", store.ErrCorrupt, batch.Expect.Size, size)
		}
		return appendBatch(b.tx, batch)
	})
	if err != nil {
		b.abandon()
		return b.fail(err)
	}
	return nil
}

// abandon drops the open transaction. What it held waits for the next one.
func (b *Backend) abandon() {
	if b.tx != nil {
		// After a failed commit there may be nothing to undo. What can't be undone
		// would keep the next transaction waiting for ever.
		if err := guarded(b.tx.Rollback); err != nil && !errors.Is(err, bbolterrors.ErrTxClosed) {
			_ = b.fail(fmt.Errorf("%w: %w", store.ErrUncertain, err))
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tx, b.taken, b.queue = nil, nil, append(b.taken, b.queue...)
}

// transact is update for a caller who holds the lock.
func (b *Backend) transact(fn func(*bbolt.Tx) error) error {
	if err := b.take(); err != nil {
		return err
	}
	err := guarded(func() error {
		if n := len(b.taken); b.journal != nil && n > 0 {
			if err := nameJournal(b.tx, b.journal.id, b.taken[n-1].sequence); err != nil {
				return err
			}
		}
		if fn == nil {
			return nil
		}
		return fn(b.tx)
	})
	if err != nil {
		b.abandon()
		return err
	}
	id := b.tx.ID()
	if err := guarded(b.tx.Commit); err != nil {
		b.abandon()
		return b.commitError(id, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.taken {
		b.uncommitted -= r.size()
		b.applied = r.sequence
	}
	b.tx, b.taken = nil, nil
	return nil
}

// nameJournal has the ledger say which journal is its own, and up to where it is
// in the ledger.
func nameJournal(tx *bbolt.Tx, id journalID, applied uint64) error {
	return tx.Bucket([]byte(bucketMeta)).Put([]byte(keyJournal), binary.BigEndian.AppendUint64(id[:], applied))
}

// journalOf is the reverse of nameJournal. There may be none.
func journalOf(tx *bbolt.Tx) (id journalID, applied uint64, ok bool) {
	v := tx.Bucket([]byte(bucketMeta)).Get([]byte(keyJournal))
	if len(v) != len(id)+8 {
		return id, 0, false
	}
	return journalID(v), binary.BigEndian.Uint64(v[len(id):]), true
}
