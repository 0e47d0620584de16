package server

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// changing are the types of entries that can change who could reach a target.
func changing() []store.EventType {
	return []store.EventType{
		store.TypeGrantAdded, store.TypeGrantRemoved, store.TypeTargetAdded, store.TypeTargetRemoved, store.TypeTargetLabelled,
		store.TypeMemberAdded, store.TypeMemberRemoved, store.TypeUserRemoved, store.TypeLockAdded, store.TypeLockRemoved,
	}
}

// maxChanging bounds how many entries one answer looks at.
const maxChanging = 20_000

// changes answers ?target= from= to=: what changed, when, and by which entry.
func (n *Node) changes(ctx context.Context, c call, _ api.Empty) ([]api.ReachChange, error) {
	ids, err := n.targetsNamed(ctx, store.TargetName(c.query.Get("target")))
	if err != nil {
		return nil, err
	}
	from, to := store.Millis(0), store.At(n.Now())
	for name, m := range map[string]*store.Millis{"from": &from, "to": &to} {
		if text := c.query.Get(name); text != "" {
			t, err := time.Parse(time.RFC3339, text)
			if err != nil {
				return nil, api.NewError(api.KindInvalid, "", "%s: want a time like 2026-08-01T14:00:00Z", name)
			}
			*m = min(store.At(t), to)
		}
	}
	entries, err := n.changingEntries(ctx, from, to)
	if err != nil {
		return nil, err
	}
	w := changeWalk{node: n, reader: n.newReader(), targets: ids, at: from, found: []api.ReachChange{}}
	if err := n.ledger.Walk(ctx, entries, func(before, after access.State, e *store.Entry) error {
		w.clock(ctx, before, e.Time)
		w.entry(ctx, before, after, e)
		return nil
	}); err != nil {
		return nil, err
	}
	last, err := n.ledger.At(ctx, to)
	if err != nil {
		return nil, err
	}
	w.clock(ctx, last, to)
	return w.found, nil
}

func (n *Node) changingEntries(ctx context.Context, from, to store.Millis) ([]store.Index, error) {
	first, next, err := n.ledger.Between(ctx, from, to)
	if err != nil {
		return nil, err
	}
	var all []store.Index
	for _, kind := range changing() {
		found, err := n.ledger.Find(ctx, store.Query{Type: kind, From: first, To: next})
		if err != nil {
			return nil, err
		}
		for _, e := range found {
			all = append(all, e.Index)
		}
	}
	if len(all) > maxChanging {
		return nil, api.NewError(api.KindInvalid, "ask for a shorter time: --from, --to", "%d entries may have changed it, which is more than one answer looks at", len(all))
	}
	slices.Sort(all)
	return all, nil
}

// A changeWalk gathers what changed, in its order.
type changeWalk struct {
	node    *Node
	reader  *reader
	targets []store.Index
	at      store.Millis // up to where the clock was looked at
	found   []api.ReachChange
}

// clock tells what began and ended by itself in a state, until a moment.
func (w *changeWalk) clock(ctx context.Context, s access.State, until store.Millis) {
	for _, id := range w.targets {
		t, ok := s.Target(id)
		if !ok {
			continue
		}
		for _, edge := range s.Edges(t, w.at, until) {
			w.found = append(w.found, api.ReachChange{Time: edge.Time.Time(), Changes: []api.RightChange{w.wire(ctx, edge.Right, edge.Begins)}})
		}
	}
	w.at = max(w.at, until)
}

func (w *changeWalk) entry(ctx context.Context, before, after access.State, e *store.Entry) {
	var changes []api.RightChange
	for _, id := range w.targets {
		was, is := map[access.Right]bool{}, map[access.Right]bool{}
		if t, ok := before.Target(id); ok {
			was = before.Rights(t, e.Time)
		}
		if t, ok := after.Target(id); ok {
			is = after.Rights(t, e.Time)
		}
		for r := range is {
			if !was[r] {
				changes = append(changes, w.wire(ctx, r, true))
			}
		}
		for r := range was {
			if !is[r] {
				changes = append(changes, w.wire(ctx, r, false))
			}
		}
	}
	if len(changes) == 0 {
		return
	}
	slices.SortFunc(changes, func(a, b api.RightChange) int {
		return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.Login, b.Login), cmp.Compare(a.By, b.By))
	})
	shown := w.reader.entry(ctx, e)
	w.found = append(w.found, api.ReachChange{Time: e.Time.Time(), Entry: &shown, Changes: changes})
}

func (w *changeWalk) wire(ctx context.Context, r access.Right, came bool) api.RightChange {
	return api.RightChange{Came: came, Role: r.Role, User: w.reader.handle(ctx, r.User), Login: string(r.Login), By: uint64(r.Entry)}
}
