package server_test

import (
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// review has the administrator start one of erin's.
func (s *site) review(q api.StartReviewRequest) api.Review {
	s.t.Helper()
	q.Owner = "erin"
	if q.Due.IsZero() {
		q.Due = s.clock.now().Add(30 * 24 * time.Hour)
	}
	return must[api.Review](s, s.admin, "POST", api.RouteReviewStart.Path, q)
}

func reviewPath(id uint64) string { return api.RouteReviews.Path + "/" + strconv.FormatUint(id, 10) }

func (s *site) shownReview(who *resident, id uint64) api.ReviewDetail {
	s.t.Helper()
	return must[api.ReviewDetail](s, who, "GET", reviewPath(id), nil)
}

func (s *site) answers(who *resident, id uint64, answer, comment string, grants ...uint64) api.Review {
	s.t.Helper()
	return must[api.Review](s, who, "POST", reviewPath(id)+"/answer", api.ReviewAnswerRequest{Grants: grants, Answer: answer, Comment: comment})
}

// reviewed is what the server's own entries about reviews are, by type.
func (s *site) reviewed() []string {
	var all []string
	for _, kind := range []store.EventType{store.TypeReviewReminded, store.TypeGrantRemoved, store.TypeReviewEnded} {
		for _, e := range s.entriesOf(kind) {
			if e.Actor == (store.Actor{}) {
				all = append(all, string(kind))
			}
		}
	}
	return all
}

// TestReviewAsItIsSeen: what its owner sees while it is open, and that the same is
// seen once it is over, when grants, target and people are gone.
func TestReviewAsItIsSeen(t *testing.T) {
	s := populated(t)
	carol, erin := s.added("carol", "engineer"), s.added("erin", "engineer")
	s.added("dave", "engineer")
	ann := s.added("ann", "auditor")
	s.target("db1")
	one, two, own := s.grant("carol", "db1", time.Time{}), s.grant("dave", "db1", time.Time{}), s.grant("erin", "db1", time.Time{})
	given := s.clock.now()
	s.clock.turn(time.Minute)
	s.started(s.certificate(carol), "db1")
	used := uint64(s.entriesOf(store.TypeSessionStarted)[0].Index)
	usedAt := s.clock.now()
	s.clock.turn(time.Minute)
	r := s.review(api.StartReviewRequest{Title: "autumn", Targets: "*"})
	want := api.ReviewDetail{
		Review: api.Review{
			ID: r.ID, Title: "autumn", Owner: "erin", By: adminIs, Started: s.clock.now(), Due: r.Due, Targets: "*", State: "open", Yours: true, Grants: 3, Unanswered: 3,
		},
		Items: []api.ReviewedGrant{
			{Grant: one, Since: given, LastUsed: usedAt, LastSession: used, State: "waits", MayKeep: true, MayRevoke: true},
			{Grant: two, Since: given, State: "waits", MayKeep: true, MayRevoke: true},
			{Grant: own, Since: given, State: "waits", MayRevoke: true},
		},
	}
	if diff := cmp.Diff(want, s.shownReview(erin, r.ID)); diff != "" {
		t.Errorf("open (-want +got):\n%s", diff)
	}
	if seen := s.shownReview(s.admin, r.ID); !seen.Items[2].MayKeep || seen.Items[0].MayKeep || seen.Yours {
		t.Errorf("an administrator may keep %+v", seen.Items)
	}
	if seen := s.shownReview(ann, r.ID); seen.Items[0].MayRevoke || seen.Items[2].MayKeep {
		t.Errorf("an auditor may answer: %+v", seen.Items)
	}
	s.refused(s.ask("GET", reviewPath(r.ID), carol.token, nil), http.StatusNotFound)
	s.answers(erin, r.ID, "keep", "she is on call", one.ID)
	kept := uint64(s.entriesOf(store.TypeReviewAnswered)[0].Index)
	s.answers(s.admin, r.ID, "keep", "", own.ID)
	must[api.Empty](s, s.admin, "DELETE", "/v1/admin/users/dave", nil)
	gone := uint64(s.entriesOf(store.TypeUserRemoved)[0].Index)
	must[api.Review](s, erin, "POST", reviewPath(r.ID)+"/end", nil)
	seen := func() (items []string) {
		for _, x := range s.shownReview(ann, r.ID).Items {
			items = append(items, strings.Join([]string{x.Grant.User, x.Grant.Target, x.State, x.By, x.Comment, strconv.FormatUint(x.Entry, 10), strconv.FormatUint(x.Gone, 10), strconv.FormatUint(x.LastSession, 10)}, " "))
		}
		return items
	}
	answered := []string{
		"carol db1 kept erin she is on call " + strconv.FormatUint(kept, 10) + " 0 " + strconv.FormatUint(used, 10),
		"dave db1 gone   0 " + strconv.FormatUint(gone, 10) + " 0", "erin db1 kept " + adminIs + "  " + strconv.FormatUint(kept+1, 10) + " 0 0",
	}
	if diff := cmp.Diff(answered, seen()); diff != "" {
		t.Errorf("ended (-want +got):\n%s", diff)
	}
	// Later, of people and a target that are gone, and of who was erased.
	id := s.entriesOf(store.TypeSessionStarted)[0].Event.(*store.SessionStarted)
	must[api.Empty](s, s.admin, "DELETE", "/v1/admin/users/carol", nil)
	must[api.Empty](s, s.admin, "DELETE", "/v1/admin/targets/db1", nil)
	if diff := cmp.Diff(answered, seen()); diff != "" {
		t.Errorf("afterwards (-want +got):\n%s", diff)
	}
	if _, err := s.node.Ledger().Do(t.Context(), access.EndSession{Session: id.Session, Reason: store.EndedByGrant}); err != nil {
		t.Fatal(err)
	}
	must[api.EraseResponse](s, s.admin, "POST", "/v1/admin/users/"+id.User.String()+"/erase", nil)
	if got, want := seen()[0], strings.NewReplacer("carol", id.User.String(), "she is on call", "(erased)").Replace(answered[0]); got != want {
		t.Errorf("once she is erased: %s, want %s", got, want)
	}
}

// TestReviewIsDue: what nobody answered for goes when it is due, once, be the server
// there at that moment or not.
func TestReviewIsDue(t *testing.T) {
	s := populated(t)
	s.added("erin", "engineer")
	s.added("carol", "engineer")
	s.target("db1")
	s.grant("carol", "db1", time.Time{})
	s.review(api.StartReviewRequest{Due: s.clock.now().Add(10 * 24 * time.Hour)})
	s.review(api.StartReviewRequest{Due: s.clock.now().Add(8 * 24 * time.Hour), Revokes: true})
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	var ends []*store.Entry
	for _, step := range []struct {
		later time.Duration
		did   []string
	}{
		{4 * 24 * time.Hour, nil},
		{36 * time.Hour, []string{"review.reminded"}},
		{time.Hour, []string{"review.reminded"}},
		{48 * time.Hour, []string{"review.reminded", "review.reminded"}},
		{12 * time.Hour, []string{"review.reminded", "review.reminded", "grant.removed", "review.ended"}},
		{time.Hour, []string{"review.reminded", "review.reminded", "grant.removed", "review.ended"}},
		{48 * time.Hour, []string{"review.reminded", "review.reminded", "grant.removed", "review.ended", "review.ended"}},
	} {
		s.clock.turn(step.later)
		s.run() // once it serves, what was due is done
		if diff := cmp.Diff(step.did, s.reviewed()); diff != "" {
			t.Fatalf("at %s (-want +got):\n%s", s.clock.now(), diff)
		}
		ends = s.entriesOf(store.TypeReviewEnded)
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
	}
	if first, last := ends[0].Event.(*store.ReviewEnded), ends[1].Event.(*store.ReviewEnded); first.Unanswered != 1 || last.Gone != 1 || last.Unanswered != 0 {
		t.Errorf("ended as %+v and %+v", first, last)
	}
}

// TestReviewIsDueWhileServing: the clock alone ends it.
func TestReviewIsDueWhileServing(t *testing.T) {
	s := newSite(t)
	begun := time.Now()
	s.env.Now = func() time.Time { return s.clock.now().Add(time.Since(begun)) } // as timers go
	s.run()
	s.admin = s.enrolled(s.begun.Invitation.String())
	s.added("erin", "engineer")
	s.target("db1")
	s.grant("erin", "db1", time.Time{})
	due := s.env.Now().Add(2 * time.Second)
	s.review(api.StartReviewRequest{Due: due, Revokes: true})
	s.await(func() bool { return len(s.entriesOf(store.TypeReviewEnded)) == 1 })
	e := s.entriesOf(store.TypeReviewEnded)[0]
	if late := e.Time.Time().Sub(due); late < -time.Millisecond || late > time.Second {
		t.Errorf("ended %s after it was due", late)
	}
	for range s.node.Ledger().State().Grants() {
		t.Error("a grant stands that nobody answered for")
	}
}

// TestReviewIsDueWithoutRoom: what can't be written is not half done, and is done
// once there is room.
func TestReviewIsDueWithoutRoom(t *testing.T) {
	s := newSite(t)
	begun, full, open := time.Now(), new(atomic.Bool), s.env.OpenBackend
	s.env.Now = func() time.Time { return s.clock.now().Add(time.Since(begun)) } // as timers go
	s.env.OpenBackend = func(path string) (store.Backend, error) {
		b, err := open(path)
		return &fullBackend{b, full}, err
	}
	s.run()
	s.admin = s.enrolled(s.begun.Invitation.String())
	s.added("erin", "engineer")
	s.target("db1")
	s.grant("erin", "db1", time.Time{})
	s.review(api.StartReviewRequest{Due: s.env.Now().Add(time.Second), Revokes: true})
	full.Store(true)
	if !s.log.says("a review could not be ended", 20*time.Second) {
		t.Fatalf("nobody is told:\n%s", s.log)
	}
	if got := s.reviewed(); len(got) != 0 {
		t.Errorf("without room the server did %q", got)
	}
	full.Store(false)
	s.target("db2") // it looks again whenever something is written
	s.await(func() bool { return len(s.entriesOf(store.TypeReviewEnded)) == 1 })
	if diff := cmp.Diff([]string{"grant.removed", "review.ended"}, s.reviewed()); diff != "" {
		t.Errorf("with room (-want +got):\n%s", diff)
	}
}
