package ledger

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// At returns the state at a moment: after the last entry whose time is not behind
// it. At the present, and at any moment to come, that is State. Names are filled
// in as in State: a handle that was erased since is not in the past either.
//
// An entry's time is that of the ledger's clock, which never goes back but where
// somebody accepted another time (clock.accepted). That entry counts at the time
// it accepted, and last means last in the ledger. So a moment that the ledger's
// clock went through twice is the second one; and what was dated into the future
// by a clock that was wrong counts from when the clock was accepted, not from
// when it was dated.
//
// The answer is proved: the entries that were folded are held to the tree whose
// root this process knows, and a snapshot that spared folding more is this
// server's own. It takes as long as folding what follows the nearest snapshot,
// which is little (see keepEvery), and where there is none yet, after an upgrade,
// as long as folding from the ledger's birth on.
//
// Before the ledger's birth there is no state: the error is an *access.Refusal.
func (l *Ledger) At(ctx context.Context, moment store.Millis) (access.State, error) {
	v := l.now.Load()
	size, err := l.sizeAt(ctx, v, moment)
	if err != nil {
		return access.State{}, err
	}
	if size == 0 {
		return access.State{}, l.unborn(ctx)
	}
	s, err := l.stateAfter(ctx, v, size)
	if err != nil {
		return access.State{}, fmt.Errorf("making the state after entry %d: %w", size-1, err)
	}
	return s, nil
}

// Between returns the bounds, From and To of a store.Query, of the entries that
// make At(to) of At(from): those behind the one moment that are not behind the
// other. From may be before the ledger's birth.
//
// Where to is before from, or before the ledger's birth, the error is an
// *access.Refusal.
func (l *Ledger) Between(ctx context.Context, from, to store.Millis) (first, next store.Index, err error) {
	if to < from {
		return 0, 0, &access.Refusal{
			Kind:    access.Invalid,
			Message: fmt.Sprintf("%s is before %s", inWords(to), inWords(from)),
			Hint:    "name the earlier moment first",
		}
	}
	v := l.now.Load()
	if first, err = l.sizeAt(ctx, v, from); err != nil {
		return 0, 0, err
	}
	if next, err = l.sizeAt(ctx, v, to); err != nil {
		return 0, 0, err
	}
	if next == 0 { // which a query takes for the end
		return 0, 0, l.unborn(ctx)
	}
	return first, next, nil
}

// unborn is the refusal for moments before the ledger's birth.
func (l *Ledger) unborn(ctx context.Context) error {
	birth, err := l.Proved(ctx, 0)
	if err != nil {
		return err
	}
	return &access.Refusal{
		Kind:    access.NotFound,
		Message: fmt.Sprintf("the ledger begins at %s, and knows nothing of what was before", inWords(birth.Time)),
		Hint:    "ask for that moment, or a later one",
	}
}

func inWords(m store.Millis) string { return m.Time().UTC().Format(time.DateTime + " MST") }

// sizeAt returns how many entries the ledger had at a moment; 0 before its birth.
// It searches with the entries as the back end gives them, and believes the answer
// when the entries on both sides of it are proved.
func (l *Ledger) sizeAt(ctx context.Context, v *view, moment store.Millis) (store.Index, error) {
	end := v.state.Next()
	if v.state.Time() <= moment {
		return end, nil
	}
	starts := []store.Index{0}
	starts = slices.AppendSeq(starts, v.state.Resets())
	for _, start := range slices.Backward(starts) {
		first, err := l.Proved(ctx, start)
		if err != nil {
			return 0, err
		}
		if first.Onward() <= moment {
			return l.sizeWithin(ctx, start, end, moment)
		}
		end = start
	}
	return 0, nil
}

// sizeWithin is sizeAt among the entries from start to end, whose times are in
// order and the first of which is not behind the moment.
func (l *Ledger) sizeWithin(ctx context.Context, start, end store.Index, moment store.Millis) (store.Index, error) {
	var failed error
	size := start + 1 + store.Index(sort.Search(int(end-start-1), func(i int) bool {
		if failed != nil {
			return true
		}
		e, _, err := l.Entry(ctx, start+1+store.Index(i))
		failed = err
		return err != nil || e.Time > moment
	}))
	if failed != nil {
		return 0, failed
	}
	for i := size - 1; i <= size && i < end; i++ {
		e, err := l.Proved(ctx, i)
		if err != nil {
			return 0, err
		}
		if behind := e.Onward() > moment; behind != (i == size) {
			return 0, fmt.Errorf("%w: the times of the entries around %d are out of order", store.ErrCorrupt, i)
		}
	}
	return size, nil
}
