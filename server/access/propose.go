package access

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/vaultpam/vaultpam/store"
)

// A Place is where an administrator's command came from, for the proposal that the
// command may become. The salt is random.
type Place struct {
	Source string
	Salt   [32]byte
}

// alone is the decision of one event that an administrator may cause alone where it
// gives themselves nothing. Where it does, it is proposed to the others; what it
// would do for its actor is a sentence.
func (s State) alone(actor store.Actor, e store.Event, from Place, message string, now store.Millis) (Decision, error) {
	favours, err := s.favours(actor, e)
	if err != nil {
		return Decision{}, err
	}
	if !favours {
		return Decision{Actor: actor, Events: []store.Event{e}}, nil
	}
	if !s.secondHands(actor.User) {
		return Decision{}, selfGrant(message)
	}
	return s.propose(actor, e, from, now)
}

// secondHands reports whether there is an administrator beside one of them who could
// answer what that one proposes.
func (s State) secondHands(proposer store.UserID) bool {
	for _, u := range s.users.all() {
		if _, locked := s.LockOfUser(u.ID); u.ID != proposer && u.Has(store.RoleAdministrator) && u.Enrolled() && !locked {
			return true
		}
	}
	return false
}

func (s State) propose(actor store.Actor, change store.Event, from Place, now store.Millis) (Decision, error) {
	source := store.Opening{Owner: actor.User, Field: store.FieldSource, Salt: from.Salt, Text: from.Source}
	e := &store.ChangeProposed{User: actor.User, Expires: now + requestLife, Source: source.Commit()}
	if !e.Propose(change) {
		return Decision{}, fmt.Errorf("%s can't be proposed", change.EventType())
	}
	u, _ := s.users.get(actor.User)
	if err := s.mayProposeMore(u, change, now); err != nil {
		return Decision{}, err
	}
	return Decision{Actor: actor, Events: []store.Event{e}, Openings: []store.Opening{source}}, nil
}

// mayProposeMore refuses the same change twice, and too many: each is a notice to
// every administrator.
func (s State) mayProposeMore(u User, change store.Event, now store.Millis) error {
	for r := range s.Requests() {
		if r.User == u.ID && r.Change != nil && s.RequestState(r, now) == RequestWaits && same(r.Change.Change(), change) {
			return &Refusal{
				Kind: Conflict, Message: fmt.Sprintf("proposal %d for exactly that waits already for another administrator", r.Entry),
				Hint: fmt.Sprintf("vaultpam requests; or, to take it back: vaultpam withdraw %d", r.Entry),
			}
		}
	}
	return s.mayWaitMore(u, now)
}

// same reports whether two events say the same.
func same(a, b store.Event) bool {
	x, errX := (&store.Entry{Event: a}).Encode()
	y, errY := (&store.Entry{Event: b}).Encode()
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// mayDecide refuses an answer to a proposal by somebody who is not a second
// administrator. They have to have been one before the proposal, and to have had a
// factor: nobody becomes the second hand for what is there already. What was made
// ready before it, a second account of the proposer's or an invitation in another's
// name, no rule tells from a colleague; all administrators get notices of it.
func (s State) mayDecide(u User, r Request) error {
	if _, locked := s.LockOfUser(u.ID); locked || u.Bot || !u.Has(store.RoleAdministrator) {
		return noRequest(r.Entry)
	}
	const hint = "an administrator from before it has to answer, or it has to be proposed again"
	if u.administrator >= r.Entry {
		return &Refusal{Kind: Forbidden, Message: fmt.Sprintf("proposal %d was made before you became an administrator", r.Entry), Hint: hint}
	}
	if !slices.ContainsFunc(u.Factors, func(f Factor) bool { return f.before(r) }) {
		return &Refusal{Kind: Forbidden, Message: fmt.Sprintf("proposal %d was made before you enrolled the factors that you have now", r.Entry), Hint: hint}
	}
	return nil
}

// before reports whether a factor was there before a proposal, and proves something.
func (f Factor) before(r Request) bool { return f.Entry < r.Entry && !f.Cloned }

// possible refuses a change that can't be made any more, and says why.
func (s State) possible(r Request, now store.Millis) error {
	u, ok := s.users.get(r.User)
	if _, locked := s.LockOfUser(r.User); !ok || locked || !u.Has(store.RoleAdministrator) {
		return gone(r, "who proposed it is locked, or no administrator any more")
	}
	switch e := r.Change.Change().(type) {
	case *store.GrantAdded:
		return s.grantPossible(r, e, now)
	case *store.GrantRemoved:
		if _, ok := s.grantKeys.get(e.Grant); !ok {
			return gone(r, fmt.Sprintf("grant %d is gone", e.Grant))
		}
	case *store.MemberAdded:
		if g, ok := s.groups.get(e.Group); !ok {
			return gone(r, "the group is gone")
		} else if _, ok := s.Member(e.Group, e.User); ok {
			return gone(r, fmt.Sprintf("%s belongs to group %s already", u.Handle, g.Name))
		}
	case *store.MemberRemoved:
		if _, ok := s.Member(e.Group, e.User); !ok {
			return gone(r, fmt.Sprintf("%s does not belong to the group any more", u.Handle))
		}
	case *store.TargetLabelled:
		if t, ok := s.targets.get(e.Target); !ok {
			return gone(r, "the target is gone")
		} else if t.Labelled > r.Entry {
			// Whoever approves it agrees to what was there when it was proposed.
			return gone(r, fmt.Sprintf("target %s got other labels since", t.Name))
		}
	}
	return nil
}

func (s State) grantPossible(r Request, e *store.GrantAdded, now store.Millis) error {
	for _, group := range []store.Index{e.Group, e.Conditions.Approvers} {
		if _, ok := s.groups.get(group); group != 0 && !ok {
			return gone(r, "a group that it names is gone")
		}
	}
	if t, ok := s.targets.get(e.Target); e.Target != 0 && !ok {
		return gone(r, "the target is gone")
	} else if e.Target != 0 && slices.ContainsFunc(e.Logins, func(l store.Login) bool { return !slices.Contains(t.Logins, l) }) {
		return gone(r, fmt.Sprintf("target %s has not all of its logins", t.Name))
	}
	if e.Until != 0 && e.Until <= now {
		return gone(r, fmt.Sprintf("the grant would have ended at %s", moment(e.Until)))
	}
	return nil
}

func gone(r Request, why string) error {
	return &Refusal{Kind: Conflict, Message: fmt.Sprintf("proposal %d can't be made any more: %s", r.Entry, why), Hint: "it has to be proposed again"}
}

func (a *applier) changeProposed(e *store.ChangeProposed) error {
	if _, err := a.mustPerson(e.User); err != nil {
		return err
	}
	return a.takeIn(Request{User: e.User, Target: e.Target, Change: e, Source: e.Source, Expires: e.Expires})
}
