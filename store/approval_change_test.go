package store_test

import (
	"crypto"
	"crypto/elliptic"
	"errors"
	"testing"

	"github.com/vaultpam/vaultpam/store"
)

// newChangeBallot is bob's approval of what carol proposed.
func newChangeBallot(key passkeyPair) *ballot {
	b := newBallot(key)
	carol := b.request.Actor.User
	b.request.Event = &store.ChangeProposed{User: carol, Target: 9, Expires: 9_000_000, Source: store.Commitment{1}, Grant: &store.GrantAdded{
		User: carol, Target: 9, Logins: []store.Login{"root"}, Until: 3_600_000,
	}}
	return b
}

// TestS17ApprovalOfAnotherChange: an approval of a change is one of that change and
// nothing else, whoever shows it.
func TestS17ApprovalOfAnotherChange(t *testing.T) {
	key := ecdsaPair(t, elliptic.P256(), -7, 1, crypto.SHA256)
	b := newChangeBallot(key)
	b.sign(t, key)
	if err := b.verify(t); err != nil {
		t.Fatal(err)
	}
	changed := func(change func(*store.ChangeProposed)) func(*ballot) {
		return func(b *ballot) { change(b.request.Event.(*store.ChangeProposed)) }
	}
	for name, spoil := range map[string]func(*ballot){
		"another login": changed(func(e *store.ChangeProposed) { e.Grant.Logins = []store.Login{"postgres"} }),
		"for ever":      changed(func(e *store.ChangeProposed) { e.Grant.Until = 0 }),
		"for another":   changed(func(e *store.ChangeProposed) { e.Grant.User = store.UserID{9} }),
		"a label": changed(func(e *store.ChangeProposed) {
			e.Grant, e.Label = nil, &store.TargetLabelled{Target: 9, Labels: store.TargetLabels{}}
		}),
		"waiting longer": changed(func(e *store.ChangeProposed) { e.Expires++ }),
		"somewhere else": changed(func(e *store.ChangeProposed) { e.Source = store.Commitment{2} }),
		"a request": func(b *ballot) {
			b.request.Event = newBallot(key).request.Event
		},
		"another's name": func(b *ballot) {
			e := b.request.Event.(*store.ChangeProposed)
			e.User, b.approved.Event.(*store.RequestApproved).User = store.UserID{5}, store.UserID{5}
		},
		"by who proposed it": func(b *ballot) {
			b.approved.Actor.User, b.enrolled.Event.(*store.FactorEnrolled).User = b.request.Actor.User, b.request.Actor.User
		},
		"another entry": func(b *ballot) { b.request.Index, b.approved.Event.(*store.RequestApproved).Request = 39, 39 },
	} {
		b := newChangeBallot(key)
		b.sign(t, key)
		spoil(b)
		if err := b.verify(t); !errors.Is(err, store.ErrNotApproved) {
			t.Errorf("%s: error %v, want ErrNotApproved", name, err)
		}
	}
}

// TestChangesThatCannotBeProposed: an entry has one change, about its target.
func TestChangesThatCannotBeProposed(t *testing.T) {
	user := store.UserID{1}
	join := &store.MemberAdded{Group: 3, User: user}
	grant := func(change func(*store.GrantAdded)) *store.ChangeProposed {
		g := &store.GrantAdded{User: user, Target: 9, Logins: []store.Login{"root"}}
		change(g)
		return &store.ChangeProposed{User: user, Target: 9, Expires: 1, Grant: g}
	}
	for name, e := range map[string]*store.ChangeProposed{
		"none":            {User: user, Expires: 1},
		"two":             {User: user, Expires: 1, Join: join, Leave: &store.MemberRemoved{Group: 3, User: user}},
		"nobody's":        {Expires: 1, Join: join},
		"for ever":        {User: user, Join: join},
		"another target":  {User: user, Target: 8, Expires: 1, Label: &store.TargetLabelled{Target: 9}},
		"a target beside": {User: user, Target: 8, Expires: 1, Join: join},
		"a bad change":    {User: user, Expires: 1, Join: &store.MemberAdded{User: user}},
		"a guardrail":     grant(func(g *store.GrantAdded) { g.Forbids = true }),
		"an answer":       grant(func(g *store.GrantAdded) { g.Request, g.Base = 4, 3 }),
		"no logins":       grant(func(g *store.GrantAdded) { g.Logins = nil }),
	} {
		if _, err := (&store.Entry{Event: e}).Encode(); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
	if (&store.ChangeProposed{}).Propose(&store.UserRemoved{User: user}) {
		t.Error("a user's removal can be proposed")
	}
}
