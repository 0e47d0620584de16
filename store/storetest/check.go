package storetest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"github.com/vaultpam/vaultpam/store"
)

// checkPage is how many entries Check holds at a time.
const checkPage = 1000

// Check reads the whole ledger in b and returns an error where it is not whole:
// an entry that does not decode or is in the wrong place, a time before the
// last one's, a stored hash or a root that the entries do not make, a checkpoint
// that the log key did not sign, an index that finds too much, too little or in
// the wrong order, anything behind the end.
//
// Nobody may append meanwhile. It keeps every index in memory several times.
func Check(ctx context.Context, b store.Backend, origin string, logKey ed25519.PublicKey) error {
	if err := checkLedger(ctx, b, origin, logKey); err != nil {
		return fmt.Errorf("checking the ledger: %w", err)
	}
	return nil
}

func checkLedger(ctx context.Context, b store.Backend, origin string, logKey ed25519.PublicKey) error {
	head, err := b.Head(ctx)
	if err != nil {
		return err
	}
	tree, ref, err := checkEntries(ctx, b, head)
	if err != nil {
		return err
	}
	if err := checkEnd(ctx, b, head); err != nil {
		return err
	}
	if head.Size == 0 {
		if len(head.Checkpoint) != 0 {
			return errors.New("empty, with a checkpoint")
		}
		return nil
	}
	signed, err := store.OpenCheckpoint(head.Checkpoint, origin, logKey)
	if err != nil {
		return err
	}
	if want := (store.Checkpoint{Origin: origin, Size: head.Size, Root: tree.Root()}); signed != want {
		return fmt.Errorf("checkpoint says %+v, the entries make %+v", signed, want)
	}
	return ref.compare(ctx, b)
}

func checkEntries(ctx context.Context, b store.Backend, head store.Head) (*store.Tree, *reference, error) {
	ref := newReference()
	tree, err := store.OpenTree(0, nil)
	if err != nil {
		return nil, nil, err
	}
	var last store.Millis
	for tree.Size() < head.Size {
		page, err := b.Records(ctx, store.Index(tree.Size()), checkPage)
		if err != nil {
			return nil, nil, err
		}
		if want := min(checkPage, int(head.Size-tree.Size())); len(page) != want {
			return nil, nil, fmt.Errorf("%d entries from %d on, want %d", len(page), tree.Size(), want)
		}
		for i, data := range page {
			e, err := store.DecodeEntry(data)
			at := store.Index(tree.Size()) + store.Index(i)
			switch {
			case err != nil:
				return nil, nil, fmt.Errorf("entry %d: %w", at, err)
			case e.Index != at:
				return nil, nil, fmt.Errorf("entry %d says that it is %d", at, e.Index)
			case e.Time < last:
				return nil, nil, fmt.Errorf("entry %d is of a time before the last one's", at)
			}
			last = e.Time
			ref.add(e)
		}
		if tree, err = checkHashes(ctx, b, tree, page); err != nil {
			return nil, nil, err
		}
	}
	return tree, ref, nil
}

// checkHashes returns the tree with the page, having compared its hashes.
func checkHashes(ctx context.Context, b store.Backend, tree *store.Tree, page [][]byte) (*store.Tree, error) {
	next, want, err := tree.Append(page)
	if err != nil {
		return nil, err
	}
	first := store.StoredHashCount(tree.Size())
	indexes := make([]int64, len(want))
	for i := range indexes {
		indexes[i] = int64(first) + int64(i)
	}
	got, err := b.ReadHashes(ctx, indexes)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(got, want) {
		return nil, fmt.Errorf("the stored hashes of entries %d to %d are not theirs", tree.Size(), next.Size())
	}
	return next, nil
}

// checkEnd sees that there is nothing behind the end.
func checkEnd(ctx context.Context, b store.Backend, head store.Head) error {
	more, err := b.Records(ctx, store.Index(head.Size), 1)
	if err != nil {
		return err
	}
	if len(more) != 0 {
		return fmt.Errorf("an entry behind the last: %x", bytes.Join(more, nil))
	}
	_, err = b.ReadHashes(ctx, []int64{int64(store.StoredHashCount(head.Size))})
	if !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("a stored hash behind the last: error %w", err)
	}
	return nil
}
