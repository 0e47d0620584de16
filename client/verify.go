package client

import (
	"context"
	"errors"
	"fmt"
	"sort"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// A Verified ledger is what Verify found.
type Verified struct {
	store.Checkpoint
	// Since is the size of the checkpoint that was remembered before.
	Since uint64
	// Unknown counts entries of types that this program does not know. They are
	// in the tree like all others, and were not read.
	Unknown uint64
}

// pageLimit is how many entries are asked for at once.
const pageLimit = 1000

// A page is a run of entries that was hashed: the tree before it.
type page struct {
	before *store.Tree
	first  uint64
}

// Verify downloads every entry, hashes it again and compares the root with the
// signed checkpoint, which in turn must have grown out of the remembered one.
// A ledger that does not verify is a *BadEntryError that names the first entry
// from which on it can't be proved, or a *ForkError. progress is called after
// each page with how far it is.
func (l *Ledger) Verify(ctx context.Context, progress func(done, size uint64)) (Verified, error) {
	old, err := l.Remembered()
	if err != nil {
		return Verified{}, err
	}
	at, err := l.Follow(ctx)
	if err != nil {
		return Verified{}, err
	}
	found := Verified{Checkpoint: at, Since: old.Size}
	tree, err := store.OpenTree(0, nil)
	if err != nil {
		return Verified{}, err
	}
	var pages []page
	last := store.Millis(0)
	for tree.Size() < at.Size {
		records, err := l.records(ctx, tree.Size(), at.Size)
		if err != nil {
			return Verified{}, err
		}
		unknown, err := readRecords(records, tree.Size(), &last)
		if err != nil {
			return Verified{}, err
		}
		found.Unknown += unknown
		pages = append(pages, page{before: tree, first: tree.Size()})
		if tree, _, err = tree.Append(records); err != nil {
			return Verified{}, err
		}
		progress(tree.Size(), at.Size)
	}
	if tree.Root() != at.Root {
		return Verified{}, l.firstBad(ctx, pages, at.Size)
	}
	return found, nil
}

// records returns the stored bytes from an index on, at least one and none
// beyond size.
func (l *Ledger) records(ctx context.Context, from, size uint64) ([][]byte, error) {
	resp, err := l.client.raw(ctx, from, int(min(pageLimit, size-from)))
	if err != nil {
		return nil, err
	}
	if resp.From != from || len(resp.Records) == 0 || len(resp.Records) > pageLimit {
		return nil, &BadEntryError{Index: from, Why: "the server does not show it"}
	}
	return resp.Records[:min(uint64(len(resp.Records)), size-from)], nil
}

// readRecords holds the stored bytes to the form of entries: each says its own
// index and no time before the last one allows.
func readRecords(records [][]byte, from uint64, last *store.Millis) (unknown uint64, err error) {
	for i, data := range records {
		index := from + uint64(i)
		entry, err := store.DecodeEntry(data)
		switch {
		case errors.Is(err, store.ErrUnknownEvent):
			unknown++
			*last = 0 // what it says about time is not known
			continue
		case err != nil:
			return 0, &BadEntryError{Index: index, Why: Clean(err.Error())}
		case uint64(entry.Index) != index:
			return 0, &BadEntryError{Index: index, Why: fmt.Sprintf("it says that it is entry %d", entry.Index)}
		case entry.Time < *last:
			return 0, &BadEntryError{Index: index, Why: "its time is before that of the entry before it"}
		}
		*last = entry.Onward()
	}
	return unknown, nil
}

// firstBad names the first entry that the server can't prove. The proof that
// the signed ledger begins with k entries holds only if all k are what was
// signed, so the first bad one is found by halving: among the pages first, then
// in the one page, which is fetched again.
func (l *Ledger) firstBad(ctx context.Context, pages []page, size uint64) error {
	var failed error
	good := func(t *store.Tree) bool {
		if failed != nil {
			return false
		}
		ok, err := l.isPrefix(ctx, t)
		failed = err
		return ok
	}
	// The first page whose beginning is not good any more; the bad entry is in
	// the page before it.
	n := sort.Search(len(pages), func(i int) bool { return !good(pages[i].before) })
	if failed != nil {
		return failed
	}
	if n == 0 {
		return &BadEntryError{Index: 0, Why: "the server proves no part of its ledger"}
	}
	start := pages[n-1]
	end := size
	if n < len(pages) {
		end = pages[n].first
	}
	records, err := l.records(ctx, start.first, end)
	if err != nil {
		return err
	}
	k := sort.Search(len(records), func(i int) bool {
		t, _, err := start.before.Append(records[:i+1])
		return err != nil || !good(t)
	})
	if failed != nil {
		return failed
	}
	return &BadEntryError{Index: start.first + uint64(k), Why: "its bytes are not those that the checkpoint was signed over"}
}

// isPrefix reports whether the signed ledger begins with this tree.
func (l *Ledger) isPrefix(ctx context.Context, t *store.Tree) (bool, error) {
	if t.Size() == 0 {
		return true, nil
	}
	resp, err := l.client.checkpoint(ctx, t.Size())
	var refused *api.Error
	if errors.As(err, &refused) && refused.Kind != api.KindUnavailable && refused.Kind != api.KindLimited {
		// A server whose own tree is damaged can't prove anything with it.
		return false, nil
	}
	if err != nil {
		return false, err
	}
	shown, err := store.OpenCheckpoint(resp.Checkpoint, l.origin, l.key)
	if err != nil {
		return false, err
	}
	return grewOutOf(store.Checkpoint{Origin: l.origin, Size: t.Size(), Root: t.Root()}, shown, resp.Proof) == nil, nil
}
