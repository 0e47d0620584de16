package access

import (
	"cmp"
	"slices"

	"github.com/vaultpam/vaultpam/store"
)

// A Right is a grant, a guardrail or a lock that is about a user and a login of a
// target; a lock is about every login.
type Right struct {
	User  store.UserID
	Login store.Login
	Entry store.Index
	Role  string // grant, request (one that can be requested by it), guardrail, lock
}

// Rights are all that is said about a target at a moment, by the life of what says
// it: weekly hours and touches are terms of a right and do not end it.
func (s State) Rights(t Target, now store.Millis) map[Right]bool {
	all := map[Right]bool{}
	for _, u := range s.users.all() {
		some := false
		for g := range s.grantsOn(u.ID, t) {
			if g.From > now || g.Until != 0 && g.Until <= now || g.Base != 0 && !s.stands(u.ID, g) {
				continue
			}
			for _, login := range t.Logins {
				if g.covers(t, login) {
					all[Right{u.ID, login, g.Entry, g.role()}] = true
					some = some || !g.Forbids
				}
			}
		}
		if l, ok := s.lockOf(u.ID, t.Entry, 0, store.SessionID{}); ok && some {
			all[Right{u.ID, "", l.Entry, "lock"}] = true
		}
	}
	return all
}

func (g Grant) role() string {
	switch {
	case g.Forbids:
		return "guardrail"
	case g.requested():
		return "request"
	}
	return "grant"
}

// An Edge is a moment at which a grant or guardrail begins or ends by the clock.
type Edge struct {
	Time store.Millis
	Right
	Begins bool
}

// Edges are those of a target behind one moment and not behind another, in their
// order.
func (s State) Edges(t Target, from, to store.Millis) []Edge {
	var all []Edge
	for _, u := range s.users.all() {
		for g := range s.grantsOn(u.ID, t) {
			for _, login := range t.Logins {
				if !g.covers(t, login) {
					continue
				}
				right := Right{u.ID, login, g.Entry, g.role()}
				if from < g.From && g.From <= to {
					all = append(all, Edge{g.From, right, true})
				}
				if from < g.Until && g.Until <= to {
					all = append(all, Edge{g.Until, right, false})
				}
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Edge) int { return cmp.Compare(a.Time, b.Time) })
	return all
}
