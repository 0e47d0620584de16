package notice

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/vaultpam/vaultpam/store"
)

const (
	// followPause lets a busy ledger's entries gather: the searches cost the same
	// for one and for many.
	followPause = 200 * time.Millisecond
	// saveEvery is how many entries without a notice are looked at again after a
	// restart, at most.
	saveEvery = 10_000
)

// follow looks at what is appended to the ledger until ctx is done.
func (n *Notices) follow(ctx context.Context) error {
	for {
		changed := n.Ledger.Changed()
		pause := followPause
		if err := n.read(ctx); err != nil && ctx.Err() == nil {
			n.Log.Error("entries could not be looked at for notices", "error", err)
			pause, changed = n.retry.first, closed()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
		if !wait(ctx, pause, nil) {
			return nil
		}
	}
}

func closed() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// wait returns after a time, or when woken, and false when ctx is done.
func wait(ctx context.Context, d time.Duration, woken <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-woken:
	case <-timer.C:
	}
	return true
}

// read makes deliveries of the entries since the cursor. Deliveries and cursor
// become durable together: a process that dies before makes them anew, one that
// dies after does not make them again.
func (n *Notices) read(ctx context.Context) error {
	next := n.Ledger.State().Next()
	if next <= n.cursor {
		return nil
	}
	found, err := n.derive(ctx, n.cursor, next)
	if err != nil {
		return err
	}
	if len(found) == 0 && next-n.saved < saveEvery {
		n.cursor = next
		return nil
	}
	return n.keep(ctx, found, next)
}

// keep makes deliveries and the cursor durable, and lets the deliveries wait. What
// has to make room for them goes when that is durable, and stays where it is not:
// a full disk would otherwise keep what nobody would send or count any more.
func (n *Notices) keep(ctx context.Context, found []*delivery, next store.Index) error {
	ready, err := n.write(ctx, found, next)
	if err != nil {
		for _, c := range n.channels {
			c.stay()
		}
		return err
	}
	n.cursor, n.saved = next, next
	for _, c := range n.channels {
		if dropped := c.leave(); dropped > 0 {
			n.Log.Error("too many notices wait, and the oldest are dropped", "way", c.way.String(), "dropped", dropped)
		}
	}
	for _, d := range ready {
		if c := n.channel(d); c != nil {
			c.add(d, n.Now())
		}
	}
	return nil
}

// write makes deliveries and the cursor durable, and returns those for which there
// is room.
func (n *Notices) write(ctx context.Context, found []*delivery, next store.Index) (ready []*delivery, err error) {
	writes := []store.SideWrite{cursorWrite(next)}
	for _, c := range n.channels {
		fresh := slices.DeleteFunc(slices.Clone(found), func(d *delivery) bool { return d.way != c.way })
		kept, gone := c.room(fresh)
		for _, d := range kept {
			w, err := d.write()
			if err != nil {
				return nil, err
			}
			writes = append(writes, w)
		}
		writes, ready = append(writes, gone...), append(ready, kept...)
	}
	return ready, n.backend.WriteSide(ctx, writes)
}

// derive returns the deliveries of the entries from one index to another, in the
// order of the entries.
func (n *Notices) derive(ctx context.Context, from, to store.Index) ([]*delivery, error) {
	var all []*delivery
	for _, r := range rules() {
		entries, err := n.Ledger.Find(ctx, store.Query{Type: r.on, From: from, To: to})
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			found, err := n.deliveries(ctx, r, e)
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
	}
	slices.SortStableFunc(all, func(a, b *delivery) int { return cmp.Compare(a.entry, b.entry) })
	return all, nil
}

// deliveries says which ways the notice of an entry goes, and to whom.
func (n *Notices) deliveries(ctx context.Context, r rule, e *store.Entry) ([]*delivery, error) {
	p, err := n.page(ctx, r, e, "")
	if err != nil || p.subject == "" {
		return nil, err
	}
	var all []*delivery
	made := kept{Made: store.At(n.Now())}
	if n.Hook != nil {
		all = append(all, &delivery{way: byHook, entry: e.Index, kind: r.kind, kept: made})
	}
	if n.Mail == nil {
		return all, nil
	}
	to := r.to(p)
	if p.err != nil {
		return nil, p.err
	}
	for _, id := range to {
		d := &delivery{way: byMail, entry: e.Index, user: id, kind: r.kind, kept: made}
		if d.Address, err = n.contact(ctx, id, e.Index); err != nil {
			return nil, err
		}
		if d.Link, err = n.linkOf(ctx, e); err != nil {
			return nil, err
		}
		if d.Address != (store.Commitment{}) {
			all = append(all, d)
		}
	}
	return all, nil
}

// linkOf returns the token of an invitation whose link is to go out with it.
func (n *Notices) linkOf(ctx context.Context, e *store.Entry) (store.Hash, error) {
	inv, ok := e.Event.(*store.InvitationCreated)
	if !ok {
		return store.Hash{}, nil
	}
	_, err := n.backend.Side(ctx, store.SideNotices, linkKey(inv.Token))
	if errors.Is(err, store.ErrNotFound) {
		return store.Hash{}, nil
	}
	return inv.Token, err
}

// contact returns the address that somebody had before an entry. It is read from
// the entries and not from the state: who takes an account over changes the
// address next.
func (n *Notices) contact(ctx context.Context, id store.UserID, before store.Index) (store.Commitment, error) {
	if before == 0 {
		return store.Commitment{}, nil
	}
	last, err := n.Ledger.Find(ctx, store.Query{Type: store.TypeUserContact, User: id, To: before, Limit: 1, Order: store.NewestFirst})
	if err != nil || len(last) == 0 {
		return store.Commitment{}, err
	}
	e, ok := last[0].Event.(*store.UserContact)
	if !ok || e.User != id {
		return store.Commitment{}, store.ErrCorrupt
	}
	return e.Email, nil
}
