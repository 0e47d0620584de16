package server

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

const (
	// checksAtOnce bounds the targets that are looked at side by side.
	checksAtOnce = 4
	// clockStep bounds how long a change of the clock goes unnoticed.
	clockStep = time.Minute
)

// checkNightly looks once a day which other ways into each target there are. A
// look that was due while the server was down is made up for at its start.
func (n *Node) checkNightly(ctx context.Context) error {
	at, on, err := n.config.checkTime()
	if err != nil || !on {
		return err
	}
	n.checkTargets(ctx, n.overdue(lastBefore(n.Now(), at)))
	for {
		due := lastBefore(n.Now(), at).Add(24 * time.Hour)
		for n.Now().Before(due) {
			timer := time.NewTimer(min(due.Sub(n.Now()), clockStep))
			select {
			case <-ctx.Done():
				timer.Stop()
				return nil
			case <-timer.C:
			}
		}
		n.checkTargets(ctx, n.targetNames())
	}
}

// lastBefore returns the last moment, now at the latest, that is at a time of the
// day in UTC.
func lastBefore(now time.Time, at time.Duration) time.Time {
	day := now.UTC().Truncate(24 * time.Hour).Add(at)
	if day.After(now) {
		return day.Add(-24 * time.Hour)
	}
	return day
}

// overdue returns the targets that were looked at once, and not since a moment.
func (n *Node) overdue(since time.Time) []store.TargetName {
	var names []store.TargetName
	for t := range n.ledger.State().Targets() {
		if last := max(t.Check.Time, t.Check.Missed); last != 0 && last.Time().Before(since) {
			names = append(names, t.Name)
		}
	}
	return names
}

func (n *Node) targetNames() []store.TargetName {
	var names []store.TargetName
	for t := range n.ledger.State().Targets() {
		names = append(names, t.Name)
	}
	return names
}

// checkTargets looks at targets. One that can't be looked at is in the ledger as
// a session that ended badly, and is shown as missed.
func (n *Node) checkTargets(ctx context.Context, names []store.TargetName) {
	var looks errgroup.Group
	looks.SetLimit(checksAtOnce)
	for _, name := range names {
		looks.Go(func() error { // ends by errandTimeout
			_, err := n.look(ctx, access.StartErrand{By: access.Caller{Timetable: true}, Errand: store.ErrandCheck, Target: name})
			if err != nil && !errors.Is(err, context.Canceled) {
				n.Log.Warn("a target could not be looked at", "target", string(name), "error", err)
			}
			return nil
		})
		if ctx.Err() != nil {
			break
		}
	}
	_ = looks.Wait() // none of them returns an error
}
