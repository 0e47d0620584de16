package server

import (
	"context"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/store"
)

// Watch waits until the rules say that the session has to end: it looks again at
// every change of the ledger and when the clock alone may change the answer.
func (g *gate) Watch(ctx context.Context, a *relay.Admission) (store.EndReason, error) {
	var reason store.EndReason
	err := g.follow(ctx, a, func(s access.State, now store.Millis) bool {
		var over bool
		reason, over = s.SessionEnds(a.Session, now)
		return over
	})
	if err != nil {
		return "", err
	}
	return reason, g.said(a.Session)
}

// Purposes answers by the state as it is now. A writer that has stopped knows of
// no guardrail that came after, so nothing is allowed then.
func (g *gate) Purposes(_ context.Context, a *relay.Admission) (store.Purposes, error) {
	if err := g.ledger.Err(); err != nil {
		return nil, err
	}
	s, now := g.ledger.State(), store.At(g.Now())
	if _, over := s.SessionEnds(a.Session, now); over {
		return nil, nil // also where a lock fell that grants know nothing of
	}
	purposes, _ := s.SessionStanding(a.Session, now)
	return purposes, nil
}

// AwaitPurposes waits until a session may do something else than it could.
func (g *gate) AwaitPurposes(ctx context.Context, a *relay.Admission, had store.Purposes) (store.Purposes, error) {
	var has store.Purposes
	err := g.follow(ctx, a, func(s access.State, now store.Millis) bool {
		has, _ = s.SessionStanding(a.Session, now)
		return has.String() != had.String()
	})
	return has, err
}

// follow calls seen now, at every change of the ledger and whenever the clock may
// change what a session may do, until it returns true.
func (g *gate) follow(ctx context.Context, a *relay.Admission, seen func(access.State, store.Millis) bool) error {
	for {
		changed := g.ledger.Changed()
		s, now := g.ledger.State(), store.At(g.Now())
		if seen(s, now) {
			return nil
		}
		if err := g.ledger.Err(); err != nil {
			return err
		}
		_, next := s.SessionStanding(a.Session, now)
		var turns <-chan time.Time
		stop := func() bool { return true }
		if next != 0 {
			timer := time.NewTimer(next.Time().Sub(g.Now()) + time.Millisecond)
			turns, stop = timer.C, timer.Stop
		}
		select {
		case <-changed:
		case <-turns:
		case <-ctx.Done():
			stop()
			return ctx.Err()
		}
		stop()
	}
}
