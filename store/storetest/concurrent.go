package storetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/vaultpam/vaultpam/store"
)

// testConcurrentWriters races writers, each of whom believes the ledger to be
// their own until a conflict says otherwise. Every event must be there once.
func testConcurrentWriters(t *testing.T, open Open) {
	const writers, appends = 4, 50
	b, h := begin(t, open)
	var group errgroup.Group // ends with the writers' last append
	for w := range writers {
		mine := h.share(uint64(w))
		group.Go(func() error { return race(t, b, mine, w, appends) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	check(t, b, h)
	seen := map[store.UserID]int{}
	records, err := b.Records(t.Context(), 0, writers*appends+1)
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range records {
		e, err := store.DecodeEntry(data)
		if err != nil {
			t.Fatal(err)
		}
		seen[e.Event.(*store.UserRemoved).User]++
	}
	for w := range writers {
		for n := range appends {
			if got := seen[raceUser(w, n)]; got != 1 {
				t.Errorf("event %d of writer %d is in the ledger %d times", n, w, got)
			}
		}
	}
	if len(records) != writers*appends {
		t.Errorf("%d entries, want %d", len(records), writers*appends)
	}
}

func race(t *testing.T, b store.Backend, h *History, writer, appends int) error {
	for n := 0; n < appends; {
		batch := h.BatchOf(t, &store.UserRemoved{User: raceUser(writer, n)})
		err := b.Append(t.Context(), batch)
		switch {
		case err == nil:
			h.Appended(t, batch)
			n++
		case errors.Is(err, store.ErrConflict):
			if err := h.Follow(t.Context(), b); err != nil {
				return err
			}
		default:
			return err
		}
	}
	return nil
}

func raceUser(writer, n int) (id store.UserID) {
	id[0] = byte(writer) + 1
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

// testAtomic reads while batches are appended: whoever sees one part of a batch
// sees all of it.
func testAtomic(t *testing.T, open Open) {
	b, h := begin(t, open)
	grow(t, b, h, 1, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var readers errgroup.Group // end when stop is called
	for range 3 {
		readers.Go(func() error {
			for ctx.Err() == nil {
				if err := readBatch(t.Context(), b, h); err != nil {
					return err
				}
			}
			return nil
		})
	}
	mine := h.share(3)
	for range 60 {
		batch := mine.Batch(t, 1+mine.rand.IntN(5))
		size := mine.Head().Size + uint64(len(batch.Records))
		batch.Side = []store.SideWrite{{Table: store.SideAttempts, Key: []byte("size"), Value: binary.BigEndian.AppendUint64(nil, size)}}
		if err := b.Append(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		mine.Appended(t, batch)
	}
	stop()
	if err := readers.Wait(); err != nil {
		t.Fatal(err)
	}
	check(t, b, h)
}

// readBatch looks at the parts of the newest batch, in the order in which a
// part that came early would show.
func readBatch(ctx context.Context, b store.Backend, h *History) error {
	var before uint64
	if v, err := b.Side(ctx, store.SideAttempts, []byte("size")); err == nil {
		before = binary.BigEndian.Uint64(v)
	} else if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	head, err := b.Head(ctx)
	if err != nil {
		return err
	}
	if head.Size < before {
		return fmt.Errorf("the side table knew of %d entries, the head of %d", before, head.Size)
	}
	tree, err := store.OpenTree(head.Size, store.Hashes(ctx, b))
	if err != nil {
		return err
	}
	signed, err := store.OpenCheckpoint(head.Checkpoint, h.Origin, h.LogKey)
	if err != nil || signed.Size != head.Size || signed.Root != tree.Root() {
		return fmt.Errorf("checkpoint %+v at %d with root %x, error %w", signed, head.Size, tree.Root(), err)
	}
	last, err := b.Records(ctx, store.Index(head.Size)-1, 1)
	if err != nil || len(last) != 1 {
		return fmt.Errorf("entry %d: %d records, error %w", head.Size-1, len(last), err)
	}
	e, err := store.DecodeEntry(last[0])
	if err != nil {
		return err
	}
	q := store.Query{Type: e.Event.EventType(), From: e.Index, Limit: 1}
	q.User, q.Target = Keys(e)
	if found, err := b.Find(ctx, q); err != nil || len(found) != 1 || found[0] != e.Index {
		return fmt.Errorf("query %+v finds %v, error %w", q, found, err)
	}
	return nil
}
