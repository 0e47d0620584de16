package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// A past is the ledger as it was: the state after its first entries, and their
// tree.
type past struct {
	state access.State
	tree  *store.Tree
}

// stateAfter returns the state after the first size entries.
func (l *Ledger) stateAfter(ctx context.Context, v *view, size store.Index) (access.State, error) {
	if size == v.state.Next() {
		return v.state, nil
	}
	p, err := l.nearest(ctx, size)
	if err == nil {
		p, err = l.advance(ctx, p, size, readAhead)
	}
	if err == nil {
		err = l.prove(ctx, v, p)
	}
	return p.state, err
}

// nearest returns the last kept past of at most size entries, or where there is
// none the one before the ledger's birth. What is kept and can't be used is
// logged, and will be made anew.
func (l *Ledger) nearest(ctx context.Context, size store.Index) (past, error) {
	kept, err := l.Backend.KeptSnapshots(ctx)
	if err != nil {
		return past{}, err
	}
	for i := len(kept) - 1; i >= 0; i-- {
		s := kept[i]
		if s.Size > uint64(size) || s.Version != access.FoldVersion {
			continue
		}
		p, err := l.openKept(ctx, s.Size)
		switch {
		case err == nil:
			return p, nil
		case ctx.Err() != nil, errors.Is(err, store.ErrClosed):
			return past{}, err
		}
		l.Log.Warn("a snapshot of the past is not used, and made anew", "entries", s.Size, "error", err)
		l.keeper.spoiled(store.Index(s.Size))
	}
	tree, err := store.OpenTree(0, nil)
	return past{state: access.New(), tree: tree}, err
}

func (l *Ledger) openKept(ctx context.Context, size uint64) (past, error) {
	s, err := l.Backend.KeptSnapshot(ctx, size)
	if err != nil {
		return past{}, err
	}
	return openPast(l.SnapshotKey, s, store.Hashes(ctx, l.Backend), l.now.Load().tree.Size(), l.texts.lookup)
}

// advance folds a past up to size entries, ahead of which are read at a time.
func (l *Ledger) advance(ctx context.Context, p past, size store.Index, ahead int) (past, error) {
	f := folder{backend: l.Backend, texts: l.texts.lookup, ahead: ahead, seen: func(records [][]byte) (err error) {
		p.tree, _, err = p.tree.Append(records)
		return err
	}}
	var err error
	p.state, err = f.fold(ctx, p.state, size)
	return p, err
}

// prove holds a past to the tree of a later moment, whose root this process
// computed or found signed: entries that somebody changed in the back end, with
// their leaves, are found here.
func (l *Ledger) prove(ctx context.Context, v *view, p past) error {
	old, size := p.tree.Size(), v.tree.Size()
	proof, err := store.ProveConsistency(old, size, store.Hashes(ctx, l.Backend))
	if err != nil {
		return err
	}
	if err := store.CheckConsistency(proof, old, p.tree.Root(), size, v.tree.Root()); err != nil {
		return fmt.Errorf("%w: the first %d entries are not those of the ledger: %w", store.ErrCorrupt, old, err)
	}
	return nil
}
