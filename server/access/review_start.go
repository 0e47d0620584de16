package access

import (
	"fmt"
	"slices"

	"github.com/vaultpam/vaultpam/store"
)

// StartReview asks somebody whether the standing grants are still wanted: all that
// allow and that no request made, or those of them that concern some targets, a
// group, or a user. Guardrails are no part of a review: taking one back opens.
type StartReview struct {
	By      Caller
	Owner   store.Handle
	Due     store.Millis
	Revokes bool // what is not answered by then
	Title   string
	Targets string // selector; empty: all
	Group   store.GroupName
	User    store.Handle
	Salt    [32]byte
}

func (c StartReview) decide(s State, now store.Millis) (Decision, error) {
	actor, err := s.administrator(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	e := &store.ReviewStarted{Due: c.Due, Revokes: c.Revokes}
	if err := s.reviewOwner(e, c.Owner); err != nil {
		return Decision{}, err
	}
	if c.Due <= now || c.Due-now > store.MaxReviewLife {
		return Decision{}, &Refusal{Kind: Invalid, Message: "a review has to be due at a moment to come, and within 366 days", Hint: "--due 30d"}
	}
	if len(s.openReviews) >= MaxOpenReviews {
		return Decision{}, &Refusal{Kind: Limited, Message: fmt.Sprintf("%d reviews wait for answers, and there are never more", len(s.openReviews)), Hint: "vaultpam review ls"}
	}
	if err := c.scope(s, e); err != nil {
		return Decision{}, err
	}
	if e.Grants, err = s.reviewable(e, now); err != nil {
		return Decision{}, err
	}
	d := Decision{Actor: actor, Events: []store.Event{e}}
	if c.Title != "" {
		title, err := store.ParseTitle(c.Title)
		if err != nil {
			return Decision{}, invalid(err)
		}
		o := store.Opening{Owner: actor.User, Field: store.FieldReview, Salt: c.Salt, Text: title}
		e.Title, d.Openings = o.Commit(), []store.Opening{o}
	}
	return d, nil
}

// reviewOwner fills in who answers: a person, who can.
func (s State) reviewOwner(e *store.ReviewStarted, handle store.Handle) error {
	u, ok := s.UserByHandle(handle)
	if !ok {
		return noUser(handle)
	}
	if u.Bot {
		return &Refusal{Kind: Invalid, Message: fmt.Sprintf("a review is answered by a person, and %s is a bot", u.Handle), Hint: "--owner HANDLE of a person"}
	}
	if l, ok := s.LockOfUser(u.ID); ok {
		return &Refusal{
			Kind: Conflict, Message: fmt.Sprintf("%s is locked since %s, and could answer nothing", u.Handle, second(l.Time)),
			Hint: "name somebody else, or unlock them first: vaultpam unlock user " + string(u.Handle),
		}
	}
	e.Owner = u.ID
	return nil
}

// scope fills in of which part of the grants the review is.
func (c StartReview) scope(s State, e *store.ReviewStarted) error {
	if c.Targets != "" {
		chosen, err := store.ParseSelector(c.Targets)
		if err != nil {
			return invalid(err)
		}
		e.Targets = chosen
	}
	if c.Group != "" {
		g, ok := s.GroupByName(c.Group)
		if !ok {
			return noGroup(c.Group)
		}
		e.Group = g.Entry
	}
	if c.User != "" {
		u, ok := s.UserByHandle(c.User)
		if !ok {
			return noUser(c.User)
		}
		e.User = u.ID
	}
	return nil
}

// reviewable returns the grants that a review would be about.
func (s State) reviewable(e *store.ReviewStarted, now store.Millis) ([]store.Index, error) {
	var chosen []Target
	for t := range s.Targets() {
		if !e.Targets.IsZero() && e.Targets.Allows(t.Labels) {
			chosen = append(chosen, t)
		}
	}
	var all []store.Index
	for g := range s.Grants() {
		switch {
		case g.Forbids, g.Request != 0, g.over(now):
		case e.Group != 0 && g.Group != e.Group:
		case !e.User.IsZero() && !s.GrantConcerns(g, e.User):
		case !e.Targets.IsZero() && !slices.ContainsFunc(chosen, g.reaches):
		default:
			all = append(all, g.Entry)
		}
	}
	switch {
	case len(all) == 0:
		return nil, &Refusal{Kind: Conflict, Message: "there is no standing grant to review there", Hint: "vaultpam admin grant ls"}
	case len(all) > store.MaxReviewed:
		return nil, &Refusal{
			Kind: Invalid, Message: fmt.Sprintf("%d grants are more than one review holds, %d", len(all), store.MaxReviewed),
			Hint: "review them in parts: --group NAME, --targets SELECTOR or --user HANDLE",
		}
	}
	slices.Sort(all)
	return all, nil
}
