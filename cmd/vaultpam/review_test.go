package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/api"
)

// autumn is a review of carol's, open, with a grant of each kind.
func autumn() api.ReviewDetail {
	now := time.Now()
	began := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	grant := func(id uint64, user string) api.Grant {
		return api.Grant{ID: id, User: user, Target: "db1", Logins: []string{"root", "deploy"}}
	}
	return api.ReviewDetail{
		Review: api.Review{
			ID: 4711, Title: "autumn\x1b[31m", Owner: "carol", By: "ada", Started: began, Due: began.Add(30 * 24 * time.Hour), Revokes: true, State: "open", Yours: true,
			Grants: 6, Kept: 1, Revoked: 1, Unanswered: 3, Gone: 1,
		},
		Items: []api.ReviewedGrant{
			{Grant: grant(12, "dave"), Since: began, LastUsed: now.Add(-3*24*time.Hour - time.Minute), State: "waits", MayKeep: true, MayRevoke: true},
			{Grant: grant(13, "bot ci"), Since: began, State: "waits", MayKeep: true, MayRevoke: true},
			{Grant: grant(14, "carol"), Since: now, State: "waits", MayRevoke: true},
			{Grant: grant(15, "erin"), Since: began, LastUsed: now.Add(-90 * time.Minute), State: "kept", By: "carol", Entry: 4712, Comment: "on call", MayRevoke: true},
			{Grant: grant(16, "frank"), Since: began, State: "revoked", By: "ada", Entry: 4713, Gone: 4714},
			{Grant: api.Grant{ID: 17, Group: "ops", Targets: "*", Logins: []string{"root"}, For: "sftp=read-only", Hours: "Mon-Fri 08:00-18:00 Europe/Berlin",
				Conditions: api.Conditions{Reason: true, Approvals: 1, Approvers: "leads"}}, Since: began, State: "gone", Gone: 4720},
		},
	}
}

func TestReviewShow(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	r := autumn()
	s.set(api.RouteReview, r)
	shown := m.run("review", "show", "4711")
	shown.want(t, exitOK, `review 4711 (autumn\x1b[31m): ada asked carol about 6 grants at 2026-08-01 12:00:00 UTC. It is due at 2026-08-31 12:00:00 UTC, and what has no answer then is revoked. `+
		"So far: 1 kept, 1 revoked, 3 not answered, 1 gone by then.")
	today := r.Items[2].Since.UTC().Format(time.DateOnly)
	want := []string{
		"grant who targets logins for since until last used answer by entry comment",
		"12 dave db1 root,deploy shell; exec; no-tty; sftp=read-write 2026-08-01 - 3 days ago waits - - -",
		"13 bot ci db1 root,deploy shell; exec; no-tty; sftp=read-write 2026-08-01 - never waits - - -",
		"14 carol db1 root,deploy shell; exec; no-tty; sftp=read-write " + today + " - never waits; yours to revoke, an administrator's to keep - - -",
		"15 erin db1 root,deploy shell; exec; no-tty; sftp=read-write 2026-08-01 - 1 hour ago keep carol 4712 on call",
		"16 frank db1 root,deploy shell; exec; no-tty; sftp=read-write 2026-08-01 - never revoke ada 4713 -",
		"17 group ops every target root sftp=read-only, Mon-Fri 08:00-18:00 Europe/Berlin, with a reason, approved by 1 of group leads 2026-08-01 - never gone, entry 4720 - - -",
	}
	var got []string
	for line := range strings.Lines(shown.out) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for state, says := range map[string]string{
		"due":       "It was due at 2026-08-31 12:00:00 UTC, entry 5000, when what had no answer was revoked: 1 kept",
		"cancelled": "It was called off at 2026-08-31 12:00:00 UTC, entry 5000: 1 kept",
		"answered":  "It was answered and ended at 2026-08-31 12:00:00 UTC, entry 5000: 1 kept",
	} {
		r.State, r.Ended, r.EndedAt, r.Yours = state, 5000, r.Due, false
		r.Items = []api.ReviewedGrant{{Grant: r.Items[0].Grant, State: "lapsed", LastUsed: r.Started}, {Grant: r.Items[0].Grant, State: "waits"}}
		s.set(api.RouteReview, r)
		m.run("review", "show", "4711").want(t, exitOK, says, "2026-08-01 12:00:00 UTC  none, revoked", "none  ")
		r.Items = autumn().Items
	}
	s.set(api.RouteReview, api.ReviewDetail{Review: api.Review{ID: 1}})
	m.run("review", "show", "4711").want(t, exitOther, "another review")
}

func TestReviewStart(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	s.set(api.RouteReviewStart, autumn().Review)
	m.run("review", "start", "--owner", "carol", "--due", "2099-12-31T12:00:00Z", "--title", "autumn", "--targets", "env=prod", "--group", "ops", "--user", "dave", "--revoke-unanswered").want(t, exitOK,
		"review 4711: carol is asked about 6 grants until 2026-08-31 12:00:00 UTC", "what they see: vaultpam review show 4711; to call it off: vaultpam review end 4711")
	want := `/v1/reviews {"owner":"carol","due":"2099-12-31T12:00:00Z","revokes":true,"title":"autumn","targets":"env=prod","group":"ops","user":"dave"}`
	if got := s.body(api.RouteReviewStart); got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
	m.run("review", "start", "--owner", "dave", "--due", "30d").want(t, exitOther, "a review of somebody else's")
	s.set(api.RouteReviews, []api.Review{autumn().Review})
	m.run("review", "ls").want(t, exitOK, `4711  autumn\x1b[31m  carol  2026-08-31 12:00:00 UTC  open, yours  6       1     1        3           1`)
	s.set(api.RouteReviews, []api.Review{})
	m.run("review", "ls").want(t, exitOK, "there are no reviews that you may see")
	s.set(api.RouteReviewEnd, autumn().Review)
	m.run("review", "end", "4711").want(t, exitOK, "review 4711 ended: 1 kept, 1 revoked, 3 not answered, 1 gone by then")
	for _, bad := range [][]string{
		{"review"}, {"review", "start"}, {"review", "start", "--owner", "carol"}, {"review", "start", "--due", "30d"}, {"review", "start", "--owner", "Carol!", "--due", "30d"},
		{"review", "start", "--owner", "carol", "--due", "soon"}, {"review", "start", "--owner", "carol", "--due", "1d", "--targets", "env="},
		{"review", "start", "--owner", "carol", "--due", "1d", "--group", "a b"}, {"review", "start", "--owner", "carol", "--due", "1d", "--user", "a b"},
		{"review", "start", "carol", "--owner", "carol", "--due", "1d"}, {"review", "show"}, {"review", "show", "x"}, {"review", "end"}, {"review", "ls", "x"},
		{"review", "keep"}, {"review", "keep", "1"}, {"review", "keep", "1", "x"}, {"review", "keep", "1", "2", "--all-used-since", "1d"}, {"review", "keep", "1", "--all-used-since", "once"},
		{"review", "revoke", "1"}, {"review", "answer"},
	} {
		m.run(bad...).want(t, exitUsage)
	}
}

func TestReviewAnswers(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	s.set(api.RouteReview, autumn())
	open := autumn().Review
	s.set(api.RouteReviewAnswer, open)
	asks := func(want string, args ...string) {
		t.Helper()
		m.run(args...).want(t, exitOK, "3 of 6 have no answer yet; it is due at 2026-08-31 12:00:00 UTC")
		if got := s.body(api.RouteReviewAnswer); got != "/v1/reviews/4711/answer "+want {
			t.Errorf("%q asked %s, want %s", args, got, want)
		}
	}
	asks(`{"grants":[12,13],"answer":"keep","comment":"on call"}`, "review", "keep", "4711", "12", "13", "--comment", "on call")
	asks(`{"grants":[12],"answer":"keep"}`, "review", "keep", "4711", "--all-used-since", "30d")
	asks(`{"grants":[12],"answer":"revoke"}`, "review", "revoke", "4711", "12")
	// What was given a moment ago had no time to be used, and what was kept is kept.
	asks(`{"grants":[13],"answer":"revoke"}`, "review", "revoke", "4711", "--all-unused-since", "2026-08-02")
	m.run("review", "keep", "4711", "--all-used-since", "1h").want(t, exitOK, "there is no such grant in review 4711 that waits for an answer of yours")
	open.Unanswered = 0
	s.set(api.RouteReviewAnswer, open)
	m.run("review", "keep", "4711", "12").want(t, exitOK, "kept 1 grant of review 4711",
		"all are answered; until 2026-08-31 12:00:00 UTC what is kept can still be revoked; to end it now: vaultpam review end 4711")
}

// TestReviewAnswerByAnswer: on the terminal, each grant that waits for somebody, until
// they have enough.
func TestReviewAnswerByAnswer(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	s.set(api.RouteReview, autumn())
	s.set(api.RouteReviewAnswer, autumn().Review)
	m.run("review", "answer", "4711").want(t, exitOther, "there is no terminal to ask on")
	m.typed = []string{"what?\n", "k\n", "skip\n", "k\n", "Revoke\n"} // the last can't be kept
	m.run("review", "answer", "4711").want(t, exitOK, "3 of 6 have no answer yet")
	if got, want := s.body(api.RouteReviewAnswer), `/v1/reviews/4711/answer {"grants":[14],"answer":"revoke"}`; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
	const first = "grant 12: dave on db1 as root, deploy; since 2026-08-01; last used: 3 days ago\n[k]eep, [r]evoke, [s]kip, [q]uit? "
	asked := m.tty.String()
	if strings.Count(asked, first) != 2 || strings.Count(asked, "grant 14: ") != 2 || !strings.Contains(asked, "last used: never\n[r]evoke, [s]kip, [q]uit? ") || strings.Contains(asked, "grant 15") {
		t.Errorf("asked:\n%s", asked)
	}
	m.tty.Reset()
	m.typed = []string{"q\n"}
	m.run("review", "answer", "4711").want(t, exitOK, "3 of 6 have no answer yet")
	if m.tty.String() != first {
		t.Errorf("asked:\n%s", m.tty.String())
	}
	over := autumn()
	over.State = "answered"
	s.set(api.RouteReview, over)
	m.run("review", "answer", "4711").want(t, exitOK, "It was answered and ended")
}
