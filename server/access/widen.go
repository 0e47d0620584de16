package access

import (
	"slices"

	"github.com/vaultpam/vaultpam/store"
)

// selfGrant is the refusal of what an administrator does in their own favour where
// nobody is there who could agree to it.
func selfGrant(message string) error {
	return &Refusal{
		Kind:    Forbidden,
		Message: message,
		Hint:    "it takes a second administrator, who has enrolled and is not locked; a company with only one sets: vaultpamd setting self-grant allowed",
	}
}

// favours reports whether an event is a grant to its actor, brings them into a group,
// which may hold grants now or later, or lets them reach more than before, now or at
// another time. The last is what keeps an administrator from doing by a label or by
// the end of a guardrail what they can't do by a grant.
func (s State) favours(actor store.Actor, e store.Event) (bool, error) {
	if actor.User.IsZero() || s.Setting(store.SettingSelfGrant) == store.SelfGrantAllowed {
		return false, nil
	}
	switch e := e.(type) {
	case *store.GrantAdded:
		return s.concerns(e, actor.User), nil
	case *store.MemberAdded:
		return e.User == actor.User, nil
	}
	looked, ok := s.couldWiden(actor.User, e)
	if !ok || !s.hasGrant(actor.User) {
		return false, nil
	}
	after, err := Apply(s, &store.Entry{Index: s.next, Time: s.time, Actor: actor, Event: e}, func(store.Commitment) (string, bool) { return "", false })
	if err != nil {
		return false, err
	}
	return after.reachesMore(actor.User, s, looked), nil
}

// hasGrant reports whether anything is granted to a user at all, or to a group of
// theirs. Where nothing is, nothing but a grant or a group gives them more.
func (s State) hasGrant(user store.UserID) bool {
	for g := range s.GrantsOf(user) {
		if !g.Forbids {
			return true
		}
	}
	return false
}

// couldWiden reports whether an event could let a user reach more at all, and on
// which target, 0 for any: several hundred are decided together while everybody
// waits, and to look at each login of each target takes milliseconds.
func (s State) couldWiden(user store.UserID, e store.Event) (store.Index, bool) {
	switch e := e.(type) {
	case *store.TargetLabelled:
		return e.Target, true
	case *store.MemberRemoved:
		return 0, e.User == user
	case *store.GrantRemoved:
		g, ok := s.Grant(e.Grant)
		return g.Target, !ok || g.Forbids
	}
	return 0, true
}

// reachesMore reports whether a user has a grant, or lacks a guardrail, for some
// login of a target, that they had not, or did not lack, in another state. It looks
// at one target, or at all where that is 0.
func (s State) reachesMore(user store.UserID, before State, looked store.Index) bool {
	targets := s.Targets()
	if t, ok := s.targets.get(looked); ok {
		targets = func(yield func(Target) bool) { yield(t) }
	}
	for t := range targets {
		old, _ := before.targets.get(t.Entry)
		for _, login := range t.Logins {
			allows, forbids := s.about(user, t, login)
			allowed, forbade := before.about(user, old, login)
			if len(allows) > 0 && (!within(allows, allowed) || !within(forbade, forbids)) {
				return true
			}
		}
	}
	return false
}

// about returns the grants and the guardrails that cover a login of a target,
// whenever they do.
func (s State) about(user store.UserID, t Target, login store.Login) (allow, forbid []store.Index) {
	for g := range s.grantsOn(user, t) {
		switch {
		case !g.covers(t, login):
		case g.Forbids:
			forbid = append(forbid, g.Entry)
		default:
			allow = append(allow, g.Entry)
		}
	}
	return allow, forbid
}

// within reports whether all of some are among others.
func within(some, others []store.Index) bool {
	return !slices.ContainsFunc(some, func(i store.Index) bool { return !slices.Contains(others, i) })
}
