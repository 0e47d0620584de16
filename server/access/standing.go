package access

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vaultpam/vaultpam/store"
)

// A Standing is what a user may do on a target with a login at a moment.
type Standing struct {
	// Grants are those that allow it, Guardrails those that forbid some of it.
	Grants     []Grant
	Guardrails []Grant
	// Purposes are what is left of the one without the other; nothing where the
	// user may not log in.
	Purposes store.Purposes
	// Changes is the next moment at which it may be otherwise by the clock alone,
	// or 0.
	Changes store.Millis

	// What would be there but for something.
	early, late, closed, touch, request Grant
	otherLogin                          bool
}

// A Touch is when a person last touched a passkey (0: never), and the moment that
// this is judged at: before a session now, in a session its start.
type Touch struct{ Last, Judged store.Millis }

// within reports whether the touch is one that a grant asks for.
func (x Touch) within(g Grant) bool {
	within, wanted := g.Conditions.PasskeyWithin()
	return !wanted || x.Last != 0 && x.Judged < x.Last+store.Millis(within/time.Millisecond)
}

// Standing answers what a user may do with a login of a target, with the touch
// that they have.
func (s State) Standing(user store.UserID, x Touch, t Target, login store.Login, now store.Millis) Standing {
	var st Standing
	everything := false
	for g := range s.grantsOn(user, t) {
		if !g.covers(t, login) {
			st.otherLogin = st.otherLogin || !g.Forbids && g.reaches(t) && g.live(now) && !g.requested()
			continue
		}
		if g.Base != 0 && !s.stands(user, g) {
			continue
		}
		if next := g.changes(now); next != 0 && (st.Changes == 0 || next < st.Changes) {
			st.Changes = next
		}
		if g.Forbids {
			if g.live(now) {
				st.Guardrails = append(st.Guardrails, g)
				everything = everything || len(g.For) == 0
			}
			continue
		}
		st.take(g, x, now)
	}
	if everything {
		return st
	}
	st.Purposes = union(st.Grants)
	for _, g := range st.Guardrails {
		st.Purposes = st.Purposes.Without(g.For) // one by one: each may leave a part of what another takes whole
	}
	return st
}

// union is what grants are for together.
func union(grants []Grant) store.Purposes {
	if len(grants) == 1 {
		return grants[0].Purposes()
	}
	var all []store.Use
	for _, g := range grants {
		all = append(all, g.Purposes()...)
	}
	return joined(all)
}

// stands reports whether a grant that answers a request still has what it stands on:
// whoever leaves the group that could make the request, and a target that loses the
// label, take the answers with them.
func (s State) stands(user store.UserID, g Grant) bool {
	return s.requestable(user, g.Base, g.Target, g.Logins[0])
}

// take takes a grant in that covers what is asked.
func (st *Standing) take(g Grant, x Touch, now store.Millis) {
	switch {
	case g.requested():
		if st.request.Entry == 0 && g.live(now) {
			st.request = g
		}
	case g.live(now) && x.within(g):
		st.Grants = append(st.Grants, g)
	case g.live(now):
		if st.touch.Entry == 0 || st.touch.Conditions.Passkey < g.Conditions.Passkey {
			st.touch = g
		}
	case g.From > now:
		if st.early.Entry == 0 || g.From < st.early.From {
			st.early = g
		}
	case g.Until != 0 && g.Until <= now:
		if st.late.Until < g.Until {
			st.late = g
		}
	default:
		st.closed = g
	}
}

// joined are the purposes of all grants that allow: a limit of one takes nothing
// from another.
func joined(uses []store.Use) store.Purposes {
	byPurpose := map[store.Purpose]store.Use{}
	for _, u := range uses {
		have, ok := byPurpose[u.Purpose]
		switch {
		case !ok:
			byPurpose[u.Purpose] = u
		case len(have.Limits) == 0 || len(u.Limits) == 0:
			byPurpose[u.Purpose] = store.Use{Purpose: u.Purpose, Limits: []string{}}
		default:
			limits := append(slices.Clone(have.Limits), u.Limits...)
			slices.Sort(limits)
			byPurpose[u.Purpose] = store.Use{Purpose: u.Purpose, Limits: slices.Compact(limits)}
		}
	}
	var all store.Purposes
	for _, p := range store.AllPurposes() {
		u, ok := byPurpose[p]
		if p == store.PurposeSFTP && slices.Contains(u.Limits, string(store.SFTPReadWrite)) {
			u.Limits = []string{string(store.SFTPReadWrite)}
		}
		if ok {
			all = append(all, u)
		}
	}
	return all
}

// longest returns the grant that lasts longest.
func (st Standing) longest() Grant {
	return slices.MaxFunc(st.Grants, func(a, b Grant) int {
		switch {
		case a.Until == b.Until:
			return cmp.Compare(b.Entry, a.Entry)
		case a.Until == 0:
			return 1
		case b.Until == 0:
			return -1
		}
		return cmp.Compare(a.Until, b.Until)
	})
}

// others are the grants that allow it beside one of them.
func (st Standing) others(than Grant) []store.Index {
	var all []store.Index
	for _, g := range st.Grants {
		if g.Entry != than.Entry && len(all) < store.MaxAlso {
			all = append(all, g.Entry)
		}
	}
	return all
}

// refusal says why a user may not log in, in the order of what is nearest.
func (st Standing) refusal(u User, name store.TargetName, login store.Login) *Refusal {
	const ask = "ask an administrator for a grant"
	switch {
	case len(st.Grants) > 0 && len(st.Guardrails) > 0:
		return refuse(store.RefusedGuardrail, "an administrator sees it: vaultpam explain",
			"%s on %s is forbidden to %s by %s", login, name, u.Handle, grantList(st.decisive()))
	case st.touch.Entry != 0 && u.Bot:
		return refuse(store.RefusedTouch, "ask an administrator for a grant without a touch",
			"%s on %s wants a touch of a passkey, and %s is a bot, which can never give one", login, name, u.Handle)
	case st.touch.Entry != 0:
		hint := "vaultpam confirm, then the same again"
		if len(u.Passkeys()) == 0 {
			hint = "you have no passkey yet; make one: vaultpam factor add"
		}
		return refuse(store.RefusedTouch, hint,
			"%s on %s wants a touch of your passkey that is at most %s old", login, name, minutes(st.touch.Conditions.Passkey))
	case st.closed.Entry != 0:
		return refuse(store.RefusedHours, "try again then", "%s may log in as %s on %s %s", u.Handle, login, name, st.closed.Hours)
	case st.early.Entry != 0:
		return refuse(store.RefusedNotYet, "try again then", "%s may log in as %s on %s from %s on", u.Handle, login, name, moment(st.early.From))
	case st.request.Entry != 0:
		return refuse(store.RefusedRequest, st.request.ask(name, login),
			"%s may log in as %s on %s once that was requested%s", u.Handle, login, name, asks(st.request.Conditions))
	case st.late.Entry != 0:
		return refuse(store.RefusedEnded, ask, "%s's grant for %s on %s ended at %s", u.Handle, login, name, moment(st.late.Until))
	case st.otherLogin:
		return refuse(store.RefusedLogin, "vaultpam targets", "%s may reach %s, but not as %s", u.Handle, name, login)
	}
	// A target that exists and one that does not are refused with one sentence:
	// what there is, is for those to know who may reach it.
	return refuse(store.RefusedNoGrant, "vaultpam targets", "there is no target %s that %s may reach", name, u.Handle)
}

// refusal is that of the standing; but whoever has asked already reads which request
// waits, and not how to make another one.
func (s State) refusal(st Standing, u User, t Target, login store.Login, now store.Millis) *Refusal {
	said := st.refusal(u, t.Name, login)
	if said.Reason != store.RefusedRequest {
		return said
	}
	r, ok := s.waiting(u.ID, t.Entry, login, now)
	if !ok {
		return said
	}
	have, want := s.Approvals(r)
	people := "one more person"
	if n := want - min(have, want); n != 1 {
		people = fmt.Sprintf("%d more people", n)
	}
	return refuse(store.RefusedRequest, "vaultpam requests shows it; the same again once it is approved",
		"%s's request %d for %s on %s waits for %s to approve it, until %s", u.Handle, r.Entry, login, t.Name, people, moment(r.Expires))
}

// decisive returns the guardrails that forbid everything, or where it takes several
// for that, all of them.
func (st Standing) decisive() []Grant {
	var whole []Grant
	for _, g := range st.Guardrails {
		if len(g.For) == 0 {
			whole = append(whole, g)
		}
	}
	if len(whole) == 0 {
		return st.Guardrails
	}
	return whole
}

// ask is the command that requests a grant; the words in capitals are for the
// person to write.
func (g Grant) ask(name store.TargetName, login store.Login) string {
	c := g.Conditions
	lasts := "1h"
	if 0 < c.Longest && c.Longest < 60 {
		lasts = fmt.Sprintf("%dm", c.Longest)
	}
	command := fmt.Sprintf("vaultpam request %s --login %s --for %s", name, login, lasts)
	if c.Reason || c.Ticket == "" {
		command += ` --reason "WHY"`
	}
	if c.Ticket != "" {
		command += " --ticket TICKET"
	}
	return command
}

// asks says what a request has to bring.
func asks(c store.Conditions) string {
	var parts []string
	if c.Reason {
		parts = append(parts, "with a reason")
	}
	if c.Ticket != "" {
		parts = append(parts, fmt.Sprintf("with a ticket like %s", c.Ticket))
	}
	if c.Approvals == 1 {
		parts = append(parts, "and one person approved it")
	} else if c.Approvals > 1 {
		parts = append(parts, fmt.Sprintf("and %d people approved it", c.Approvals))
	}
	if len(parts) == 0 {
		return ""
	}
	return " " + strings.Join(parts, " ")
}
