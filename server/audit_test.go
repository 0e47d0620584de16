package server_test

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/store"
)

// A past is a small ledger with everything in it that searches have to tell
// apart: names with two bearers, removed ones, moments that are the same.
type past struct {
	*site
	dana    *resident
	handles map[store.UserID]string
	targets map[store.Index]string
	entries []*store.Entry // all of them, the newest first
	moments []time.Time
}

func newPast(t *testing.T) *past {
	p := &past{site: populated(t), handles: map[store.UserID]string{}, targets: map[store.Index]string{}}
	p.dana = p.added("dana", "auditor")
	for round := range 2 {
		p.clock.turn(time.Second)
		p.target("db1")
		p.target("db2") // in the same millisecond
		carol := p.added("carol", "engineer")
		p.clock.turn(time.Minute)
		p.confirmed(carol)
		p.grant("carol", "db1", time.Time{})
		p.grant("carol", "db2", p.clock.now().Add(time.Hour))
		cert := p.certificate(carol)
		a := p.started(cert, "db1")
		if _, err := p.node.Gate().Certify(t.Context(), a, newKey(t).PublicKey()); err != nil {
			t.Fatal(err)
		}
		p.clock.turn(1500 * time.Microsecond) // less than the times show
		p.started(cert, "db2")
		if round == 0 {
			if err := p.node.Gate().End(t.Context(), relay.Ended{Admission: a, Reason: store.EndedByUser, Duration: 1500 * time.Microsecond}); err != nil {
				t.Fatal(err)
			}
			must[api.Empty](p.site, p.admin, "DELETE", "/v1/admin/users/carol", nil)
			must[api.Empty](p.site, p.admin, "DELETE", "/v1/admin/targets/db1", nil)
			must[api.Empty](p.site, p.admin, "DELETE", "/v1/admin/targets/db2", nil)
		}
	}
	p.added("erin", "engineer")
	must[api.Empty](p.site, p.admin, "DELETE", "/v1/admin/users/erin", nil)
	p.target("old")
	must[api.Empty](p.site, p.admin, "DELETE", "/v1/admin/targets/old", nil)
	p.readAll()
	return p
}

// confirmed proves that somebody is there, who gives their factor a name.
func (p *past) confirmed(who *resident) {
	p.t.Helper()
	must[api.Empty](p.site, who, "POST", api.RouteConfirmCode.Path, api.ConfirmCodeRequest{Code: p.code(who), Device: who.device})
	factor := must[[]api.Factor](p.site, who, "GET", api.RouteFactors.Path, nil)[0]
	must[api.Empty](p.site, who, "POST", fmt.Sprintf("/v1/factors/%d", factor.ID), api.FactorNameRequest{Name: "my phone"})
}

// readAll reads the ledger as it was stored, past the server's own index.
func (p *past) readAll() {
	p.t.Helper()
	raw := must[api.RawResponse](p.site, p.dana, "GET", api.RouteRaw.Path, nil)
	for _, data := range raw.Records {
		e, err := store.DecodeEntry(data)
		if err != nil {
			p.t.Fatal(err)
		}
		p.entries = append(p.entries, e)
		if len(p.moments) == 0 || !p.moments[len(p.moments)-1].Equal(e.Time.Time()) {
			p.moments = append(p.moments, e.Time.Time())
		}
		p.name(e)
	}
	slices.Reverse(p.entries)
}

// name takes note of whom and what an entry gives a name.
func (p *past) name(e *store.Entry) {
	p.t.Helper()
	switch v := e.Event.(type) {
	case *store.UserAdded:
		text, err := p.node.Ledger().Text(p.t.Context(), v.User, v.Handle)
		if err != nil {
			p.t.Fatal(err)
		}
		p.handles[v.User] = text
	case *store.BotAdded:
		text, err := p.node.Ledger().Text(p.t.Context(), v.User, v.Handle)
		if err != nil {
			p.t.Fatal(err)
		}
		p.handles[v.User] = "bot " + text
	case *store.TargetAdded:
		p.targets[e.Index] = string(v.Name)
	}
}

// concerns says whom and what an entry is about, by its own reading of events.
func concerns(e *store.Entry) (user store.UserID, target store.Index) {
	switch v := e.Event.(type) {
	case *store.UserAdded:
		return v.User, 0
	case *store.BotAdded:
		return v.User, 0
	case *store.JoinCreated:
		return v.User, 0
	case *store.UserErased:
		return v.User, 0
	case *store.UserRemoved:
		return v.User, 0
	case *store.InvitationCreated:
		return v.User, 0
	case *store.FactorEnrolled:
		return v.User, 0
	case *store.FactorNamed:
		return v.User, 0
	case *store.FactorRemoved:
		return v.User, 0
	case *store.FactorCloned:
		return v.User, 0
	case *store.SignInConfirmed:
		return v.User, 0
	case *store.SignInSucceeded:
		return v.User, 0
	case *store.SignInStopped:
		return v.User, 0
	case *store.RecoveryCreated:
		return v.User, 0
	case *store.UserContact:
		return v.User, 0
	case *store.RecoveryBegun:
		return v.User, 0
	case *store.RecoveryStopped:
		return v.User, 0
	case *store.RecoveryFinished:
		return v.User, 0
	case *store.SignInEnded:
		return v.User, 0
	case *store.SSOLinked:
		return v.User, 0
	case *store.MemberAdded:
		return v.User, 0
	case *store.MemberRemoved:
		return v.User, 0
	case *store.TargetAdded:
		return store.UserID{}, e.Index
	case *store.TargetRemoved:
		return store.UserID{}, v.Target
	case *store.TargetRenamed:
		return store.UserID{}, v.Target
	case *store.TargetLabelled:
		return store.UserID{}, v.Target
	case *store.GrantAdded:
		return v.User, v.Target
	case *store.LockAdded:
		if !v.Of.IsZero() {
			return v.Of, 0
		}
		return v.User, v.Target
	case *store.LockRemoved:
		return v.User, v.Target
	case *store.RequestMade:
		return v.User, v.Target
	case *store.RequestApproved:
		return v.User, v.Target
	case *store.RequestDenied:
		return v.User, v.Target
	case *store.RequestWithdrawn:
		return v.User, v.Target
	case *store.ChangeProposed:
		return v.User, v.Target
	case *store.ReviewStarted:
		return v.Owner, 0
	case *store.ReviewAnswered:
		return v.User, v.Target
	case *store.ReviewReminded:
		return v.Owner, 0
	case *store.ReviewEnded:
		return v.Owner, 0
	case *store.CertificateIssued:
		return v.User, v.Target
	case *store.SessionStarted:
		return v.User, v.Target
	case *store.SessionEnded:
		return v.User, v.Target
	}
	return store.UserID{}, 0
}

// A question is a search in plain words.
type question struct {
	kind, user, target string
	since, until       time.Time
	before             uint64
}

func (q question) query() url.Values {
	v := url.Values{}
	for name, text := range map[string]string{"type": q.kind, "user": q.user, "target": q.target} {
		if text != "" {
			v.Set(name, text)
		}
	}
	for name, at := range map[string]time.Time{"since": q.since, "until": q.until} {
		if !at.IsZero() {
			v.Set(name, at.Format(time.RFC3339Nano))
		}
	}
	if q.before != 0 {
		v.Set("before", strconv.FormatUint(q.before, 10))
	}
	return v
}

// naive answers a question by looking at everything.
func (p *past) naive(q question) []uint64 {
	found := []uint64{}
	for _, e := range p.entries {
		user, target := concerns(e)
		at := e.Time.Time()
		switch {
		case q.kind != "" && string(e.Event.EventType()) != q.kind,
			q.user != "" && (user.IsZero() || p.handles[user] != q.user && user.String() != q.user),
			q.target != "" && (target == 0 || p.targets[target] != q.target),
			!q.since.IsZero() && at.Before(q.since.Truncate(time.Millisecond)),
			!q.until.IsZero() && !at.Before(q.until.Truncate(time.Millisecond)),
			q.before != 0 && uint64(e.Index) >= q.before:
			continue
		}
		found = append(found, uint64(e.Index))
	}
	return found
}

func (p *past) questions() []question {
	size := uint64(len(p.entries))
	kinds := []string{"", "signin.confirmed", "factor.named", "certificate.issued", "session.started", "user.removed", "target.added", "ledger.created"}
	users := []string{"", "carol", "erin", "dana", adminIs}
	for id := range p.handles {
		users = append(users, id.String())
	}
	targets := []string{"", "db1", "db2", "old"}
	first, last := p.moments[0], p.moments[len(p.moments)-1]
	middle := p.moments[len(p.moments)/2]
	times := [][2]time.Time{
		{}, {first, time.Time{}}, {{}, first}, {middle, time.Time{}}, {{}, middle}, {middle, middle}, {last, time.Time{}}, {{}, last},
		{first.Add(-time.Hour), last.Add(time.Hour)}, {last.Add(time.Millisecond), time.Time{}}, {last, first},
		{p.moments[1], p.moments[len(p.moments)-2]}, {middle.Add(time.Millisecond), time.Time{}},
	}
	var all []question
	for _, k := range kinds {
		for _, u := range users {
			for _, t := range targets {
				all = append(all, question{kind: k, user: u, target: t})
			}
		}
	}
	for _, span := range times {
		for _, before := range []uint64{0, 1, size / 2, size, size + 5} {
			for _, k := range []string{"", "session.started"} {
				for _, u := range []string{"", "carol"} {
					all = append(all, question{kind: k, user: u, since: span[0], until: span[1], before: before})
				}
			}
		}
	}
	return all
}

func TestAuditFindsWhatANaiveReaderFinds(t *testing.T) {
	p := newPast(t)
	found := 0
	for _, q := range p.questions() {
		v := q.query()
		v.Set("limit", "1000")
		r := must[api.EntriesResponse](p.site, p.dana, "GET", api.RouteEntries.Path+"?"+v.Encode(), nil)
		got := []uint64{}
		for _, e := range r.Entries {
			got = append(got, e.Index)
		}
		want := p.naive(q)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", v.Encode(), diff)
		}
		if r.Next != 0 || r.Size != uint64(len(p.entries)) {
			t.Errorf("%s: next %d, size %d", v.Encode(), r.Next, r.Size)
		}
		found += len(want)
	}
	if found < 500 {
		t.Errorf("the questions found only %d entries", found)
	}
	t.Logf("%d questions over %d entries of %d moments", len(p.questions()), len(p.entries), len(p.moments))
}

func TestAuditPagesAreCompleteAndWithoutDuplicates(t *testing.T) {
	p := newPast(t)
	for _, q := range []question{{}, {user: "carol"}, {target: "db1"}, {user: "carol", target: "db2"}, {kind: "session.started"}} {
		for _, limit := range []int{1, 2, 3, 7, 100} {
			var got []uint64
			for {
				v := q.query()
				v.Set("limit", strconv.Itoa(limit))
				r := must[api.EntriesResponse](p.site, p.dana, "GET", api.RouteEntries.Path+"?"+v.Encode(), nil)
				if len(r.Entries) > limit {
					t.Fatalf("%d entries, asked for %d", len(r.Entries), limit)
				}
				for _, e := range r.Entries {
					got = append(got, e.Index)
				}
				if q.before = r.Next; r.Next == 0 {
					break
				}
			}
			q.before = 0
			if want := p.naive(q); !slices.Equal(want, got) {
				t.Errorf("%v by %d: %v, want %v", q, limit, got, want)
			}
		}
	}
}

func TestSessionsAreFoundByTheNamesOfTheirDay(t *testing.T) {
	p := newPast(t)
	for query, want := range map[string]int{
		"": 4, "?user=carol": 4, "?target=db1": 2, "?target=db2": 2, "?user=carol&target=db1": 2, "?user=erin": 0, "?target=old": 0,
		"?limit=3": 3, "?until=2020-01-01T00:00:00Z": 0, "?since=2020-01-01T00:00:00Z": 4,
	} {
		got := must[[]api.Session](p.site, p.dana, "GET", api.RouteSessions.Path+query, nil)
		if len(got) != want {
			t.Errorf("%q: %d sessions, want %d", query, len(got), want)
		}
		for i, x := range got {
			if x.User != "carol" || x.Target != "db1" && x.Target != "db2" || i > 0 && got[i-1].Started <= x.Started {
				t.Errorf("%q: %+v", query, x)
			}
		}
	}
	all := must[[]api.Session](p.site, p.dana, "GET", api.RouteSessions.Path, nil)
	oldest := all[len(all)-1]
	if oldest.Ended != string(store.EndedByUser) || oldest.Duration != 0.001 || all[0].Ended != "" {
		t.Errorf("the oldest: %+v; the newest: %+v", oldest, all[0])
	}
}

func TestAuditQuestionsThatMakeNoSense(t *testing.T) {
	p := populated(t)
	dana := p.added("dana", "auditor")
	for _, query := range []string{
		"limit=0", "limit=-1", "limit=1001", "limit=x", "since=yesterday", "until=2026-13-01T00:00:00Z", "since=1", "before=-1", "before=x",
		"before=99999999999999999999", "user=u:", "user=u:zzz", "user=u:" + fmt.Sprintf("%026d", 0), "user=u%3A%0A",
	} {
		for _, path := range []string{api.RouteEntries.Path, api.RouteSessions.Path} {
			if e := p.refused(p.ask("GET", path+"?"+query, dana.token, nil), 400); e.Detail == "" {
				t.Errorf("%s?%s: %+v", path, query, e)
			}
		}
	}
	// A name that is mistyped must not look as if nothing had happened.
	for query, status := range map[string]int{
		"user=nobody": 404, "user=u": 404, "user=*": 404, "target=db9": 404, "target=0": 404, "user=carol&target=db9": 404,
		"type=no.such": 400, "type=x'--": 400, "type=certificate.issue": 400,
	} {
		if e := p.refused(p.ask("GET", api.RouteEntries.Path+"?"+query, dana.token, nil), status); e.Detail == "" {
			t.Errorf("%s: %+v", query, e)
		}
	}
}
