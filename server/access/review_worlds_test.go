package access_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// A slowReview is a review as a plain reading of its entries has it.
type slowReview struct {
	*store.ReviewStarted
	answers map[store.Index]store.ReviewAnswer
	ended   *store.ReviewEnded
}

// A reviewWorld is a company in which reviews run, and what its entries say.
type reviewWorld struct {
	*company
	t       *rapid.T
	people  []person
	reviews map[store.Index]*slowReview
	grants  map[store.Index]*store.GrantAdded // those that are there
	members map[store.UserID]bool             // of the one group
	locked  map[store.UserID]bool
	used    map[store.Index]store.Index // the last session by a grant
	known   []store.Index               // grants that there ever were
	all     []*store.Entry
}

// TestReviewWorlds lets reviews run beside everything that changes what they are
// about, and looks after each step that
//
//   - what is answered is answered by whom and when a plain reading lets, and what it
//     lets is not refused;
//   - nothing that belongs to a review lets anybody do what they could not before;
//   - a review that is due revokes what was not answered if it says so, and nothing
//     else, in front of its end;
//   - who reads the entries anew, and who opens a snapshot, has the same state.
func TestReviewWorlds(t *testing.T) {
	base := found(t)
	people := []person{base.employ("bob", store.RoleAdministrator), base.employ("erin", store.RoleAdministrator), base.employ("dana"), base.employ("carol")}
	base.tireless()
	base.do(access.ChangeSetting{By: local, Setting: store.SettingSignInLife, Value: "168h"})
	base.target("db1", "root", "deploy")
	base.target("web1", "root")
	base.group("ops", people[0], people[2])
	base.do(access.AddGrant{By: local, Group: "ops", Targets: "*", Logins: []string{"root"}})
	for _, p := range people {
		base.do(access.AddGrant{By: local, User: p.handle, Target: "db1", Logins: []string{"deploy"}})
	}
	for i := range people {
		base.signIn(&people[i]) // for as long as the setting says
	}
	ends, answers := map[store.ReviewEnd]int{}, map[bool]int{}
	check(t, rounds(500, 100_000), func(t *rapid.T) {
		c := *base
		c.TB, c.entries = t, nil
		w := &reviewWorld{
			company: &c, t: t, people: slices.Clone(people), reviews: map[store.Index]*slowReview{}, grants: map[store.Index]*store.GrantAdded{},
			members: map[store.UserID]bool{}, locked: map[store.UserID]bool{}, used: map[store.Index]store.Index{},
		}
		for _, e := range base.entries {
			w.read(e)
		}
		w.all = slices.Clip(base.entries)
		w.do(access.StartReview{By: local, Owner: "dana", Due: w.at() + 3*3_600_000, Revokes: rapid.Bool().Draw(t, "revokes"), Group: rapid.SampledFrom([]store.GroupName{"", "ops"}).Draw(t, "group")})
		w.take()
		for range rapid.IntRange(4, 40).Draw(t, "steps") {
			if allowed, ok := w.step(); ok {
				answers[allowed]++
			}
		}
		w.sameAgain()
		for _, r := range w.reviews {
			if r.ended != nil {
				ends[r.ended.Why]++
			}
		}
	})
	t.Logf("reviews ended %v, answers were allowed %v", ends, answers)
	for _, why := range []store.ReviewEnd{store.ReviewAnsweredAll, store.ReviewCancelled, store.ReviewDue} {
		if ends[why] == 0 {
			t.Errorf("no review ended %q: the worlds are not what they should be", why)
		}
	}
	if answers[true] == 0 || answers[false] == 0 {
		t.Error("all answers were allowed, or none: the worlds are not what they should be")
	}
}

// step does one thing; of answers it returns whether they were allowed.
func (w *reviewWorld) step() (allowed, answered bool) {
	w.Helper()
	p := rapid.SampledFrom(w.people).Draw(w.t, "who")
	grant := rapid.SampledFrom(w.known).Draw(w.t, "grant")
	var reviews []store.Index
	for i := range w.reviews {
		reviews = append(reviews, i)
	}
	slices.Sort(reviews)
	review := rapid.SampledFrom(reviews).Draw(w.t, "review")
	var cmd access.Command
	switch rapid.IntRange(0, 19).Draw(w.t, "step") {
	case 0:
		cmd = access.StartReview{
			By: p.caller(), Owner: w.people[rapid.IntRange(0, 3).Draw(w.t, "owner")].handle, Due: w.at() + 3_600_000, Revokes: rapid.Bool().Draw(w.t, "revokes"),
			Group: rapid.SampledFrom([]store.GroupName{"", "ops"}).Draw(w.t, "group"),
		}
	case 1:
		cmd = access.AddGrant{By: local, User: p.handle, Target: "web1", Logins: []string{"root"}}
	case 2:
		cmd = access.RemoveGrant{By: local, Grant: grant}
	case 3:
		cmd = access.AddMember{By: local, Group: "ops", User: p.handle}
	case 4:
		cmd = access.RemoveMember{By: local, Group: "ops", User: p.handle}
	case 5:
		cmd = access.AddLock{By: local, What: access.Lockable{User: p.handle}, Why: "try"}
	case 6:
		if !w.locked[p.id] {
			return false, false
		}
		w.do(access.RemoveLock{By: local, What: access.Lockable{User: p.handle}})
		w.signIn(&w.people[slices.IndexFunc(w.people, func(o person) bool { return o.id == p.id })])
		w.take()
		return false, false
	case 7:
		cmd = w.start(p, "db1", rapid.SampledFrom([]store.Login{"root", "deploy"}).Draw(w.t, "login"))
	case 8:
		w.wait(rapid.SampledFrom([]time.Duration{time.Minute, hour}).Draw(w.t, "time"))
		return false, false
	case 9, 10:
		w.tick()
		return false, false
	case 11, 12:
		cmd = access.EndReview{By: p.caller(), Review: review}
	default:
		answer := rapid.SampledFrom([]store.ReviewAnswer{store.AnswerKeep, store.AnswerKeep, store.AnswerRevoke}).Draw(w.t, "answer")
		c := access.AnswerReview{By: p.caller(), Review: review, Grants: []store.Index{grant}, Answer: answer}
		want := w.lets(p, review, grant, answer)
		_, err := w.guarded(c)
		if (err == nil) != want {
			w.Fatalf("%s says %s of grant %d in review %d: a plain reading lets it %v, the rules say %v", p.handle, answer, grant, review, want, err)
		}
		w.take()
		return want, true
	}
	switch cmd.(type) {
	case access.EndReview, access.StartReview:
		_, _ = w.guarded(cmd)
	default:
		_, _ = w.decide(cmd) // many are refused
	}
	w.take()
	return false, false
}

// tick does what the server does by itself.
func (w *reviewWorld) tick() {
	w.Helper()
	todo, _ := w.state.ReviewsDo(w.at())
	for _, cmd := range todo {
		if _, err := w.guarded(cmd); err != nil {
			w.Fatalf("%+v: %v", cmd, err)
		}
		w.take()
	}
	for i, r := range w.reviews {
		if r.ended == nil && r.Due <= w.at() {
			w.Fatalf("review %d goes on after it was due", i)
		}
	}
}

// guarded is decide for what belongs to a review, which never opens anything.
func (w *reviewWorld) guarded(cmd access.Command) (access.Decision, error) {
	w.Helper()
	before := w.state
	d, err := w.decide(cmd)
	for _, p := range w.people {
		for target := range before.Targets() {
			for _, login := range target.Logins {
				was := before.Standing(p.id, access.Touch{}, target, login, w.at()).Purposes
				is := w.state.Standing(p.id, access.Touch{}, target, login, w.at()).Purposes
				if !is.Within(was) {
					w.Fatalf("%+v lets %s do %s as %s on %s", cmd, p.handle, is, login, target.Name)
				}
			}
		}
	}
	return d, err
}

// lets reports whether a plain reading of the rules lets somebody give an answer.
func (w *reviewWorld) lets(p person, review, grant store.Index, answer store.ReviewAnswer) bool {
	r, g := w.reviews[review], w.grants[grant]
	administrator, owner := p.handle == "bob" || p.handle == "erin", r.Owner == p.id
	open := r.ended == nil && w.at() < r.Due && slices.Contains(r.Grants, grant) && g != nil
	switch {
	case !open || w.locked[p.id] || !owner && !administrator:
		return false
	case answer == store.AnswerRevoke:
		return r.answers[grant] != store.AnswerRevoke
	case r.answers[grant] != "" || w.about(g, p.id):
		return false
	}
	return owner || w.locked[r.Owner] || w.about(g, r.Owner)
}

func (w *reviewWorld) about(g *store.GrantAdded, user store.UserID) bool {
	return g.User == user || g.Group != 0 && w.members[user]
}

// take reads the entries that are new, and judges those that belong to a review.
func (w *reviewWorld) take() {
	w.Helper()
	for i, e := range w.entries {
		switch v := e.Event.(type) {
		case *store.ReviewAnswered:
			if v.Answer == store.AnswerRevoke {
				removed, ok := w.entries[i+1].Event.(*store.GrantRemoved)
				if !ok || removed.Grant != v.Grant || removed.Review != v.Review {
					w.Fatalf("entry %d revokes, and behind it is %+v", e.Index, w.entries[i+1].Event)
				}
			}
		case *store.GrantRemoved:
			if r := w.reviews[v.Review]; r != nil && r.answers[v.Grant] != store.AnswerRevoke && (!r.Revokes || e.Time < r.Due || r.answers[v.Grant] != "") {
				w.Fatalf("entry %d: the review did not revoke %d", e.Index, v.Grant)
			}
		case *store.ReviewEnded:
			w.judgeEnd(e, v)
		}
		w.read(e)
	}
	w.all, w.entries = append(w.all, w.entries...), nil
	for entry := range w.grants {
		if g, ok := w.state.Grant(entry); !ok || g.Last.Entry != w.used[entry] {
			w.Fatalf("grant %d was used last by %d, want %d", entry, g.Last.Entry, w.used[entry])
		}
	}
}

func (w *reviewWorld) judgeEnd(e *store.Entry, v *store.ReviewEnded) {
	w.Helper()
	r, want := w.reviews[v.Review], store.ReviewEnded{Owner: v.Owner, Review: v.Review, Why: v.Why}
	for _, grant := range r.Grants {
		switch {
		case r.answers[grant] == store.AnswerKeep:
			want.Kept++
		case r.answers[grant] == store.AnswerRevoke:
			want.Revoked++
		case w.grants[grant] != nil, r.answers[grant] == "lapsed":
			want.Unanswered++
		default:
			want.Gone++
		}
		if due := v.Why == store.ReviewDue; due && r.Revokes && r.answers[grant] == "" && w.grants[grant] != nil {
			w.Fatalf("entry %d: nobody answered for grant %d, and it stands", e.Index, grant)
		}
	}
	if r.ended != nil || (e.Actor == store.Actor{}) != (v.Why == store.ReviewDue) || (v.Why == store.ReviewDue) != (e.Time >= r.Due) || *v != want {
		w.Fatalf("entry %d ends review %d as %+v, want %+v", e.Index, v.Review, v, want)
	}
	if v.Why == store.ReviewCancelled && r.Revokes {
		for _, grant := range r.Grants {
			if g := w.grants[grant]; g != nil && r.answers[grant] == "" && w.about(g, e.Actor.User) {
				w.Fatalf("entry %d: its actor keeps grant %d by it", e.Index, grant)
			}
		}
	}
}

func (w *reviewWorld) read(e *store.Entry) {
	switch v := e.Event.(type) {
	case *store.GrantAdded:
		w.grants[e.Index], w.known = v, append(w.known, e.Index)
	case *store.GrantRemoved:
		delete(w.grants, v.Grant)
		if r := w.reviews[v.Review]; r != nil && r.answers[v.Grant] == "" {
			r.answers[v.Grant] = "lapsed"
		}
	case *store.MemberAdded:
		w.members[v.User] = true
	case *store.MemberRemoved:
		delete(w.members, v.User)
	case *store.LockAdded:
		w.locked[v.User] = true
	case *store.LockRemoved:
		delete(w.locked, v.User)
	case *store.SessionStarted:
		for _, g := range append(v.Also, v.Grant) {
			w.used[g] = e.Index
		}
	case *store.ReviewStarted:
		w.reviews[e.Index] = &slowReview{ReviewStarted: v, answers: map[store.Index]store.ReviewAnswer{}}
	case *store.ReviewAnswered:
		w.reviews[v.Review].answers[v.Grant] = v.Answer
	case *store.ReviewEnded:
		w.reviews[v.Review].ended = v
	}
}

// sameAgain reads all entries anew, and opens a snapshot.
func (w *reviewWorld) sameAgain() {
	w.Helper()
	again, data := access.New(), snapshot(w, w.state)
	for _, e := range w.all {
		var err error
		if again, err = access.Apply(again, e, noTexts); err != nil {
			w.Fatalf("applying: %v", err)
		}
	}
	if !bytes.Equal(snapshot(w, again), data) {
		w.Fatal("who reads the entries anew has another state")
	}
	opened, err := access.OpenSnapshot(data, w.text)
	if err != nil || !bytes.Equal(snapshot(w, opened), data) {
		w.Fatalf("opening a snapshot: %v", err)
	}
	want, _ := w.state.ReviewsDo(w.at() + 3_600_000)
	got, _ := opened.ReviewsDo(w.at() + 3_600_000)
	if !slices.Equal(want, got) {
		w.Fatalf("opened from a snapshot it does %v, want %v", got, want)
	}
}
