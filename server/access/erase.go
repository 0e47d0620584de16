package access

import (
	"fmt"

	"github.com/vaultpam/vaultpam/store"
)

// EraseUser takes every text about somebody who was removed out of what stands
// beside the ledger. The caller has found who that was, writes the erasure itself
// with the entry, and forgets what it has in memory. It may be done again: what a
// restored backup brought back is erased anew.
type EraseUser struct {
	By   Caller
	User store.UserID
}

func (c EraseUser) decide(s State, now store.Millis) (Decision, error) {
	actor, err := s.administrator(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	if c.User.IsZero() {
		return Decision{}, &Refusal{Kind: Invalid, Message: "who is to be erased?"}
	}
	if u, ok := s.users.get(c.User); ok {
		hint := fmt.Sprintf("remove them first: vaultpam admin user rm %s", u.Handle)
		if u.Bot {
			hint = fmt.Sprintf("remove it first: vaultpam admin bot rm %s", u.Handle)
		}
		return Decision{}, &Refusal{Kind: Conflict, Message: fmt.Sprintf("%s is still a user", u.Handle), Hint: hint}
	}
	// A session that is still being ended stands in no text, but is not yet over.
	for _, x := range s.sessions.all() {
		if x.User == c.User {
			return Decision{}, &Refusal{Kind: Conflict, Message: fmt.Sprintf("session %s of theirs has not ended yet", x.ID), Hint: "try again in a moment"}
		}
	}
	return Decision{Actor: actor, Events: []store.Event{&store.UserErased{User: c.User}}}, nil
}
