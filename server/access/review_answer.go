package access

import (
	"crypto/sha256"
	"fmt"

	"github.com/vaultpam/vaultpam/store"
)

// AnswerReview says of grants of a review that they are kept, or revokes them, all
// of them or none. Revoking takes the grant back with the answer, so that sessions
// which stand on it end at once. It can't be taken back; a grant that was kept can be
// revoked until the review ends.
type AnswerReview struct {
	By      Caller
	Review  store.Index
	Grants  []store.Index
	Answer  store.ReviewAnswer
	Comment string // may be empty
	Salt    [32]byte
}

func (c AnswerReview) decide(s State, now store.Millis) (Decision, error) {
	u, _, err := s.Person(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	r, err := s.openReview(u, c.Review, now)
	if err != nil {
		return Decision{}, err
	}
	if len(c.Grants) == 0 || len(c.Grants) > MaxAnswers {
		return Decision{}, &Refusal{Kind: Invalid, Message: fmt.Sprintf("answers for %d grants at once: want 1 to %d", len(c.Grants), MaxAnswers)}
	}
	if c.Answer != store.AnswerKeep && c.Answer != store.AnswerRevoke {
		return Decision{}, &Refusal{Kind: Invalid, Message: fmt.Sprintf("%.64q is no answer", string(c.Answer)), Hint: "keep or revoke"}
	}
	d := Decision{Actor: store.Actor{User: u.ID}}
	seen := map[store.Index]bool{}
	for _, entry := range c.Grants {
		if seen[entry] {
			continue
		}
		seen[entry] = true
		g, err := s.answerable(u, r, entry, c.Answer, now)
		if err != nil {
			return Decision{}, err
		}
		e := &store.ReviewAnswered{User: g.User, Target: g.Target, Review: r.Entry, Grant: g.Entry, Answer: c.Answer}
		if c.Comment != "" {
			o, err := c.comment(u, e)
			if err != nil {
				return Decision{}, err
			}
			e.Comment, d.Openings = o.Commit(), append(d.Openings, o)
		}
		d.Events = append(d.Events, e)
		if c.Answer == store.AnswerRevoke {
			d.Events = append(d.Events, &store.GrantRemoved{User: g.User, Target: g.Target, Grant: g.Entry, Review: r.Entry})
		}
	}
	return d, nil
}

// comment commits to what was written about one grant. It is erased with whom the
// grant is for, whatever is said of the others, and so has a salt of its own.
func (c AnswerReview) comment(u User, e *store.ReviewAnswered) (store.Opening, error) {
	o, err := commented(u, c.Comment, sha256.Sum256(fmt.Appendf(c.Salt[:], "%d", e.Grant)))
	o.Owner = e.About(u.ID)
	return o, err
}

// SeesReview reports whether somebody may see a review: its owner, and who reads
// everything.
func (s State) SeesReview(u User, r Review) bool {
	return r.Owner == u.ID || u.Has(store.RoleAuditor, store.RoleAdministrator)
}

// openReview returns a review that somebody sees and that can still be answered.
func (s State) openReview(u User, entry store.Index, now store.Millis) (Review, error) {
	r, ok := s.reviews.get(entry)
	switch {
	case !ok || !s.SeesReview(u, r):
		return Review{}, NoReview(entry)
	case r.Ended != 0:
		return Review{}, &Refusal{Kind: Conflict, Message: fmt.Sprintf("review %d ended at %s", r.Entry, moment(r.EndedAt)), Hint: fmt.Sprintf("vaultpam review show %d", r.Entry)}
	case r.Due <= now:
		return Review{}, &Refusal{Kind: Conflict, Message: fmt.Sprintf("review %d was due at %s", r.Entry, moment(r.Due)), Hint: "the server ends it now: vaultpam review show " + fmt.Sprint(r.Entry)}
	}
	return r, nil
}

// NoReview answers who names a review that is not there or not theirs to see.
func NoReview(entry store.Index) *Refusal {
	return &Refusal{Kind: NotFound, Message: fmt.Sprintf("there is no review %d that you may see", entry), Hint: "vaultpam review ls"}
}

// answerable returns a grant of a review that somebody may give this answer for.
func (s State) answerable(u User, r Review, entry store.Index, answer store.ReviewAnswer, now store.Millis) (Grant, error) {
	show := fmt.Sprintf("vaultpam review show %d", r.Entry)
	x, ok := s.reviewed.get(reviewKey{r.Entry, entry})
	if !ok {
		message := fmt.Sprintf("grant %d is not in review %d", entry, r.Entry)
		if g, there := s.Grant(entry); there && entry > r.Entry && !g.Forbids {
			message += ": it came after the review began"
		}
		return Grant{}, &Refusal{Kind: NotFound, Message: message, Hint: show}
	}
	switch state := s.ReviewedState(x, now); {
	case state == ReviewedRevoked:
		return Grant{}, &Refusal{Kind: Conflict, Message: fmt.Sprintf("grant %d was revoked in this review already, which is final", entry), Hint: show}
	case x.Gone != 0 || state == ReviewedGone:
		return Grant{}, &Refusal{Kind: Conflict, Message: fmt.Sprintf("grant %d is gone already and needs no answer; what came in its place is not in this review", entry), Hint: show}
	case state == ReviewedKept && answer == store.AnswerKeep:
		return Grant{}, &Refusal{Kind: Conflict, Message: fmt.Sprintf("grant %d is kept already", entry), Hint: show}
	}
	g, ok := s.Grant(entry)
	if !ok {
		return Grant{}, &Refusal{Kind: NotFound, Message: fmt.Sprintf("there is no grant %d", entry), Hint: show}
	}
	return g, s.mayReview(u, r, g, answer)
}

// mayReview refuses answers that are not somebody's to give. Who answers is the
// owner. To keep what gives access to the owner is an administrator's, and so is
// everything where the owner can't answer; nobody keeps what gives access to
// themselves, by the rule that administrators do not grant to themselves. Revoking is
// an administrator's as well, who could take the grant back without a review.
func (s State) mayReview(u User, r Review, g Grant, answer store.ReviewAnswer) error {
	owner, administrator := r.Owner == u.ID, u.Has(store.RoleAdministrator)
	if answer == store.AnswerRevoke && (owner || administrator) {
		return nil
	}
	allowed := s.Setting(store.SettingSelfGrant) == store.SelfGrantAllowed
	theirs := s.GrantConcerns(g, r.Owner) && !allowed
	switch {
	case !owner && !administrator, !owner && !theirs && s.canAnswer(r.Owner):
		o, _ := s.users.get(r.Owner)
		refusal := &Refusal{Kind: Forbidden, Message: fmt.Sprintf("review %d is %s's to answer", r.Entry, o.Handle)}
		if administrator {
			refusal.Hint = fmt.Sprintf("an administrator may revoke: vaultpam review revoke %d %d", r.Entry, g.Entry)
		}
		return refusal
	case s.GrantConcerns(g, u.ID) && !allowed:
		return &Refusal{
			Kind: Forbidden, Message: fmt.Sprintf("grant %d gives access to %s, and nobody keeps their own in a review", g.Entry, u.Handle),
			Hint: fmt.Sprintf("an administrator to whom it gives nothing answers for it: vaultpam review keep %d %d; a company with only one sets: vaultpamd setting self-grant allowed", r.Entry, g.Entry),
		}
	}
	return nil
}

// canAnswer reports whether the owner of a review is there and not locked.
func (s State) canAnswer(owner store.UserID) bool {
	_, there := s.users.get(owner)
	_, locked := s.LockOfUser(owner)
	return there && !locked
}

// MayKeep reports whether somebody may keep a grant in a review.
func (s State) MayKeep(u User, r Review, g Grant) bool {
	return s.mayReview(u, r, g, store.AnswerKeep) == nil
}

// MayRevoke reports whether somebody may revoke a grant in a review.
func (s State) MayRevoke(u User, r Review, g Grant) bool {
	return s.mayReview(u, r, g, store.AnswerRevoke) == nil
}
