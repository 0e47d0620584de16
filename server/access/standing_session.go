package access

import (
	"time"

	"github.com/vaultpam/vaultpam/store"
)

// standingOf is what a session may do at a moment, or why nothing. It is asked
// anew, so that grants that came after its start count as those that went. A touch
// is one that was there at the start: a grant that asks for one gives nothing to a
// session that began without.
func (s State) standingOf(x Session, now store.Millis) (Standing, store.EndReason) {
	if _, locked := s.lockOn(x); locked {
		return Standing{}, store.EndedByLock
	}
	t, ok := s.targets.get(x.Target)
	if !ok {
		return Standing{}, store.EndedByGrant
	}
	st := s.Standing(x.User, Touch{x.Touched, x.Started}, t, x.Login, now)
	switch {
	case len(st.Purposes) == 0 && len(st.Grants) > 0:
		return st, store.EndedByGuardrail
	case len(st.Purposes) == 0 && st.closed.Entry != 0:
		return st, store.EndedByHours
	case len(st.Purposes) == 0:
		return st, store.EndedByGrant
	}
	// The longest session of the grant that allows the longest one counts.
	if over := lasts(st.Grants, x.Started); over != 0 && over <= now {
		return Standing{}, store.EndedByLength
	}
	return st, ""
}

// lasts returns when a session that started at a moment has lasted as long as any
// of the grants lets one, or 0.
func lasts(grants []Grant, started store.Millis) store.Millis {
	var over store.Millis
	for _, g := range grants {
		longest, bounded := g.Conditions.LongestSession()
		if !bounded {
			return 0
		}
		over = max(over, started+store.Millis(longest/time.Millisecond))
	}
	return over
}

// ends is when a session that starts now will have to end by what is known now, or
// 0.
func ends(grants []Grant, now store.Millis) store.Millis {
	until := lasts(grants, now)
	var last store.Millis
	for _, g := range grants {
		if g.Until == 0 {
			return until
		}
		last = max(last, g.Until)
	}
	if until == 0 || last < until {
		return last
	}
	return until
}

// SessionStanding returns what a session may do at a moment, and when that may
// change by the clock alone, or 0.
func (s State) SessionStanding(id store.SessionID, now store.Millis) (store.Purposes, store.Millis) {
	x, ok := s.sessions.get(id)
	if !ok || x.Errand != "" {
		return nil, 0
	}
	st, _ := s.standingOf(x, now)
	changes := st.Changes
	if over := lasts(st.Grants, x.Started); over > now && (changes == 0 || over < changes) {
		changes = over
	}
	return st.Purposes, changes
}
