package store

const (
	// MaxReviewed is how many grants one review holds: its entries are decided and
	// appended together when it ends.
	MaxReviewed = 4000
	// MaxReviewLife is the longest time in which a review can be answered.
	MaxReviewLife Millis = 366 * 24 * 60 * 60 * 1000
)

// A ReviewAnswer is what somebody says of a grant in a review.
type ReviewAnswer string

// The answers.
const (
	AnswerKeep   ReviewAnswer = "keep"
	AnswerRevoke ReviewAnswer = "revoke"
)

// A ReviewEnd is why a review ended.
type ReviewEnd string

// The ends of reviews.
const (
	ReviewAnsweredAll ReviewEnd = "answered"
	ReviewDue         ReviewEnd = "due"
	ReviewCancelled   ReviewEnd = "cancelled"
)

// ReviewStarted asks Owner whether each of Grants, in the order of their entries, is
// still wanted; it is named by its entry's index. From Due on nobody answers any
// more: the server ends it then, and takes back what was not answered where Revokes
// is set. Targets, Group and User say of which part of all standing grants these are
// all. Title commits to what the entry's actor calls it.
type ReviewStarted struct {
	Owner   UserID     `cbor:"1,keyasint"`
	Due     Millis     `cbor:"2,keyasint"`
	Revokes bool       `cbor:"3,keyasint,omitempty"`
	Grants  []Index    `cbor:"4,keyasint"`
	Title   Commitment `cbor:"5,keyasint,omitzero"`
	Targets Selector   `cbor:"6,keyasint,omitzero"`
	Group   Index      `cbor:"7,keyasint,omitempty"`
	User    UserID     `cbor:"8,keyasint,omitzero"`
}

// ReviewAnswered is what the entry's actor says of one grant of a review. User and
// Target are those of the grant, zero where it has none. A grant that is to be
// revoked is in the GrantRemoved behind it, of the same append. Comment commits to
// what the actor wrote; its owner is About.
type ReviewAnswered struct {
	User    UserID       `cbor:"1,keyasint"`
	Target  Index        `cbor:"2,keyasint"`
	Review  Index        `cbor:"3,keyasint"`
	Grant   Index        `cbor:"4,keyasint"`
	Answer  ReviewAnswer `cbor:"5,keyasint"`
	Comment Commitment   `cbor:"6,keyasint,omitzero"`
}

// ReviewReminded says that the server reminded a review's owner of what is not
// answered yet.
type ReviewReminded struct {
	Owner  UserID `cbor:"1,keyasint"`
	Review Index  `cbor:"2,keyasint"`
}

// ReviewEnded sums a review up. Of its grants so many were kept, revoked by an
// answer, not answered, or gone by something else before they were answered. Those
// that were not answered are revoked, in front of this entry and of the same append,
// if the review said so and Why is that it was due.
type ReviewEnded struct {
	Owner      UserID    `cbor:"1,keyasint"`
	Review     Index     `cbor:"2,keyasint"`
	Why        ReviewEnd `cbor:"3,keyasint"`
	Kept       uint64    `cbor:"4,keyasint"`
	Revoked    uint64    `cbor:"5,keyasint"`
	Unanswered uint64    `cbor:"6,keyasint"`
	Gone       uint64    `cbor:"7,keyasint"`
}

// About returns whose the comment of an answer is: that of the grant's user, or of
// whoever gave it where the grant is a group's.
func (e *ReviewAnswered) About(actor UserID) UserID {
	if e.User.IsZero() {
		return actor
	}
	return e.User
}

func (e *ReviewStarted) check() error {
	rising, last := true, Index(0)
	for _, g := range e.Grants {
		rising, last = rising && last < g, g
	}
	return check(want{!e.Owner.IsZero(), "an owner"}, want{e.Due > 0, "a moment at which it is due"},
		want{0 < len(e.Grants) && len(e.Grants) <= MaxReviewed, "1 to 4000 grants"},
		want{rising, "grants in the order of their entries, each once"})
}

func (e *ReviewAnswered) check() error {
	return check(want{e.Review != 0 && e.Grant != 0, "a grant of a review"},
		want{e.Answer == AnswerKeep || e.Answer == AnswerRevoke, "keep or revoke"})
}

func (e *ReviewEnded) check() error {
	known := e.Why == ReviewAnsweredAll || e.Why == ReviewDue || e.Why == ReviewCancelled
	return check(want{!e.Owner.IsZero() && e.Review != 0, "an owner's review"}, want{known, "a known reason"},
		want{max(e.Kept, e.Revoked, e.Unanswered, e.Gone) <= MaxReviewed, "counts of one review"},
		want{e.Why != ReviewAnsweredAll || e.Unanswered == 0, "nothing unanswered where all is answered"})
}

// EventType returns TypeReviewStarted.
func (*ReviewStarted) EventType() EventType          { return TypeReviewStarted }
func (e *ReviewStarted) about(Index) (UserID, Index) { return e.Owner, 0 }

// EventType returns TypeReviewAnswered.
func (*ReviewAnswered) EventType() EventType          { return TypeReviewAnswered }
func (e *ReviewAnswered) about(Index) (UserID, Index) { return e.User, e.Target }

// EventType returns TypeReviewReminded.
func (*ReviewReminded) EventType() EventType          { return TypeReviewReminded }
func (e *ReviewReminded) about(Index) (UserID, Index) { return e.Owner, 0 }
func (e *ReviewReminded) check() error {
	return check(want{!e.Owner.IsZero() && e.Review != 0, "an owner's review"})
}

// EventType returns TypeReviewEnded.
func (*ReviewEnded) EventType() EventType          { return TypeReviewEnded }
func (e *ReviewEnded) about(Index) (UserID, Index) { return e.Owner, 0 }
