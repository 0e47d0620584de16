package access

import (
	"cmp"
	"iter"
	"time"

	"github.com/vaultpam/vaultpam/store"
)

const (
	// MaxOpenReviews is how many reviews wait for answers at a time.
	MaxOpenReviews = 20
	// MaxAnswers is how many grants one command answers for.
	MaxAnswers = 200
	// ReviewReminder is how long before it is due the owner of a review is reminded,
	// where it lasts twice as long at least.
	ReviewReminder = 3 * 24 * time.Hour
)

// A Review asks somebody whether grants are still wanted. What its grants are and
// how they were answered is in Reviewed until it ends; then the sums are left, and
// the rest is in the state before its last entry.
type Review struct {
	Entry   store.Index
	Owner   store.UserID
	Actor   store.Actor // who started it
	Started store.Millis
	Due     store.Millis
	Revokes bool // what is not answered by then
	Title   store.Commitment
	// The part of all standing grants that it is about; nothing for all of them.
	Targets store.Selector
	Group   store.Index
	User    store.UserID

	Grants   uint64
	Waits    uint64      // of them, without an answer; those that the clock ended among them
	Reminded store.Index // the entry, or 0
	Ended    store.Index // the entry, or 0
	EndedAt  store.Millis
	Why      store.ReviewEnd
	Sums     ReviewSums // once it ended
}

// ReviewSums count the grants of a review by what became of them: kept and revoked
// by an answer, not answered, and gone before they were answered.
type ReviewSums struct{ Kept, Revoked, Unanswered, Gone uint64 }

// A Reviewed is one grant of a review that has not ended.
type Reviewed struct {
	Review store.Index
	Grant  store.Index
	// Answer is empty where there is none yet; By gave it with Entry.
	Answer  store.ReviewAnswer
	By      store.UserID
	Entry   store.Index
	Time    store.Millis
	Comment store.Commitment
	// Gone is the entry that took the grant out of the state, or 0; Last is when it
	// was used last before that.
	Gone   store.Index
	GoneAt store.Millis
	Last   LastUse
	Lapsed bool // it was taken back because nobody answered
}

// A LastUse is the last session that a grant let start, or the last certificate past
// the relay; zero for none. A grant that is requested is used by the sessions of what
// answered the requests.
type LastUse struct {
	_     struct{}    `cbor:",toarray"`
	Entry store.Index // session.started, certificate.issued
	Time  store.Millis
}

// A reviewKey orders what is reviewed by review and grant.
type reviewKey struct{ review, grant store.Index }

func compareReviewKeys(a, b reviewKey) int {
	return cmp.Or(cmp.Compare(a.review, b.review), cmp.Compare(a.grant, b.grant))
}

// Review returns a review by the index of its entry.
func (s State) Review(entry store.Index) (Review, bool) { return s.reviews.get(entry) }

// Reviews yields all reviews, oldest first.
func (s State) Reviews() iter.Seq[Review] {
	return func(yield func(Review) bool) {
		for _, r := range s.reviews.all() {
			if !yield(r) {
				return
			}
		}
	}
}

// Reviewed yields the grants of a review that has not ended, oldest first.
func (s State) Reviewed(review store.Index) iter.Seq[Reviewed] {
	return func(yield func(Reviewed) bool) {
		for k, x := range s.reviewed.from(reviewKey{review: review}) {
			if k.review != review || !yield(x) {
				return
			}
		}
	}
}

// A ReviewedState is what became of a grant in a review.
type ReviewedState string

// The states of what is reviewed.
const (
	ReviewedWaits   ReviewedState = "waits"
	ReviewedKept    ReviewedState = "kept"
	ReviewedRevoked ReviewedState = "revoked"
	// ReviewedLapsed: taken back, because nobody answered in time.
	ReviewedLapsed ReviewedState = "lapsed"
	// ReviewedGone: removed, or over by the clock, before anybody answered.
	ReviewedGone ReviewedState = "gone"
)

// ReviewedState says what became of a grant in a review until now.
func (s State) ReviewedState(x Reviewed, now store.Millis) ReviewedState {
	switch {
	case x.Answer == store.AnswerKeep:
		return ReviewedKept
	case x.Answer == store.AnswerRevoke:
		return ReviewedRevoked
	case x.Lapsed:
		return ReviewedLapsed
	case x.Gone != 0:
		return ReviewedGone
	}
	if g, ok := s.Grant(x.Grant); !ok || g.over(now) {
		return ReviewedGone
	}
	return ReviewedWaits
}

// ReviewSums count a review's grants until now.
func (s State) ReviewSums(r Review, now store.Millis) ReviewSums {
	if r.Ended != 0 {
		return r.Sums
	}
	sums, _ := s.sumUp(r, now)
	return sums
}

// sumUp counts a review's grants, and returns those that wait for an answer.
func (s State) sumUp(r Review, now store.Millis) (sums ReviewSums, waiting []Grant) {
	for x := range s.Reviewed(r.Entry) {
		switch s.ReviewedState(x, now) {
		case ReviewedKept:
			sums.Kept++
		case ReviewedRevoked:
			sums.Revoked++
		case ReviewedGone:
			sums.Gone++
		case ReviewedLapsed, ReviewedWaits:
			sums.Unanswered++
			if g, ok := s.Grant(x.Grant); ok {
				waiting = append(waiting, g)
			}
		}
	}
	return sums, waiting
}

// ReviewsDo returns what the server has to do about reviews now, and the next moment
// at which it will have to do something, or 0.
func (s State) ReviewsDo(now store.Millis) (todo []Command, next store.Millis) {
	by := Caller{Timetable: true}
	for _, entry := range s.openReviews {
		r, _ := s.reviews.get(entry)
		remind, reminds := r.reminder()
		switch {
		case r.Due <= now:
			todo = append(todo, EndReview{By: by, Review: r.Entry})
			continue
		case reminds && remind <= now:
			todo = append(todo, RemindReview{By: by, Review: r.Entry})
		case reminds:
			next = sooner(next, remind)
		}
		next = sooner(next, r.Due)
	}
	return todo, next
}

// reminder is when a review's owner is to be reminded, if they still are.
func (r Review) reminder() (store.Millis, bool) {
	lasts := time.Duration(r.Due-r.Started) * time.Millisecond
	return r.Due - store.Millis(ReviewReminder/time.Millisecond), r.Reminded == 0 && r.Waits > 0 && lasts >= 2*ReviewReminder
}

func sooner(a, b store.Millis) store.Millis {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// over reports whether the clock has ended a grant.
func (g Grant) over(now store.Millis) bool { return g.Until != 0 && g.Until <= now }

// GrantConcerns reports whether a grant or guardrail is about a user, alone or among
// others.
func (s State) GrantConcerns(g Grant, user store.UserID) bool {
	return s.concerns(&store.GrantAdded{User: g.User, Group: g.Group}, user)
}
