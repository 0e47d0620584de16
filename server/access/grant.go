package access

import (
	"bytes"
	"cmp"
	"iter"
	"slices"

	"github.com/vaultpam/vaultpam/store"
)

// A Grant lets somebody reach targets, or forbids it where it is a guardrail.
type Grant struct {
	Entry      store.Index
	User       store.UserID // or zero
	Group      store.Index  // or 0; a guardrail with neither is for everybody
	Target     store.Index  // or 0
	Targets    store.Selector
	Logins     []store.Login // of a guardrail none is all
	Forbids    bool
	For        store.Purposes // as it was said
	From       store.Millis   // 0: since ever
	Until      store.Millis   // 0: without end
	Hours      store.Hours
	Conditions store.Conditions
	Request    store.Index // it answers, or 0
	Base       store.Index // whose conditions the request fulfilled, or 0
	Added      store.Millis
	By         store.UserID  `cbor:",omitzero"` // who gave it alone; zero on the server's own machine and of four hands
	Last       LastUse       `cbor:",omitzero"` // of most grants in a snapshot there is none
	ByCode     []store.Index `cbor:",omitzero"` // the approvals of the request that nobody can verify
}

// NewGrant returns the grant that an entry gave.
func NewGrant(entry store.Index, e *store.GrantAdded) Grant {
	return Grant{
		Entry: entry, User: e.User, Group: e.Group, Target: e.Target, Targets: e.Targets, Logins: e.Logins, Forbids: e.Forbids,
		For: e.For, From: e.From, Until: e.Until, Hours: e.Hours, Conditions: e.Conditions, Request: e.Request, Base: e.Base,
	}
}

// Purposes are what the grant is for.
func (g Grant) Purposes() store.Purposes {
	switch {
	case len(g.For) > 0:
		return g.For
	case g.Forbids:
		return nil
	}
	return store.DefaultPurposes()
}

// requested reports whether the grant allows nothing by itself: what it says can be
// requested.
func (g Grant) requested() bool {
	c := g.Conditions
	return g.Request == 0 && (c.Reason || c.Ticket != "" || c.Approvals != 0)
}

// covers reports whether a target and a login are among the grant's.
func (g Grant) covers(t Target, login store.Login) bool {
	if g.Forbids {
		return (g.Target == t.Entry || !g.Targets.IsZero() && g.Targets.Forbids(t.Labels)) &&
			(len(g.Logins) == 0 || slices.Contains(g.Logins, login))
	}
	return g.reaches(t) && slices.Contains(g.Logins, login)
}

// reaches reports whether a target is among those of a grant that allows.
func (g Grant) reaches(t Target) bool {
	return g.Target == t.Entry && t.Entry != 0 || !g.Targets.IsZero() && g.Targets.Allows(t.Labels)
}

// live reports whether the grant holds at a moment, by its life and its hours.
func (g Grant) live(now store.Millis) bool {
	return g.From <= now && (g.Until == 0 || now < g.Until) && (g.Hours.IsZero() || g.Hours.Open(now.Time()))
}

// changes returns the next moment at which live may answer otherwise, or 0.
func (g Grant) changes(now store.Millis) store.Millis {
	var next store.Millis
	earlier := func(m store.Millis) {
		if m > now && (next == 0 || m < next) {
			next = m
		}
	}
	earlier(g.From)
	earlier(g.Until)
	if !g.Hours.IsZero() {
		edge, ok := g.Hours.Closes(now.Time())
		if !g.Hours.Open(now.Time()) {
			edge, ok = g.Hours.Opens(now.Time())
		}
		if ok {
			earlier(store.At(edge))
		}
	}
	return next
}

// A grantKey is whom grants are for and what, so that deciding looks at those of one
// user, of the user's groups, and at the guardrails of everybody. Those with a
// selector stand under target 0.
type grantKey struct {
	user   store.UserID
	group  store.Index
	target store.Index
}

func compareGrantKeys(a, b grantKey) int {
	if c := bytes.Compare(a.user[:], b.user[:]); c != 0 {
		return c // most are told apart by it, and cmp.Or looks at everything
	}
	return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.target, b.target))
}

func (g Grant) key() grantKey { return grantKey{g.User, g.Group, g.Target} }

// setGrant adds a grant, or puts it in the place of what it was. Lists of grants are
// shared between states and never change.
func (a *applier) setGrant(g Grant) {
	k := g.key()
	list, _ := a.grants.get(k)
	i, there := place(list, g.Entry)
	list = slices.Clone(list)
	if there {
		list[i] = &g
	} else {
		list = slices.Insert(list, i, &g)
	}
	a.grants, a.grantKeys = a.grants.set(k, list), a.grantKeys.set(g.Entry, k)
}

func (a *applier) dropGrant(g Grant) {
	a.leaveReviews(g)
	k := g.key()
	list, _ := a.grants.get(k)
	a.grantKeys = a.grantKeys.drop(g.Entry)
	if list = slices.DeleteFunc(slices.Clone(list), func(x *Grant) bool { return x.Entry == g.Entry }); len(list) == 0 {
		a.grants = a.grants.drop(k)
		return
	}
	a.grants = a.grants.set(k, list)
}

// place finds a grant in a list, or where it would stand.
func place(list []*Grant, entry store.Index) (int, bool) {
	return slices.BinarySearchFunc(list, entry, func(g *Grant, e store.Index) int { return cmp.Compare(g.Entry, e) })
}

// subjects yields the beginnings of the keys of what is said about a user:
// themselves, everybody, and their groups.
func (s State) subjects(user store.UserID) iter.Seq[grantKey] {
	return func(yield func(grantKey) bool) {
		if !yield(grantKey{user: user}) || !yield(grantKey{}) {
			return
		}
		groups, _ := s.memberships.get(user)
		for _, g := range groups {
			if !yield(grantKey{group: g}) {
				return
			}
		}
	}
}

// GrantsOf yields the grants and guardrails that are said of a user, or of a group
// of theirs, or of everybody.
func (s State) GrantsOf(user store.UserID) iter.Seq[Grant] {
	return func(yield func(Grant) bool) {
		for k := range s.subjects(user) {
			for found, list := range s.grants.from(k) {
				if found.user != k.user || found.group != k.group {
					break
				}
				for _, g := range list {
					if !yield(*g) {
						return
					}
				}
			}
		}
	}
}

// grantsOn yields those of them that are about a target.
func (s State) grantsOn(user store.UserID, t Target) iter.Seq[Grant] {
	return func(yield func(Grant) bool) {
		for k := range s.subjects(user) {
			for _, target := range [...]store.Index{0, t.Entry} {
				k.target = target
				list, _ := s.grants.get(k)
				for _, g := range list {
					if !yield(*g) {
						return
					}
				}
			}
		}
	}
}

// Grant returns a grant by the index of its entry.
func (s State) Grant(entry store.Index) (Grant, bool) {
	k, ok := s.grantKeys.get(entry)
	if !ok {
		return Grant{}, false
	}
	list, _ := s.grants.get(k)
	i, ok := place(list, entry)
	if !ok {
		return Grant{}, false
	}
	return *list[i], true
}
