package server

import (
	"fmt"
	"strings"

	"github.com/vaultpam/vaultpam/store"
)

// review describes a review, an answer in it, and its end.
func (v *view) review() {
	switch e := v.e.Event.(type) {
	case *store.ReviewStarted:
		v.reviewStarted(e)
	case *store.ReviewAnswered:
		v.fields["review"], v.fields["grant"], v.fields["answer"] = uint64(e.Review), uint64(e.Grant), string(e.Answer)
		if text := v.r.title(v.ctx, e.About(v.e.Actor.User), e.Comment); text != "" {
			v.fields["comment"] = text
		}
		does := "keeps"
		if e.Answer == store.AnswerRevoke {
			does = "revokes"
		}
		v.say("%s %s grant %d%s in review %d", v.r.actor(v.ctx, v.e.Actor), does, e.Grant, v.grantOf(e.User, e.Target), e.Review)
	case *store.ReviewReminded:
		v.fields["review"] = uint64(e.Review)
		v.say("%s was reminded of review %d", v.r.handle(v.ctx, e.Owner), e.Review)
	case *store.ReviewEnded:
		v.fields["review"], v.fields["why"] = uint64(e.Review), string(e.Why)
		v.fields["kept"], v.fields["revoked"], v.fields["unanswered"], v.fields["gone"] = e.Kept, e.Revoked, e.Unanswered, e.Gone
		v.say("review %d of %s ended (%s): %s", e.Review, v.r.handle(v.ctx, e.Owner), e.Why, v.sums(e))
	}
}

func (v *view) reviewStarted(e *store.ReviewStarted) {
	v.fields["due"], v.fields["revokes"] = stamp(e.Due), e.Revokes
	grants := make([]uint64, len(e.Grants))
	for i, g := range e.Grants {
		grants[i] = uint64(g)
	}
	v.fields["grants"] = grants
	title := ""
	if text := v.r.title(v.ctx, v.e.Actor.User, e.Title); text != "" {
		v.fields["title"], title = text, fmt.Sprintf(" (%s)", text)
	}
	var part []string
	for name, text := range map[string]string{"targets": e.Targets.String(), "group": v.groupName(e.Group), "user": v.userName(e.User)} {
		if text != "" {
			v.fields[name] = text
		}
	}
	for _, name := range []string{"targets", "group", "user"} {
		if text, ok := v.fields[name]; ok {
			part = append(part, fmt.Sprintf("%s %s", name, text))
		}
	}
	of := ""
	if len(part) > 0 {
		of = " of " + strings.Join(part, ", ")
	}
	v.say("%s is to review %s%s until %s%s", v.r.handle(v.ctx, e.Owner), grantCount(uint64(len(grants))), of, e.Due.Time().Format("2006-01-02 15:04 MST"), title)
}

func (v *view) groupName(group store.Index) string {
	if group == 0 {
		return ""
	}
	return v.r.group(v.ctx, group, v.e.Index)
}

func (v *view) userName(id store.UserID) string {
	if id.IsZero() {
		return ""
	}
	return v.r.handle(v.ctx, id)
}

// sums says what became of a review's grants, and of those that nobody answered for.
func (v *view) sums(e *store.ReviewEnded) string {
	all := []string{fmt.Sprintf("%d kept", e.Kept), fmt.Sprintf("%d revoked", e.Revoked)}
	if e.Unanswered > 0 {
		what := "not answered"
		if e.Why == store.ReviewDue && v.revokes(e.Review) {
			what = "not answered and revoked"
		}
		all = append(all, fmt.Sprintf("%d %s", e.Unanswered, what))
	}
	if e.Gone > 0 {
		all = append(all, fmt.Sprintf("%d gone by then", e.Gone))
	}
	return strings.Join(all, ", ")
}

// revokes reports whether a review takes back what was not answered.
func (v *view) revokes(review store.Index) bool {
	e, _, err := v.r.n.ledger.Entry(v.ctx, review)
	if err != nil {
		return false
	}
	started, ok := e.Event.(*store.ReviewStarted)
	return ok && started.Revokes
}

// grantOf says whose grant it is and for what, as far as it names one of each.
func (v *view) grantOf(user store.UserID, target store.Index) string {
	text := ""
	if !user.IsZero() {
		text = " of " + v.r.handle(v.ctx, user)
	}
	if target != 0 {
		text += " for " + v.target(target)
	}
	return text
}

func grantCount(n uint64) string {
	if n == 1 {
		return "1 grant"
	}
	return fmt.Sprintf("%d grants", n)
}
