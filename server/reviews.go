package server

import (
	"context"
	"time"

	"github.com/vaultpam/vaultpam/store"
)

// reviewRetry is how long the server waits before it tries again to end a review, or
// to remind of one, where the ledger took nothing.
const reviewRetry = 10 * time.Second

// tendReviews ends reviews that are due, and reminds of those that will be, until ctx
// is done. What it did is in the ledger, so that a process that dies does nothing
// twice, and the next start makes up for what was due meanwhile.
func (n *Node) tendReviews(ctx context.Context) error {
	for {
		changed := n.ledger.Changed()
		pause := reviewRetry
		if n.doReviews(ctx) {
			pause = n.untilReview()
		}
		timer := time.NewTimer(pause)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		timer.Stop()
	}
}

// doReviews does what there is to do about reviews now, and reports whether all of it
// was done.
func (n *Node) doReviews(ctx context.Context) bool {
	todo, _ := n.ledger.State().ReviewsDo(store.At(n.Now()))
	for _, cmd := range todo {
		if _, err := n.ledger.Do(ctx, cmd); err != nil {
			n.Log.Warn("a review could not be ended, or its owner not reminded", "error", err)
			return false
		}
	}
	return true
}

// untilReview is how long there is nothing to do but for a change of the ledger, or
// of the clock.
func (n *Node) untilReview() time.Duration {
	now := n.Now()
	_, next := n.ledger.State().ReviewsDo(store.At(now))
	if next == 0 {
		return clockStep
	}
	return min(next.Time().Sub(now)+time.Millisecond, clockStep)
}
