package access

import (
	"errors"
	"slices"

	"github.com/vaultpam/vaultpam/store"
)

var errNoReview = errors.New("no such review is open")

func (a *applier) reviewStarted(e *store.ReviewStarted) error {
	if _, err := a.mustPerson(e.Owner); err != nil {
		return err
	}
	r := Review{
		Entry: a.entry.Index, Owner: e.Owner, Actor: a.entry.Actor, Started: a.entry.Time, Due: e.Due, Revokes: e.Revokes, Title: e.Title,
		Targets: e.Targets, Group: e.Group, User: e.User, Grants: uint64(len(e.Grants)), Waits: uint64(len(e.Grants)),
	}
	for _, entry := range e.Grants {
		if g, ok := a.Grant(entry); !ok || g.Forbids || g.Request != 0 {
			return errors.New("what is reviewed is no standing grant")
		}
		a.reviewed = a.reviewed.set(reviewKey{r.Entry, entry}, Reviewed{Review: r.Entry, Grant: entry})
	}
	a.reviews = a.reviews.set(r.Entry, r)
	a.openReviews = append(slices.Clip(a.openReviews), r.Entry)
	return nil
}

// mustReview returns a review that has not ended.
func (a *applier) mustReview(entry store.Index) (Review, error) {
	r, ok := a.reviews.get(entry)
	if !ok || r.Ended != 0 {
		return Review{}, errNoReview
	}
	return r, nil
}

func (a *applier) reviewAnswered(e *store.ReviewAnswered) error {
	r, err := a.mustReview(e.Review)
	if err != nil {
		return err
	}
	k := reviewKey{r.Entry, e.Grant}
	x, ok := a.reviewed.get(k)
	if !ok || x.Gone != 0 || x.Answer == store.AnswerRevoke {
		return errors.New("that grant is not one to be answered for")
	}
	if x.Answer == "" {
		r.Waits--
		a.reviews = a.reviews.set(r.Entry, r)
	}
	x.Answer, x.By, x.Entry, x.Time, x.Comment = e.Answer, a.entry.Actor.User, a.entry.Index, a.entry.Time, e.Comment
	a.reviewed = a.reviewed.set(k, x)
	return nil
}

// leaveReviews takes in that a grant goes, in every review that asks about it.
func (a *applier) leaveReviews(g Grant) {
	for _, entry := range a.openReviews {
		k := reviewKey{entry, g.Entry}
		x, ok := a.reviewed.get(k)
		if !ok {
			continue
		}
		if x.Answer == "" {
			r, _ := a.reviews.get(entry)
			r.Waits--
			a.reviews = a.reviews.set(entry, r)
		}
		x.Gone, x.GoneAt, x.Last = a.entry.Index, a.entry.Time, g.Last
		a.reviewed = a.reviewed.set(k, x)
	}
}

// revokedBy takes in that a grant, which is gone, was taken back by a review.
func (a *applier) revokedBy(review, grant store.Index) error {
	if review == 0 {
		return nil
	}
	r, err := a.mustReview(review)
	if err != nil {
		return err
	}
	k := reviewKey{review, grant}
	x, ok := a.reviewed.get(k)
	lapsed := x.Answer == "" && r.Revokes && r.Due <= a.entry.Time
	if !ok || !lapsed && x.Answer != store.AnswerRevoke {
		return errors.New("the review did not revoke that grant")
	}
	x.Lapsed = lapsed
	a.reviewed = a.reviewed.set(k, x)
	return nil
}

func (a *applier) reviewReminded(e *store.ReviewReminded) error {
	r, err := a.mustReview(e.Review)
	if err != nil {
		return err
	}
	r.Reminded = a.entry.Index
	a.reviews = a.reviews.set(r.Entry, r)
	return nil
}

// reviewEnded leaves the sums: what they are of is in the state before, and would
// otherwise grow the state for ever.
func (a *applier) reviewEnded(e *store.ReviewEnded) error {
	r, err := a.mustReview(e.Review)
	if err != nil {
		return err
	}
	for x := range a.Reviewed(r.Entry) {
		a.reviewed = a.reviewed.drop(reviewKey{r.Entry, x.Grant})
	}
	r.Ended, r.EndedAt, r.Why, r.Waits = a.entry.Index, a.entry.Time, e.Why, 0
	r.Sums = ReviewSums{Kept: e.Kept, Revoked: e.Revoked, Unanswered: e.Unanswered, Gone: e.Gone}
	a.reviews = a.reviews.set(r.Entry, r)
	a.openReviews = slices.DeleteFunc(slices.Clone(a.openReviews), func(i store.Index) bool { return i == r.Entry })
	return nil
}

// grantsUsed takes in that grants let somebody in. What answers a request is a use of
// what it was requested by, too.
func (a *applier) grantsUsed(grants ...store.Index) {
	last := LastUse{Entry: a.entry.Index, Time: a.entry.Time}
	for _, entry := range grants {
		g, ok := a.Grant(entry)
		if !ok || g.Last == last {
			continue
		}
		g.Last = last
		a.setGrant(g)
		a.grantsUsed(g.Base)
	}
}
