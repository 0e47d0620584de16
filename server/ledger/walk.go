package ledger

import (
	"context"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// Walk calls visit with each of some entries, whose indexes rise, and the states
// before and after it. It folds what lies between them once. What visit saw is
// proved when Walk returns nil, and worth nothing otherwise.
func (l *Ledger) Walk(ctx context.Context, entries []store.Index, visit func(before, after access.State, e *store.Entry) error) error {
	if len(entries) == 0 {
		return nil
	}
	v := l.now.Load()
	p, err := l.nearest(ctx, entries[0])
	if err != nil {
		return err
	}
	for _, index := range entries {
		if p, err = l.advance(ctx, p, index, readAhead); err != nil {
			return err
		}
		before := p.state
		if p, err = l.advance(ctx, p, index+1, 1); err != nil {
			return err
		}
		e, _, err := l.Entry(ctx, index)
		if err != nil {
			return err
		}
		if err := visit(before, p.state, e); err != nil {
			return err
		}
	}
	return l.prove(ctx, v, p)
}
