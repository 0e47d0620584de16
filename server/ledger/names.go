package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"

	"github.com/vaultpam/vaultpam/store"
)

// names says who and what ever had a name. A name may have had several bearers,
// one after the other, and the state knows the last one alone.
//
// It is a memory of entries, filled by whoever asks: the first question reads
// all of them, a later one those that came since.
type names struct {
	seed maphash.Seed

	mu      sync.Mutex // guards the fields below
	targets map[store.TargetName][]store.Index
	toward  store.Index // targets holds those of the entries before
	// leavers are removed users by a hash of their handle: a text that is erased
	// from the side table must not live on here.
	leavers map[uint64][]store.UserID
	left    store.Index // leavers holds those of the entries before
}

func newNames() *names {
	return &names{
		seed:    maphash.MakeSeed(),
		targets: map[store.TargetName][]store.Index{},
		leavers: map[uint64][]store.UserID{},
	}
}

// TargetsNamed returns all targets that ever had a name, in the order in which they
// had it first.
func (l *Ledger) TargetsNamed(ctx context.Context, name store.TargetName) ([]store.Index, error) {
	n := l.names
	n.mu.Lock()
	defer n.mu.Unlock()
	to := l.State().Next()
	var named []*store.Entry
	for _, t := range []store.EventType{store.TypeTargetAdded, store.TypeTargetRenamed} {
		some, err := l.Find(ctx, store.Query{Type: t, From: n.toward, To: to})
		if err != nil {
			return nil, err
		}
		named = append(named, some...)
	}
	slices.SortFunc(named, func(a, b *store.Entry) int { return cmp.Compare(a.Index, b.Index) })
	for _, e := range named {
		switch t := e.Event.(type) {
		case *store.TargetAdded:
			n.targets[t.Name] = append(n.targets[t.Name], e.Index)
		case *store.TargetRenamed:
			if !slices.Contains(n.targets[t.Name], t.Target) { // it may have had the name before
				n.targets[t.Name] = append(n.targets[t.Name], t.Target)
			}
		default:
			return nil, fmt.Errorf("reading entry %d: %w", e.Index, store.ErrCorrupt)
		}
	}
	n.toward = to
	return slices.Clone(n.targets[name]), nil
}

// UsersNamed returns all users who ever had a handle, but for those whose handle
// was erased. Who has it now comes first.
func (l *Ledger) UsersNamed(ctx context.Context, handle store.Handle) ([]store.UserID, error) {
	leavers, err := l.leavers(ctx, handle)
	if err != nil {
		return nil, err
	}
	var ids []store.UserID
	if u, ok := l.State().UserByHandle(handle); ok {
		ids = append(ids, u.ID)
	}
	for _, id := range leavers {
		text, err := l.Handle(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			continue // erased since
		} else if err != nil {
			return nil, err
		}
		if text == handle && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// leavers returns removed users who may have had the handle.
func (l *Ledger) leavers(ctx context.Context, handle store.Handle) ([]store.UserID, error) {
	n := l.names
	n.mu.Lock()
	defer n.mu.Unlock()
	to := l.State().Next()
	removed, err := l.Find(ctx, store.Query{Type: store.TypeUserRemoved, From: n.left, To: to})
	if err != nil {
		return nil, err
	}
	for _, e := range removed {
		gone, ok := e.Event.(*store.UserRemoved)
		if !ok {
			return nil, fmt.Errorf("reading entry %d: %w", e.Index, store.ErrCorrupt)
		}
		had, err := l.Handle(ctx, gone.User)
		if err == nil {
			key := maphash.String(n.seed, string(had))
			n.leavers[key] = append(n.leavers[key], gone.User)
		} else if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		n.left = e.Index + 1 // an error later on must not have this one noted twice
	}
	n.left = to
	return slices.Clone(n.leavers[maphash.String(n.seed, string(handle))]), nil
}

// Handle returns the handle of somebody who is or was a user, person or bot, or
// store.ErrNotFound where it was erased or there never was such a user.
func (l *Ledger) Handle(ctx context.Context, id store.UserID) (store.Handle, error) {
	if u, ok := l.State().User(id); ok && u.Handle != "" {
		return u.Handle, nil
	}
	handle, _, err := l.added(ctx, id)
	if err != nil {
		return "", err
	}
	text, err := l.Text(ctx, id, handle)
	return store.Handle(text), err
}

// Bot reports whether somebody who is or was a user is a bot.
func (l *Ledger) Bot(ctx context.Context, id store.UserID) (bool, error) {
	if u, ok := l.State().User(id); ok {
		return u.Bot, nil
	}
	_, bot, err := l.added(ctx, id)
	return bot, err
}

// added returns what the handle of somebody was when they were added, and whether
// as a bot.
func (l *Ledger) added(ctx context.Context, id store.UserID) (handle store.Commitment, bot bool, err error) {
	for _, kind := range []store.EventType{store.TypeUserAdded, store.TypeBotAdded} {
		found, err := l.Find(ctx, store.Query{Type: kind, User: id, Limit: 1})
		if err != nil {
			return store.Commitment{}, false, err
		}
		if len(found) == 0 {
			continue
		}
		switch e := found[0].Event.(type) {
		case *store.UserAdded:
			return e.Handle, false, nil
		case *store.BotAdded:
			return e.Handle, true, nil
		}
		return store.Commitment{}, false, fmt.Errorf("reading entry %d: %w", found[0].Index, store.ErrCorrupt)
	}
	return store.Commitment{}, false, fmt.Errorf("user %s: %w", id, store.ErrNotFound)
}
