package access

import (
	"fmt"

	"github.com/vaultpam/vaultpam/store"
)

// EndReview ends a review. Its owner may once everything is answered, and an
// administrator at any time: what is not answered then stays as it is. From when it
// is due on the server alone does, by its timetable, and takes back what was not
// answered where the review says so; all of it is one decision, so that a process
// that dies leaves the review open or ended, and the next start ends it.
type EndReview struct {
	By     Caller
	Review store.Index
}

func (c EndReview) decide(s State, now store.Millis) (Decision, error) {
	if c.By.Timetable {
		return c.due(s, now)
	}
	u, _, err := s.Person(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	r, err := s.openReview(u, c.Review, now)
	if err != nil {
		return Decision{}, err
	}
	sums, waiting := s.sumUp(r, now)
	why := store.ReviewAnsweredAll
	switch {
	case sums.Unanswered == 0 && (r.Owner == u.ID || u.Has(store.RoleAdministrator)):
	case u.Has(store.RoleAdministrator):
		if err := s.mayCancel(u, r, waiting); err != nil {
			return Decision{}, err
		}
		why = store.ReviewCancelled
	case r.Owner == u.ID:
		return Decision{}, &Refusal{
			Kind: Forbidden, Message: fmt.Sprintf("%s of review %d have no answer yet, and only an administrator may end it without", grantCount(sums.Unanswered), r.Entry),
			Hint: fmt.Sprintf("vaultpam review show %d", r.Entry),
		}
	default:
		return Decision{}, &Refusal{Kind: Forbidden, Message: fmt.Sprintf("review %d is its owner's or an administrator's to end", r.Entry)}
	}
	return Decision{Actor: store.Actor{User: u.ID}, Events: []store.Event{r.end(why, sums)}}, nil
}

// mayCancel refuses to an administrator the end of a review that would otherwise
// take back what gives access to themselves: that is keeping it.
func (s State) mayCancel(u User, r Review, waiting []Grant) error {
	if !r.Revokes || s.Setting(store.SettingSelfGrant) == store.SelfGrantAllowed {
		return nil
	}
	for _, g := range waiting {
		if s.GrantConcerns(g, u.ID) {
			return selfGrant(fmt.Sprintf("review %d will revoke grant %d, which gives access to you, so ending it would be keeping your own", r.Entry, g.Entry))
		}
	}
	return nil
}

func (c EndReview) due(s State, now store.Millis) (Decision, error) {
	r, ok := s.reviews.get(c.Review)
	if !ok || r.Ended != 0 || r.Due > now {
		return Decision{}, &Refusal{Kind: Conflict, Message: fmt.Sprintf("review %d is not one that is due", c.Review)}
	}
	sums, waiting := s.sumUp(r, now)
	var d Decision
	if r.Revokes {
		for _, g := range waiting {
			d.Events = append(d.Events, &store.GrantRemoved{User: g.User, Target: g.Target, Grant: g.Entry, Review: r.Entry})
		}
	}
	d.Events = append(d.Events, r.end(store.ReviewDue, sums))
	return d, nil
}

func (r Review) end(why store.ReviewEnd, sums ReviewSums) *store.ReviewEnded {
	return &store.ReviewEnded{
		Owner: r.Owner, Review: r.Entry, Why: why, Kept: sums.Kept, Revoked: sums.Revoked, Unanswered: sums.Unanswered, Gone: sums.Gone,
	}
}

func grantCount(n uint64) string {
	if n == 1 {
		return "1 grant"
	}
	return fmt.Sprintf("%d grants", n)
}

// RemindReview notes that the owner of a review is reminded of it, once. It is the
// server's, by its timetable.
type RemindReview struct {
	By     Caller
	Review store.Index
}

func (c RemindReview) decide(s State, now store.Millis) (Decision, error) {
	r, ok := s.reviews.get(c.Review)
	at, reminds := r.reminder()
	if !c.By.Timetable || !ok || r.Ended != 0 || !reminds || now < at || r.Due <= now {
		return Decision{}, &Refusal{Kind: Conflict, Message: fmt.Sprintf("review %d is not one to be reminded of", c.Review)}
	}
	return Decision{Events: []store.Event{&store.ReviewReminded{Owner: r.Owner, Review: r.Entry}}}, nil
}
