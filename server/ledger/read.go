package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"

	"golang.org/x/sync/errgroup"

	"github.com/vaultpam/vaultpam/store"
)

// readers is how many entries of an answer are read at the same time. Where they
// are not in memory it is as many waits for the disk at once.
const readers = 4

// Entry returns the entry at an index and its stored bytes, or
// store.ErrNotFound.
func (l *Ledger) Entry(ctx context.Context, index store.Index) (*store.Entry, []byte, error) {
	if index >= l.State().Next() {
		return nil, nil, fmt.Errorf("entry %d: %w", index, store.ErrNotFound)
	}
	records, err := l.Backend.Records(ctx, index, 1)
	if err != nil {
		return nil, nil, fmt.Errorf("reading entry %d: %w", index, err)
	}
	if len(records) == 0 {
		return nil, nil, fmt.Errorf("reading entry %d: %w", index, store.ErrCorrupt)
	}
	e, err := store.DecodeEntry(records[0])
	if err != nil {
		return nil, nil, fmt.Errorf("reading entry %d: %w", index, err)
	}
	if e.Index != index {
		return nil, nil, fmt.Errorf("reading entry %d: %w", index, store.ErrCorrupt)
	}
	return e, records[0], nil
}

// Proved is Entry for what a decision stands on: the stored bytes are held to the
// tree, whose root this process computed or found signed. Who can write the back
// end can't change such an entry. Bytes that are not the tree's are ErrCorrupt.
func (l *Ledger) Proved(ctx context.Context, index store.Index) (*store.Entry, error) {
	v := l.now.Load()
	e, data, err := l.Entry(ctx, index)
	if err != nil {
		return nil, err
	}
	if uint64(index) >= v.tree.Size() { // it has come since
		v = l.now.Load()
	}
	proof, err := store.ProveInclusion(v.tree.Size(), index, store.Hashes(ctx, l.Backend))
	if err != nil {
		return nil, err
	}
	if err := store.CheckInclusion(proof, v.tree.Size(), v.tree.Root(), index, data); err != nil {
		return nil, fmt.Errorf("entry %d is not the one in the tree: %w: %w", index, store.ErrCorrupt, err)
	}
	return e, nil
}

// Find returns the entries that match a query, in its order.
func (l *Ledger) Find(ctx context.Context, q store.Query) ([]*store.Entry, error) {
	// What is durable and not yet in the state has not been answered to anybody:
	// it is not there yet.
	if next := l.State().Next(); q.To == 0 || q.To > next {
		q.To = next
	}
	indexes, err := l.Backend.Find(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("searching the ledger: %w", err)
	}
	entries := make([]*store.Entry, len(indexes))
	var parts errgroup.Group // ends with Find
	for part := range min(readers, len(indexes)) {
		parts.Go(func() error {
			for i := part; i < len(indexes); i += readers {
				e, _, err := l.Entry(ctx, indexes[i])
				if err != nil {
					return err
				}
				entries[i] = e
			}
			return nil
		})
	}
	if err := parts.Wait(); err != nil {
		return nil, err
	}
	return entries, nil
}

// Since returns the index of the first entry at or after a moment, or the
// ledger's size where there is none. Entries are in the order of their times but
// where a clock was accepted that had been wrong: then those that are dated into
// the future count only if all behind them are at or after the moment too.
func (l *Ledger) Since(ctx context.Context, t store.Millis) (store.Index, error) {
	s := l.State()
	starts := []store.Index{0}
	for reset := range s.Resets() {
		starts = append(starts, reset+1)
	}
	end := s.Next()
	for _, start := range slices.Backward(starts) {
		i, err := l.firstSince(ctx, start, end, t)
		if err != nil || i > start {
			return i, err
		}
		end = start
	}
	return 0, nil
}

// firstSince searches a run of entries whose times are in order.
func (l *Ledger) firstSince(ctx context.Context, from, to store.Index, t store.Millis) (store.Index, error) {
	var failed error
	i := sort.Search(int(to-from), func(i int) bool {
		e, _, err := l.Entry(ctx, from+store.Index(i))
		if err != nil {
			failed = errors.Join(failed, err)
			return true
		}
		return e.Time >= t
	})
	return from + store.Index(i), failed
}

// Records returns stored bytes from an index on; see store.Backend.
func (l *Ledger) Records(ctx context.Context, from store.Index, limit int) ([][]byte, error) {
	return l.Backend.Records(ctx, from, limit)
}

// ProveEntry returns the stored bytes of an entry, a signed checkpoint and the
// proof that the entry is in it.
func (l *Ledger) ProveEntry(ctx context.Context, index store.Index) (data []byte, checkpoint []byte, proof store.Proof, err error) {
	v := l.now.Load()
	if _, data, err = l.Entry(ctx, index); err != nil {
		return nil, nil, nil, err
	}
	proof, err = store.ProveInclusion(v.tree.Size(), index, store.Hashes(ctx, l.Backend))
	return data, v.checkpoint, proof, err
}

// ProveSince returns a signed checkpoint and the proof that the ledger grew out
// of the one of size old.
func (l *Ledger) ProveSince(ctx context.Context, old uint64) (checkpoint []byte, proof store.Proof, err error) {
	v := l.now.Load()
	if old == 0 || old >= v.tree.Size() {
		return v.checkpoint, nil, nil // the client compares sizes and roots
	}
	proof, err = store.ProveConsistency(old, v.tree.Size(), store.Hashes(ctx, l.Backend))
	return v.checkpoint, proof, err
}

// Text returns what an owner's commitment stands for, or store.ErrNotFound where
// it was erased.
func (l *Ledger) Text(ctx context.Context, owner store.UserID, c store.Commitment) (string, error) {
	return readText(ctx, l.Backend, owner, c)
}

func readText(ctx context.Context, b store.Backend, owner store.UserID, c store.Commitment) (string, error) {
	key := store.OpeningKey(owner, c)
	value, err := b.Side(ctx, store.SideOpenings, key)
	if err != nil {
		return "", err
	}
	o, _, err := store.OpeningOf(store.SideWrite{Table: store.SideOpenings, Key: key, Value: value})
	return o.Text, err
}
