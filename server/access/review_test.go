package access_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

const (
	hour = time.Hour
)

// A reviewing is a company with grants, and somebody who is to look at them.
type reviewing struct {
	*company
	alice, bob, dana, carol person // two administrators, an engineer who owns reviews, and one more
	web, db                 store.Index
	forCarol, forOps        store.Index // carol's for web1, the group's for env=prod; dana and bob are in it
}

func reviewed(t *testing.T) *reviewing {
	t.Helper()
	x := &reviewing{company: found(t)}
	x.alice = x.employ("alice2", store.RoleAdministrator)
	x.bob = x.employ("bob", store.RoleAdministrator)
	x.dana, x.carol = x.employ("dana"), x.employ("carol")
	x.web, x.db = x.target("web1", "root", "deploy"), x.target("db1", "root")
	x.do(access.LabelTarget{By: local, Name: "db1", Labels: "env=prod"})
	x.group("ops", x.dana, x.bob)
	x.forCarol = x.grant(x.carol, "web1", 0, 0, "deploy")
	x.do(access.AddGrant{By: local, Group: "ops", Targets: "env=prod", Logins: []string{"root"}})
	x.forOps = x.state.Next() - 1
	return x
}

// review starts one of dana's.
func (x *reviewing) review(change ...func(*access.StartReview)) store.Index {
	x.Helper()
	c := access.StartReview{By: x.alice.caller(), Owner: "dana", Due: x.at() + store.Millis(30*day/time.Millisecond), Salt: x.random()}
	for _, f := range change {
		f(&c)
	}
	entry := x.state.Next()
	x.do(c)
	return entry
}

func revokes(c *access.StartReview) { c.Revokes = true }

func (x *reviewing) answer(p person, review store.Index, answer store.ReviewAnswer, grants ...store.Index) access.AnswerReview {
	return access.AnswerReview{By: p.caller(), Review: review, Grants: grants, Answer: answer, Salt: x.random()}
}

// TestWhatIsReviewed: all standing grants, or those of a part. What forbids, what
// answers a request and what is over are not in it.
func TestWhatIsReviewed(t *testing.T) {
	x := reviewed(t)
	x.do(access.AddGuardrail{By: local, Targets: "*", For: "direct"})
	x.grant(x.carol, "web1", 0, x.at()+1000, "root")
	x.wait(2 * time.Second)
	later := x.grant(x.carol, "db1", x.at()+store.Millis(hour/time.Millisecond), 0, "root")
	x.do(access.AddGrant{By: local, User: "carol", Target: "web1", Logins: []string{"root"}, Conditions: store.Conditions{Reason: true}})
	asked := x.state.Next() - 1
	x.do(access.MakeRequest{By: x.carol.caller(), Target: "web1", Login: "root", Lasts: hour, Reason: "the disk", Nonce: x.hash()})
	for name, want := range map[string]struct {
		change func(*access.StartReview)
		grants []store.Index
	}{
		"everything":       {func(*access.StartReview) {}, []store.Index{x.forCarol, x.forOps, later, asked}},
		"of a group":       {func(c *access.StartReview) { c.Group = "ops" }, []store.Index{x.forOps}},
		"of targets":       {func(c *access.StartReview) { c.Targets = "env=prod" }, []store.Index{x.forOps, later}},
		"of a user":        {func(c *access.StartReview) { c.User = "carol" }, []store.Index{x.forCarol, later, asked}},
		"by their group":   {func(c *access.StartReview) { c.User = "bob" }, []store.Index{x.forOps}},
		"of both":          {func(c *access.StartReview) { c.User, c.Targets = "carol", "env=prod" }, []store.Index{later}},
		"of unlabelled":    {func(c *access.StartReview) { c.Targets = "!env" }, []store.Index{x.forCarol, asked}},
		"of every target":  {func(c *access.StartReview) { c.Targets = "*" }, []store.Index{x.forCarol, x.forOps, later, asked}},
		"of somebody else": {func(c *access.StartReview) { c.Owner = "bob" }, []store.Index{x.forCarol, x.forOps, later, asked}},
	} {
		x.review(want.change)
		if diff := cmp.Diff(want.grants, last[*store.ReviewStarted](x.company).Grants); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestStartReviewRefuses(t *testing.T) {
	x := reviewed(t)
	auditor := x.employ("ann", store.RoleAuditor)
	x.bot("ci")
	x.employ("locked")
	x.lock(access.Lockable{User: "locked"})
	for name, change := range map[string]struct {
		change func(*access.StartReview)
		kind   access.Kind
		says   string
	}{
		"by nobody":        {func(c *access.StartReview) { c.By = access.Caller{} }, access.Unauthenticated, "not signed in"},
		"by its owner":     {func(c *access.StartReview) { c.By = x.dana.caller() }, access.Forbidden, "takes the role administrator"},
		"by an auditor":    {func(c *access.StartReview) { c.By = auditor.caller() }, access.Forbidden, "takes the role administrator"},
		"by the timetable": {func(c *access.StartReview) { c.By = access.Caller{Timetable: true} }, access.Unauthenticated, "not signed in"},
		"of nobody":        {func(c *access.StartReview) { c.Owner = "nobody" }, access.NotFound, "nobody"},
		"of a bot":         {func(c *access.StartReview) { c.Owner = "ci" }, access.Invalid, "ci is a bot"},
		"of the locked":    {func(c *access.StartReview) { c.Owner = "locked" }, access.Conflict, "could answer nothing"},
		"due now":          {func(c *access.StartReview) { c.Due = x.at() }, access.Invalid, "a moment to come"},
		"due never":        {func(c *access.StartReview) { c.Due = 0 }, access.Invalid, "a moment to come"},
		"due in years":     {func(c *access.StartReview) { c.Due = x.at() + store.MaxReviewLife + 1 }, access.Invalid, "366 days"},
		"a title":          {func(c *access.StartReview) { c.Title = " Q4" }, access.Invalid, "space"},
		"a selector":       {func(c *access.StartReview) { c.Targets = "env=" }, access.Invalid, "env"},
		"no such group":    {func(c *access.StartReview) { c.Group = "dba" }, access.NotFound, "dba"},
		"no such user":     {func(c *access.StartReview) { c.User = "zoe" }, access.NotFound, "zoe"},
		"of nothing":       {func(c *access.StartReview) { c.User, c.Group = "carol", "ops" }, access.Conflict, "no standing grant"},
	} {
		c := access.StartReview{By: x.alice.caller(), Owner: "dana", Due: x.at() + 1000, Salt: x.random()}
		change.change(&c)
		if r := x.refused(c); r.Kind != change.kind || !strings.Contains(r.Message, change.says) {
			t.Errorf("%s: %+v", name, r)
		}
	}
	for range access.MaxOpenReviews {
		x.review()
	}
	if r := x.refused(access.StartReview{By: x.alice.caller(), Owner: "dana", Due: x.at() + 1000}); r.Kind != access.Limited {
		t.Errorf("one more than there may be: %+v", r)
	}
}

// TestReviewAnswers: the owner keeps and revokes, and a kept grant can be revoked
// until the end. Revoking ends what stands on the grant, in the same decision.
func TestReviewAnswers(t *testing.T) {
	x := reviewed(t)
	session := x.session(x.carol, "web1", "deploy")
	other := x.grant(x.carol, "db1", 0, 0, "root")
	r := x.review()
	d := x.do(x.answer(x.dana, r, store.AnswerKeep, x.forCarol, other))
	if len(d.Events) != 2 || d.Actor.User != x.dana.id {
		t.Errorf("keeping two: %+v", d)
	}
	if got := x.refused(x.answer(x.dana, r, store.AnswerKeep, x.forCarol)); !strings.Contains(got.Message, "kept already") {
		t.Errorf("again: %+v", got)
	}
	revoke := x.answer(x.dana, r, store.AnswerRevoke, x.forCarol, x.forCarol)
	revoke.Comment = "she has left the team"
	d = x.do(revoke)
	want := []store.Event{
		&store.ReviewAnswered{User: x.carol.id, Target: x.web, Review: r, Grant: x.forCarol, Answer: store.AnswerRevoke, Comment: d.Openings[0].Commit()},
		&store.GrantRemoved{User: x.carol.id, Target: x.web, Grant: x.forCarol, Review: r},
	}
	if diff := cmp.Diff(want, d.Events); diff != "" {
		t.Errorf("revoking (-want +got):\n%s", diff)
	}
	if reason, over := x.state.SessionEnds(session, x.at()); !over || reason != store.EndedByGrant {
		t.Errorf("a session that stood on it: %v, %s", over, reason)
	}
	for _, answer := range []store.ReviewAnswer{store.AnswerKeep, store.AnswerRevoke} {
		if got := x.refused(x.answer(x.dana, r, answer, x.forCarol)); !strings.Contains(got.Message, "which is final") {
			t.Errorf("%s what was revoked: %+v", answer, got)
		}
	}
	// All or none: the second of the two can't be answered.
	before := snapshot(t, x.state)
	x.refused(x.answer(x.dana, r, store.AnswerRevoke, other, x.forCarol))
	if !bytes.Equal(before, snapshot(t, x.state)) {
		t.Error("half of an answer counted")
	}
	review, _ := x.state.Review(r)
	if sums := x.state.ReviewSums(review, x.at()); sums != (access.ReviewSums{Kept: 1, Revoked: 1, Unanswered: 1}) {
		t.Errorf("sums: %+v", sums)
	}
}

// TestNobodyKeepsTheirOwn: what gives access to the owner is kept by an
// administrator to whom it gives none, and by nobody else.
func TestNobodyKeepsTheirOwn(t *testing.T) {
	x := reviewed(t)
	r := x.review(revokes)
	mine := fmt.Sprintf("grant %d gives access to ", x.forOps)
	if got := x.refused(x.answer(x.dana, r, store.AnswerKeep, x.forOps)); got.Kind != access.Forbidden || !strings.HasPrefix(got.Message, mine+"dana") || !strings.Contains(got.Hint, "vaultpam review keep") {
		t.Errorf("the owner: %+v", got)
	}
	if got := x.refused(x.answer(x.bob, r, store.AnswerKeep, x.forOps)); got.Kind != access.Forbidden || !strings.HasPrefix(got.Message, mine+"bob") {
		t.Errorf("an administrator of the same group: %+v", got)
	}
	if got := x.refused(x.answer(x.carol, r, store.AnswerKeep, x.forOps)); got.Kind != access.NotFound {
		t.Errorf("somebody: %+v", got)
	}
	// Ending the review would be keeping it too.
	if got := x.refused(access.EndReview{By: x.bob.caller(), Review: r}); got.Kind != access.Forbidden || !strings.Contains(got.Message, "keeping your own") {
		t.Errorf("cancelled: %+v", got)
	}
	x.do(x.answer(x.alice, r, store.AnswerKeep, x.forOps))
	if by := last[*store.ReviewAnswered](x.company); x.entries[len(x.entries)-1].Actor.User != x.alice.id || by.Answer != store.AnswerKeep {
		t.Errorf("recorded as %+v", by)
	}
	// What is not the owner's own an administrator leaves to them.
	if got := x.refused(x.answer(x.alice, r, store.AnswerKeep, x.forCarol)); got.Kind != access.Forbidden || got.Message != fmt.Sprintf("review %d is dana's to answer", r) {
		t.Errorf("instead of the owner: %+v", got)
	}
	x.do(x.answer(x.dana, r, store.AnswerRevoke, x.forOps)) // one's own may always go
	// A company with only one administrator says that it is so.
	x.do(access.AddGrant{By: local, Group: "ops", Targets: "env=prod", Logins: []string{"root"}})
	again := x.state.Next() - 1
	r = x.review()
	x.do(access.ChangeSetting{By: local, Setting: store.SettingSelfGrant, Value: store.SelfGrantAllowed})
	x.do(x.answer(x.dana, r, store.AnswerKeep, again))
}

// TestReviewWithoutItsOwner: an administrator answers where the owner can't.
func TestReviewWithoutItsOwner(t *testing.T) {
	for name, lose := range map[string]func(*reviewing){
		"locked":  func(x *reviewing) { x.lock(access.Lockable{User: "dana"}) },
		"removed": func(x *reviewing) { x.do(access.RemoveUser{By: local, Handle: "dana"}) },
	} {
		x := reviewed(t)
		r := x.review()
		lose(x)
		x.refused(x.answer(x.dana, r, store.AnswerKeep, x.forCarol))
		x.do(x.answer(x.bob, r, store.AnswerKeep, x.forCarol))
		if got := x.refused(x.answer(x.bob, r, store.AnswerKeep, x.forOps)); got.Kind != access.Forbidden {
			t.Errorf("%s: bob's own: %+v", name, got)
		}
		x.do(x.answer(x.alice, r, store.AnswerKeep, x.forOps))
		x.do(access.EndReview{By: x.bob.caller(), Review: r})
		if e := last[*store.ReviewEnded](x.company); e.Why != store.ReviewAnsweredAll || e.Kept != 2 || e.Owner != x.dana.id {
			t.Errorf("%s: ended %+v", name, e)
		}
	}
}

// TestReviewOfWhatIsGone: what went by itself needs no answer, and what came in its
// place is not in the review.
func TestReviewOfWhatIsGone(t *testing.T) {
	x := reviewed(t)
	short := x.grant(x.carol, "db1", 0, x.at()+store.Millis(hour/time.Millisecond), "root")
	r := x.review()
	x.do(access.RemoveGrant{By: x.alice.caller(), Grant: x.forCarol})
	again := x.grant(x.carol, "web1", 0, 0, "deploy")
	x.wait(2 * hour)
	for _, gone := range []store.Index{x.forCarol, short} {
		if got := x.refused(x.answer(x.dana, r, store.AnswerKeep, gone)); got.Kind != access.Conflict || !strings.Contains(got.Message, "needs no answer") {
			t.Errorf("grant %d: %+v", gone, got)
		}
	}
	if got := x.refused(x.answer(x.dana, r, store.AnswerKeep, again)); got.Kind != access.NotFound || !strings.Contains(got.Message, "came after the review began") {
		t.Errorf("in its place: %+v", got)
	}
	if got := x.refused(x.answer(x.dana, r, store.AnswerKeep, 4711)); got.Kind != access.NotFound {
		t.Errorf("no grant: %+v", got)
	}
	x.do(x.answer(x.dana, r, store.AnswerRevoke, x.forOps))
	x.do(access.EndReview{By: x.dana.caller(), Review: r})
	if e := last[*store.ReviewEnded](x.company); e.Revoked != 1 || e.Gone != 2 || e.Unanswered != 0 {
		t.Errorf("ended %+v", e)
	}
}

// TestReviewIsDue: the server ends it, nobody answers any more, and what was not
// answered is revoked where the review says so, in one decision, once.
func TestReviewIsDue(t *testing.T) {
	by := access.Caller{Timetable: true}
	for _, wanted := range []bool{false, true} {
		x := reviewed(t)
		session := x.session(x.carol, "web1", "deploy")
		kept := x.grant(x.carol, "db1", 0, 0, "root")
		r := x.review(func(c *access.StartReview) { c.Revokes = wanted })
		x.do(x.answer(x.dana, r, store.AnswerKeep, kept))
		x.refused(access.EndReview{By: by, Review: r})
		x.refused(access.EndReview{By: x.dana.caller(), Review: r}) // two have no answer
		todo, next := x.state.ReviewsDo(x.at())
		if len(todo) != 0 || next != x.at()+store.Millis(27*day/time.Millisecond) {
			t.Errorf("at first: %v, next %v", todo, next.Time())
		}
		x.wait(27 * day)
		todo, next = x.state.ReviewsDo(x.at())
		if diff := cmp.Diff([]access.Command{access.RemindReview{By: by, Review: r}}, todo); diff != "" || next != x.at()+store.Millis(3*day/time.Millisecond) {
			t.Errorf("three days before (-want +got):\n%s, next %v", diff, next.Time())
		}
		x.do(todo[0])
		x.refused(todo[0])
		x.wait(3 * day)
		x.signIn(&x.dana)
		x.signIn(&x.alice)
		for _, answer := range []access.Command{x.answer(x.dana, r, store.AnswerKeep, x.forCarol), access.EndReview{By: x.alice.caller(), Review: r}} {
			if got := x.refused(answer); got.Kind != access.Conflict || !strings.Contains(got.Message, "was due at") {
				t.Errorf("too late: %+v", got)
			}
		}
		todo, _ = x.state.ReviewsDo(x.at())
		if diff := cmp.Diff([]access.Command{access.EndReview{By: by, Review: r}}, todo); diff != "" {
			t.Errorf("when it is due (-want +got):\n%s", diff)
		}
		d := x.do(todo[0])
		end := &store.ReviewEnded{Owner: x.dana.id, Review: r, Why: store.ReviewDue, Kept: 1, Unanswered: 2}
		want := []store.Event{end}
		if wanted {
			// In the order of the grants' entries.
			want = []store.Event{
				&store.GrantRemoved{User: x.carol.id, Target: x.web, Grant: x.forCarol, Review: r}, &store.GrantRemoved{Grant: x.forOps, Review: r}, end,
			}
		}
		if diff := cmp.Diff(want, d.Events); diff != "" || d.Actor != (store.Actor{}) {
			t.Errorf("the end (-want +got), by %+v:\n%s", d.Actor, diff)
		}
		if _, over := x.state.SessionEnds(session, x.at()); over != wanted {
			t.Errorf("a session on what nobody answered for ends: %v", over)
		}
		x.refused(todo[0])
		if todo, next := x.state.ReviewsDo(x.at()); len(todo) != 0 || next != 0 {
			t.Errorf("afterwards: %v, %v", todo, next)
		}
		if got := x.refused(x.answer(x.dana, r, store.AnswerRevoke, kept)); !strings.Contains(got.Message, "ended at") {
			t.Errorf("once it is over: %+v", got)
		}
	}
}

// TestReminders: one for a review of six days or more, if there is something to answer.
func TestReminders(t *testing.T) {
	for lasts, want := range map[time.Duration]time.Duration{7 * day: 4 * day, 6 * day: 3 * day, 6*day - time.Second: 0, 30 * day: 27 * day, time.Second: 0} {
		x := reviewed(t)
		r := x.review(func(c *access.StartReview) { c.Due = x.at() + store.Millis(lasts/time.Millisecond) })
		_, next := x.state.ReviewsDo(x.at())
		if want == 0 {
			want = lasts
		}
		if next.Time() != x.now.Add(want) {
			t.Errorf("of a review of %s: %s", lasts, next.Time())
		}
		x.do(x.answer(x.dana, r, store.AnswerRevoke, x.forCarol, x.forOps))
		if _, next := x.state.ReviewsDo(x.at()); next.Time() != x.now.Add(lasts) {
			t.Errorf("of what is answered, of %s: %s", lasts, next.Time())
		}
	}
}

// TestCancelledReview: an administrator ends it at any time, and nothing is revoked.
func TestCancelledReview(t *testing.T) {
	x := reviewed(t)
	auditor := x.employ("ann", store.RoleAuditor)
	r := x.review(revokes)
	x.refused(access.EndReview{By: auditor.caller(), Review: r})
	x.refused(access.EndReview{By: x.carol.caller(), Review: r})
	x.do(access.EndReview{By: x.alice.caller(), Review: r})
	if e := last[*store.ReviewEnded](x.company); e.Why != store.ReviewCancelled || e.Unanswered != 2 {
		t.Errorf("ended %+v", e)
	}
	if _, ok := x.state.Grant(x.forCarol); !ok {
		t.Error("a cancelled review revoked")
	}
}

// TestLastUse: a session is a use of every grant that allowed it, and what a request
// opened a use of what it was requested by. A refusal is none.
func TestLastUse(t *testing.T) {
	x := reviewed(t)
	short := x.grant(x.carol, "web1", 0, x.at()+store.Millis(day/time.Millisecond), "deploy", "root")
	x.do(access.AddGrant{By: local, User: "dana", Target: "web1", Logins: []string{"root"}, Conditions: store.Conditions{Reason: true}})
	base := x.state.Next() - 1
	unused := x.grant(x.dana, "web1", 0, 0, "deploy")
	x.wait(time.Minute)
	x.session(x.carol, "web1", "deploy")
	started := access.LastUse{Entry: x.state.Next() - 1, Time: x.at()}
	if also := last[*store.SessionStarted](x.company).Also; !cmp.Equal(also, []store.Index{short}) {
		t.Errorf("started by %v as well, want %d", also, short)
	}
	x.wait(time.Minute)
	x.refused(x.start(x.carol, "db1", "root"))
	x.do(access.MakeRequest{By: x.dana.caller(), Target: "web1", Login: "root", Lasts: hour, Reason: "the disk", Nonce: x.hash()})
	answer := x.state.Next() - 1
	x.session(x.dana, "web1", "root")
	asked := access.LastUse{Entry: x.state.Next() - 1, Time: x.at()}
	for grant, want := range map[store.Index]access.LastUse{x.forCarol: started, short: started, answer: asked, base: asked, unused: {}, x.forOps: {}} {
		if g, ok := x.state.Grant(grant); !ok || g.Last != want {
			t.Errorf("grant %d was used %+v, want %+v", grant, g.Last, want)
		}
	}
	opened, err := access.OpenSnapshot(snapshot(t, x.state), x.text)
	if g, _ := opened.Grant(short); err != nil || g.Last != started {
		t.Errorf("after a restart: %+v, %v", g.Last, err)
	}
	// What a grant was used for last is still told when it is gone.
	r := x.review()
	x.do(x.answer(x.dana, r, store.AnswerRevoke, x.forCarol))
	for item := range x.state.Reviewed(r) {
		if item.Grant == x.forCarol && (item.Last != started || item.Gone != x.state.Next()-1) {
			t.Errorf("once it was revoked: %+v", item)
		}
	}
}

// TestLargestReview: a review holds what an entry holds, and its end is one decision.
func TestLargestReview(t *testing.T) {
	x := reviewed(t)
	for range store.MaxReviewed - 2 {
		x.append(x.at(), store.Actor{}, &store.GrantAdded{User: x.carol.id, Target: x.web, Logins: []store.Login{"root"}})
	}
	r := x.review(revokes)
	x.grant(x.carol, "web1", 0, 0, "root")
	if got := x.refused(access.StartReview{By: x.alice.caller(), Owner: "dana", Due: x.at() + 1000}); !strings.Contains(got.Message, "more than one review holds") {
		t.Errorf("one more: %+v", got)
	}
	x.wait(30 * day)
	if d := x.do(access.EndReview{By: access.Caller{Timetable: true}, Review: r}); len(d.Events) != store.MaxReviewed+1 {
		t.Errorf("%d events", len(d.Events))
	}
	if n := len(snapshot(t, x.state)); n > 10_000 {
		t.Errorf("a review that is over takes %d bytes", n)
	}
}
