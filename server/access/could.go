package access

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/vaultpam/vaultpam/store"
)

// A Could is what somebody could do with a login of a target at a moment, once they
// are signed in and have touched what they are asked to touch.
type Could struct {
	User     User
	Target   Target
	Login    store.Login
	Standing Standing
	Lock     Lock // that stops it; its Entry is 0 where none does

	now store.Millis
}

// May reports whether they could log in.
func (c Could) May() bool { return c.Lock.Entry == 0 && len(c.Standing.Purposes) > 0 }

// Directly reports whether they could log in past the relay.
func (c Could) Directly() bool { return c.May() && c.directly() == nil }

func (c Could) directly() *Refusal { return c.Standing.directly(c.User, c.Target.Name, c.Login) }

// Request returns the grant by which they could ask for it, where that is all that
// is missing.
func (c Could) Request() (Grant, bool) {
	g := c.Standing.request
	return g, g.Entry != 0 && c.Lock.Entry == 0 && len(c.Standing.Grants) == 0
}

// Touch returns for how many minutes a passkey's touch counts that is asked for, 0
// where a grant asks for none.
func (c Could) Touch() uint64 {
	var longest uint64
	for _, g := range c.Standing.Grants {
		if g.Conditions.Passkey == 0 {
			return 0
		}
		longest = max(longest, g.Conditions.Passkey)
	}
	return longest
}

// Until returns when the last of the grants ends by which they could, or 0.
func (c Could) Until() store.Millis {
	var last store.Millis
	for _, g := range c.Standing.Grants {
		if g.Until == 0 {
			return 0
		}
		last = max(last, g.Until)
	}
	return last
}

// Could answers what a user could do with a login of a target at a moment. It is
// what StartSession is decided by, but for the sign-in and the touch.
func (s State) Could(u User, t Target, login store.Login, now store.Millis) Could {
	touch := Touch{now, now}
	if u.Bot {
		touch.Last = 0 // which they can never give
	}
	c := Could{User: u, Target: t, Login: login, Standing: s.Standing(u.ID, touch, t, login, now), now: now}
	c.Lock, _ = s.lockOf(u.ID, t.Entry, 0, store.SessionID{})
	return c
}

// Refusal is why they could not, as the relay says it; nil where they could.
func (s State) Refusal(c Could) *Refusal {
	switch {
	case c.May():
		return nil
	case c.Lock.Entry != 0 && (!c.Lock.User.IsZero() || len(c.Standing.Purposes) > 0):
		return s.lockedSession(c.Lock)
	}
	return s.refusal(c.Standing, c.User, c.Target, c.Login, c.now)
}

// WhoCould yields everybody who could do something on a target at a moment, or could
// ask for it, people and bots in the order of their IDs, with each of its logins.
func (s State) WhoCould(t Target, now store.Millis) iter.Seq[Could] {
	return func(yield func(Could) bool) {
		for _, u := range s.users.all() {
			for _, login := range t.Logins {
				if c := s.Could(u, t, login, now); c.counts() && !yield(c) {
					return
				}
			}
		}
	}
}

// CouldReach yields everything that a user could do somewhere at a moment, or could
// ask for, in the order of the targets' names.
func (s State) CouldReach(u User, now store.Millis) iter.Seq[Could] {
	return func(yield func(Could) bool) {
		named, chosen := s.aimsOf(u.ID)
		for t := range s.Targets() {
			if !named[t.Entry] && !slices.ContainsFunc(chosen, func(g store.Selector) bool { return g.Allows(t.Labels) }) {
				continue
			}
			for _, login := range t.Logins {
				if c := s.Could(u, t, login, now); c.counts() && !yield(c) {
					return
				}
			}
		}
	}
}

// counts reports whether there is something to say: a way in, or one that a lock or
// a request stands before.
func (c Could) counts() bool {
	_, requestable := c.Request()
	return len(c.Standing.Purposes) > 0 || requestable
}

// A Reason is an entry that made an answer what it is.
type Reason struct {
	Entry store.Index
	Role  string // what it is to the answer: grant, guardrail, member, labels, lock, request
}

// Reasons are the entries on which an answer rests, each once: the grants, and how
// they come to be about this user and this target; the guardrails and the lock.
func (s State) Reasons(c Could) []Reason {
	var all []Reason
	seen := map[store.Index]bool{0: true}
	add := func(entry store.Index, role string) {
		if !seen[entry] {
			seen[entry] = true
			all = append(all, Reason{entry, role})
		}
	}
	about := func(g Grant, role string) {
		add(g.Entry, role)
		if since, ok := s.Member(g.Group, c.User.ID); ok {
			add(since, "member")
		}
		if !g.Targets.IsZero() && !g.Targets.All() {
			add(c.Target.Labelled, "labels")
		}
	}
	for _, g := range c.Standing.Grants {
		about(g, "grant")
	}
	for _, g := range c.Standing.Guardrails {
		about(g, "guardrail")
	}
	if g, ok := c.Request(); ok {
		about(g, "request")
	}
	add(c.Lock.Entry, "lock")
	return all
}

// Sentence says an answer in words for whoever asks about it.
func (s State) Sentence(c Could) string {
	if r := s.Refusal(c); r != nil {
		return "no: " + r.Message + s.shortOfApprovers(c)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "yes: %s may log in as %s on %s for %s", c.User.Handle, c.Login, c.Target.Name, c.Standing.Purposes)
	if until := c.Until(); until != 0 {
		fmt.Fprintf(&b, " until %s", moment(until))
	}
	if n := c.Touch(); n != 0 {
		fmt.Fprintf(&b, ", with a touch of a passkey that is at most %s old", minutes(n))
	}
	fmt.Fprintf(&b, ", by %s", grantList(c.Standing.Grants))
	if len(c.Standing.Guardrails) > 0 {
		fmt.Fprintf(&b, " and within %s", grantList(c.Standing.Guardrails))
	}
	if r := c.directly(); r == nil {
		b.WriteString("; also past the relay, unrecorded, where nothing ends a connection")
	} else if c.Standing.Purposes.Has(store.PurposeDirect) {
		fmt.Fprintf(&b, "; but not past the relay: %s", r.Message)
	}
	return b.String()
}

// shortOfApprovers says where a request could be made and never approved, as things
// stand.
func (s State) shortOfApprovers(c Could) string {
	g, ok := c.Request()
	there := uint64(0)
	for range s.Approvers(c) {
		there++
	}
	if !ok || there >= g.Conditions.Approvals {
		return ""
	}
	group, _ := s.Group(g.Conditions.Approvers)
	if there == 0 {
		return fmt.Sprintf("; group %s has nobody who may approve it", group.Name)
	}
	return fmt.Sprintf("; group %s has only %d who may approve it", group.Name, there)
}

// Approvers yields who could approve a request for it: who may answer requests for
// its grant, but for whoever asks.
func (s State) Approvers(c Could) iter.Seq[User] {
	return func(yield func(User) bool) {
		g, ok := c.Request()
		if !ok || g.Conditions.Approvals == 0 {
			return
		}
		for u := range s.Members(g.Conditions.Approvers) {
			if s.approver(u, g) && u.ID != c.User.ID && !yield(u) {
				return
			}
		}
	}
}
