package bolt

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

	"github.com/vaultpam/vaultpam/store"
)

const (
	// commitBacklog is how much of the journal is filled before it is committed.
	commitBacklog = segmentSize / 4
	// commitPause is after how long a pause what there is of it is committed.
	commitPause = 100 * time.Millisecond
)

// write makes a batch durable, in the journal where it fits there. Where it has
// records, the head is compared.
func (b *Backend) write(ctx context.Context, batch store.Batch) error {
	if err := b.usable(ctx); err != nil {
		return err
	}
	b.writing.Lock()
	defer b.writing.Unlock()
	// Waiting for the writer before may have taken long, and it may have left the
	// file uncertain.
	if err := b.usable(ctx); err != nil {
		return err
	}
	if err := b.begin(ctx); err != nil {
		return err
	}
	if len(batch.Records) > 0 && (b.head.Size != batch.Expect.Size || !bytes.Equal(b.head.Checkpoint, batch.Expect.Checkpoint)) {
		return fmt.Errorf("%w: it has %d entries, expected %d", store.ErrConflict, b.head.Size, batch.Expect.Size)
	}
	var err error
	if payload := encodeBatch(batch); len(payload) <= maxPayload {
		err = b.acknowledge(ctx, payload)
	} else {
		err = b.update(ctx, func(tx *bbolt.Tx) error { return appendBatch(tx, batch) })
	}
	if err == nil && len(batch.Records) > 0 {
		b.head = store.Head{Size: b.head.Size + uint64(len(batch.Records)), Checkpoint: slices.Clone(batch.Checkpoint)}
	}
	return err
}

// begin prepares the first write: it makes the journal and has the ledger name
// it. A process that dies in between leaves a journal that no ledger knows.
func (b *Backend) begin(ctx context.Context) error {
	if b.begun {
		return nil
	}
	head, err := b.Head(ctx)
	if err != nil {
		return err
	}
	if b.journal == nil {
		var id journalID
		rand.Read(id[:])
		j, err := createJournal(journalPath(b.db.Path()), id)
		if err != nil {
			return fullError(err)
		}
		err = b.update(ctx, func(tx *bbolt.Tx) error {
			return errors.Join(nameJournal(tx, id, 0), tx.Bucket([]byte(bucketMeta)).Put([]byte(keyFormat), []byte(formatJournal)))
		})
		if errors.Is(err, store.ErrFull) {
			err = errors.Join(err, os.Remove(journalPath(b.db.Path()))) // it takes room
		}
		if err != nil {
			return errors.Join(err, j.f.Close())
		}
		b.applying.Lock()
		b.journal = j
		b.applying.Unlock()
	}
	b.begun, b.head = true, head
	return nil
}

// fullError says store.ErrFull of what failed for want of room and left the
// ledger alone.
func fullError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return err
}

// acknowledge makes a batch durable in the journal. It counts from then on: where
// the process dies, the next one finds it there.
func (b *Backend) acknowledge(ctx context.Context, payload []byte) error {
	b.mu.Lock()
	r, applied := record{sequence: b.acked + 1, payload: payload}, b.applied
	b.mu.Unlock()
	if !b.journal.room(r, applied) {
		if err := b.update(ctx, nil); err != nil {
			return err
		}
		b.journal.room(r, r.sequence-1) // all of it is committed
	}
	if err := b.journal.write(r); err != nil {
		// It may be on the disk or not, and a second sync would not tell.
		return b.fail(fmt.Errorf("%w: writing the journal: %w", store.ErrUncertain, err))
	}
	b.mu.Lock()
	b.queue, b.acked, b.uncommitted = append(b.queue, r), r.sequence, b.uncommitted+r.size()
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default: // it is awake
	}
	return nil
}

// commitAll is the goroutine that commits what the journal holds, so that many
// batches share one transaction. Close ends it.
func (b *Backend) commitAll() {
	defer close(b.over)
	pause := time.NewTimer(commitPause)
	pause.Stop() // who only reads leaves everything as it is
	for {
		select {
		case <-b.stop:
			return
		case <-b.wake:
			pause.Reset(commitPause)
			if b.backlog() < commitBacklog {
				continue
			}
		case <-pause.C:
		}
		// A disk that is full now is tried again with the next write. After any
		// other failure the next call is refused.
		_ = b.update(context.Background(), nil)
	}
}

// leave applies what the journal holds and removes it, so that a ledger that
// nobody has open is one file. The caller is the last, and holds both locks.
func (b *Backend) leave() error {
	b.mu.Lock()
	broken := b.broken
	b.mu.Unlock()
	if b.begun && broken == nil {
		err := b.transact(func(tx *bbolt.Tx) error {
			meta := tx.Bucket([]byte(bucketMeta))
			return errors.Join(meta.Delete([]byte(keyJournal)), meta.Put([]byte(keyFormat), []byte(formatVersion)))
		})
		if err != nil {
			return errors.Join(err, b.journal.f.Close())
		}
		return errors.Join(b.journal.f.Close(), os.Remove(journalPath(b.db.Path())))
	}
	b.abandon()
	if b.journal == nil {
		return nil
	}
	return b.journal.f.Close()
}
