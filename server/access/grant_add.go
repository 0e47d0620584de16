package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vaultpam/vaultpam/store"
)

// AddGrant lets a user or a group reach a target, or those that a selector chooses,
// as some logins, from a moment (0: at once) until another (0: without end). Texts
// are in the forms that docs/access.md describes; empty ones say nothing.
type AddGrant struct {
	By          Caller
	User        store.Handle
	Group       store.GroupName
	Target      store.TargetName
	Targets     string // selector
	Logins      []string
	From, Until store.Millis
	For         string
	Hours       string
	Conditions  store.Conditions // but for Approvers, which is the group of that name
	Approvers   store.GroupName
	Place       Place
}

func (c AddGrant) decide(s State, now store.Millis) (Decision, error) {
	actor, err := s.administrator(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	e := &store.GrantAdded{From: c.From, Until: c.Until, Conditions: c.Conditions}
	if err := s.subject(e, c.User, c.Group); err != nil {
		return Decision{}, err
	}
	if e.User.IsZero() && e.Group == 0 {
		return Decision{}, &Refusal{Kind: Invalid, Message: "a grant is for a user or for a group", Hint: "vaultpam admin grant add HANDLE TARGET, or --group NAME"}
	}
	t, err := s.what(e, c.Target, c.Targets)
	if err != nil {
		return Decision{}, err
	}
	if e.Logins, err = parseLogins(c.Logins); err != nil {
		return Decision{}, invalid(err)
	}
	for _, l := range e.Logins {
		if t.Entry != 0 && !slices.Contains(t.Logins, l) {
			return Decision{}, &Refusal{Kind: Invalid, Message: fmt.Sprintf("target %s has no login %s", t.Name, l), Hint: fmt.Sprintf("its logins are %s", join(t.Logins))}
		}
	}
	if err := s.conditions(e, c.Approvers); err != nil {
		return Decision{}, err
	}
	if err := limits(e, c.For, c.Hours, store.Purposes.CheckGrant); err != nil {
		return Decision{}, err
	}
	if err := lifetime(e, now); err != nil {
		return Decision{}, err
	}
	return s.alone(actor, e, c.Place, "an administrator can't grant access to themselves", now)
}

// AddGuardrail forbids a user, a group, or everybody, some of what grants allow:
// on a target, or on those that a selector chooses, all logins or some, for all
// purposes or some.
type AddGuardrail struct {
	By          Caller
	User        store.Handle
	Group       store.GroupName
	Target      store.TargetName
	Targets     string // selector
	Logins      []string
	From, Until store.Millis
	For         string
	Hours       string
}

func (c AddGuardrail) decide(s State, now store.Millis) (Decision, error) {
	actor, err := s.administrator(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	e := &store.GrantAdded{Forbids: true, From: c.From, Until: c.Until, Logins: []store.Login{}}
	if err := s.subject(e, c.User, c.Group); err != nil {
		return Decision{}, err
	}
	if _, err := s.what(e, c.Target, c.Targets); err != nil {
		return Decision{}, err
	}
	if len(c.Logins) > 0 {
		if e.Logins, err = parseLogins(c.Logins); err != nil {
			return Decision{}, invalid(err)
		}
	}
	if err := limits(e, c.For, c.Hours, store.Purposes.CheckGuardrail); err != nil {
		return Decision{}, err
	}
	if err := lifetime(e, now); err != nil {
		return Decision{}, err
	}
	return Decision{Actor: actor, Events: []store.Event{e}}, nil
}

// subject fills in whom a grant is for.
func (s State) subject(e *store.GrantAdded, user store.Handle, group store.GroupName) error {
	if user != "" && group != "" {
		return &Refusal{Kind: Invalid, Message: "a grant is for a user or for a group, and not for both"}
	}
	if user != "" {
		u, ok := s.UserByHandle(user)
		if !ok {
			return noUser(user)
		}
		e.User = u.ID
	}
	if group != "" {
		g, ok := s.GroupByName(group)
		if !ok {
			return noGroup(group)
		}
		e.Group = g.Entry
	}
	return nil
}

// concerns reports whether a grant would be for a user, alone or among others.
func (s State) concerns(e *store.GrantAdded, user store.UserID) bool {
	if user.IsZero() {
		return false
	}
	_, member := s.Member(e.Group, user)
	return e.User == user || e.Group != 0 && member
}

// what fills in the targets of a grant, and returns the one that it names.
func (s State) what(e *store.GrantAdded, name store.TargetName, selector string) (Target, error) {
	switch {
	case (name == "") == (selector == ""):
		return Target{}, &Refusal{Kind: Invalid, Message: "want a target's name, or a selector of labels", Hint: "vaultpam admin target ls"}
	case selector != "":
		chosen, err := store.ParseSelector(selector)
		if err != nil {
			return Target{}, invalid(err)
		}
		e.Targets = chosen
		return Target{}, nil
	}
	t, ok := s.TargetByName(name)
	if !ok {
		return Target{}, noTarget(name)
	}
	e.Target = t.Entry
	return t, nil
}

// conditions fills in the group of approvers, and checks the rest.
func (s State) conditions(e *store.GrantAdded, approvers store.GroupName) error {
	e.Conditions.Approvers = 0
	if approvers != "" {
		g, ok := s.GroupByName(approvers)
		if !ok {
			return noGroup(approvers)
		}
		e.Conditions.Approvers = g.Entry
	}
	if err := e.Conditions.Check(); err != nil {
		return invalid(err)
	}
	return nil
}

// limits fills in purposes and hours.
func limits(e *store.GrantAdded, purposes, hours string, check func(store.Purposes) error) error {
	if strings.TrimSpace(purposes) != "" {
		parsed, err := store.ParsePurposes(purposes)
		if err == nil {
			err = check(parsed)
		}
		if err != nil {
			return invalid(err)
		}
		e.For = parsed
	}
	if hours == "" {
		return nil
	}
	parsed, err := store.ParseHours(hours)
	if err != nil {
		return invalid(err)
	}
	e.Hours = parsed
	return nil
}

// lifetime checks when a grant would begin and end.
func lifetime(e *store.GrantAdded, now store.Millis) error {
	if e.Until != 0 && (e.Until <= now || e.Until <= e.From) {
		return &Refusal{Kind: Invalid, Message: "the grant would end before it begins"}
	}
	return nil
}
