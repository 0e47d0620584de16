package notice

import (
	"fmt"

	"github.com/vaultpam/vaultpam/store"
)

func (p *page) reviewStarted() {
	e, ok := p.e.Event.(*store.ReviewStarted)
	if !ok {
		return
	}
	p.about("%s is asked to review access at %s", p.person(), p.n.Name)
	p.say("%s asks %s whether %s still wanted. It can be answered until %s.%s", p.actor(), p.person(), grantsAre(len(e.Grants)), moment(e.Due), unansweredGo(e))
	p.howToReview(p.e.Index)
}

// reviewDue reminds the owner. How much has no answer stands on the server: it may
// be less by the time that the mail is read.
func (p *page) reviewDue() {
	e, ok := p.e.Event.(*store.ReviewReminded)
	if !ok {
		return
	}
	started := p.reviewOf(e.Review)
	p.about("A review of access at %s waits for %s", p.n.Name, p.person())
	p.say("Some grants of review %d have no answer of %s yet. It can be answered until %s.%s", e.Review, p.person(), moment(started.Due), unansweredGo(started))
	p.howToReview(e.Review)
}

// reviewEnded tells of reviews that were not answered in full: the others end with
// what their owner wanted.
func (p *page) reviewEnded() {
	e, ok := p.e.Event.(*store.ReviewEnded)
	if !ok || e.Unanswered == 0 {
		return
	}
	p.about("A review of access at %s ended without all its answers", p.n.Name)
	became := "They stay as they are."
	if e.Why == store.ReviewDue && p.reviewOf(e.Review).Revokes {
		became = "They are revoked, and sessions that stood on them ended."
	}
	how := "was due"
	if e.Why == store.ReviewCancelled {
		how = "was ended by " + p.actor()
	}
	p.say("Review %d of %s %s at %s. Of its grants %d were kept, %d revoked and %d not answered. %s", e.Review, p.person(), how, p.when(), e.Kept, e.Revoked, e.Unanswered, became)
	p.say("Which they are: vaultpam review show %d", e.Review)
}

// howToReview says what the owner types.
func (p *page) howToReview(review store.Index) {
	p.say("See it with: vaultpam review show %d", review)
	p.say("Answer with: vaultpam review keep %d GRANT, or: vaultpam review revoke %d GRANT, or one by one: vaultpam review answer %d", review, review, review)
}

func grantsAre(n int) string {
	if n == 1 {
		return "1 grant is"
	}
	return fmt.Sprintf("%d grants are", n)
}

func unansweredGo(e *store.ReviewStarted) string {
	if e.Revokes {
		return " What has no answer by then is revoked."
	}
	return ""
}

// reviewOf is the beginning of a review.
func (p *page) reviewOf(entry store.Index) *store.ReviewStarted {
	for _, e := range p.find(store.Query{Type: store.TypeReviewStarted, From: entry, To: entry + 1}) {
		if started, ok := e.Event.(*store.ReviewStarted); ok {
			return started
		}
	}
	p.fail(store.ErrCorrupt) // nothing ends that did not begin
	return &store.ReviewStarted{}
}
