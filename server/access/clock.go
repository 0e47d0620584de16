package access

import "github.com/vaultpam/vaultpam/store"

// AcceptClock says that somebody on the server's own machine looked at its clock
// and that it is right, whatever the ledger or a second clock say. It alone is
// decided by a clock that is not trusted.
type AcceptClock struct {
	By Caller
}

func (c AcceptClock) decide(s State, now store.Millis) (Decision, error) {
	if !c.By.Local {
		return Decision{}, &Refusal{Kind: Forbidden, Message: "the clock is accepted on the server's own machine", Hint: "vaultpamd clock accept"}
	}
	if s.next == 0 {
		return Decision{}, &Refusal{Kind: Conflict, Message: "the ledger has not begun"}
	}
	return Decision{
		Actor:  store.Actor{Local: true},
		Events: []store.Event{&store.ClockAccepted{Time: now}},
	}, nil
}
