package access_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

func TestStartSession(t *testing.T) {
	c := found(t)
	p := c.employ("carol")
	target := c.target("db1", "root")
	grant := c.grant(p, "db1", 0, c.at()+60_000, "root")
	cmd := c.start(p, "db1", "root")
	d := c.do(cmd)
	e := last[*store.SessionStarted](c)
	want := &store.SessionStarted{
		Session: cmd.Session, User: p.id, Target: target, Login: "root", Certificate: cmd.Certificate, Grant: grant,
		Way: store.WayProxy, Source: e.Source, Ends: c.at() + 60_000,
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	if len(d.Openings) != 1 || !d.Openings[0].Opens(e.Source) || d.Openings[0].Text != "192.0.2.7" {
		t.Errorf("openings %+v", d.Openings)
	}
	x, ok := c.state.Session(cmd.Session)
	if !ok || x.Started != c.at() || x.Parent != cmd.Certificate {
		t.Errorf("session %+v, %v", x, ok)
	}
	c.do(access.EndSession{Session: cmd.Session, Reason: store.EndedByUser, Duration: 1234, In: 5, Out: 6})
	ended := &store.SessionEnded{
		Session: cmd.Session, User: p.id, Target: target, Started: x.Entry, Reason: store.EndedByUser, Duration: 1234, In: 5, Out: 6,
	}
	if diff := cmp.Diff(ended, last[*store.SessionEnded](c)); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	for x := range c.state.Sessions() {
		t.Errorf("session %s is still open", x.ID)
	}
	if reason, ends := c.state.SessionEnds(cmd.Session, c.at()); !ends || reason != store.EndedInterrupted {
		t.Errorf("a session that is over ends: %v, %q", ends, reason)
	}
}

// TestSessionIDs: a session's ID names one session, and is not zero.
func TestSessionIDs(t *testing.T) {
	c := found(t)
	p := c.employ("carol")
	c.target("db1", "root")
	c.grant(p, "db1", 0, 0, "root")
	for name, id := range map[string]store.SessionID{"zero": {}, "in use": c.session(p, "db1", "root")} {
		cmd := c.start(p, "db1", "root")
		cmd.Session = id
		size := c.state.Next()
		if r := c.refused(cmd); r.Kind == access.Forbidden || c.state.Next() != size {
			t.Errorf("%s: %+v, %d entries more", name, r, c.state.Next()-size)
		}
	}
}

// TestOverlappingGrants: the grant that lasts longest carries a session, and a
// session stands or falls with the one that carried it.
func TestOverlappingGrants(t *testing.T) {
	for _, untils := range [][]store.Millis{{0, 5000, 9000}, {9000, 0, 5000}, {5000, 9000, 0}, {5000, 9000}, {9000, 5000}} {
		t.Run(fmt.Sprint(untils), func(t *testing.T) {
			c := found(t)
			p := c.employ("carol")
			c.target("db1", "root")
			var longest store.Index
			want := store.Millis(9000)
			for _, until := range untils {
				if until == 0 {
					want = 0
				}
			}
			for _, until := range untils {
				end := until
				if until != 0 {
					end += c.at()
				}
				if g := c.grant(p, "db1", 0, end, "root"); until == want {
					longest = g
				}
			}
			id := c.session(p, "db1", "root")
			if x, _ := c.state.Session(id); x.Grant != longest {
				t.Fatalf("grant %d, want %d", x.Grant, longest)
			}
			for g := range c.state.GrantsOf(p.id) {
				if g.Entry != longest {
					c.do(access.RemoveGrant{By: local, Grant: g.Entry})
				}
			}
			if _, ends := c.state.SessionEnds(id, c.at()); ends {
				t.Error("the session ends with another's grant")
			}
			c.do(access.RemoveGrant{By: local, Grant: longest})
			if reason, ends := c.state.SessionEnds(id, c.at()); !ends || reason != store.EndedByGrant {
				t.Errorf("session ends: %v, %q", ends, reason)
			}
		})
	}
}

// TestS37SessionEnds: at the moment at which its grant ends, a session must, and
// a target certificate is not to be had any more.
func TestS37SessionEnds(t *testing.T) {
	c := found(t)
	p := c.employ("carol")
	c.target("db1", "root")
	c.grant(p, "db1", 0, c.at()+60_000, "root")
	id := c.session(p, "db1", "root")
	issue := access.IssueTargetCertificate{Session: id, Key: keys().subject, Nonce: c.random()}
	c.wait(time.Minute - time.Millisecond)
	if _, ends := c.state.SessionEnds(id, c.at()); ends {
		t.Error("ends a millisecond early")
	}
	c.do(issue)
	c.wait(time.Millisecond)
	if _, ends := c.state.SessionEnds(id, c.at()); !ends {
		t.Error("goes on after its grant")
	}
	c.refused(issue)
	// The end of the sign-in stops new sessions and leaves those that run.
	c.grant(p, "db1", 0, 0, "root")
	id = c.session(p, "db1", "root")
	c.do(access.SignOut{By: p.caller()})
	if reason, ends := c.state.SessionEnds(id, c.at()); ends {
		t.Errorf("the session ends with the sign-in: %s", reason)
	}
	c.refused(c.start(p, "db1", "root"))
}

// TestUnknownNamesAreNotKept: what somebody typed that names nothing reaches no
// entry, and a target is not told from a name that nobody has.
func TestUnknownNamesAreNotKept(t *testing.T) {
	const canary = "canary-password-typed-as-host"
	c := found(t)
	p := c.employ("carol")
	c.target("db1", "root")
	known, unknown := c.refused(c.start(p, "db1", canary)), c.refused(c.start(p, canary, canary))
	if got := strings.ReplaceAll(unknown.Message, canary, "db1"); got != known.Message || unknown.Hint != known.Hint || unknown.Kind != known.Kind {
		t.Errorf("a target that is there: %q, %q\none that isn't: %q, %q", known.Message, known.Hint, unknown.Message, unknown.Hint)
	}
	c.refused(access.StartSession{User: c.userID(), Target: canary, Login: canary})
	if got := len(c.entries); last[*store.SessionRefused](c).Reason != store.RefusedNoTarget || got == 0 {
		t.Errorf("last entry %+v", c.entries[got-1].Event)
	}
	for _, e := range c.entries {
		data, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), "canary") {
			t.Errorf("entry %d holds what was typed: %q", e.Index, data)
		}
	}
	for _, text := range c.texts {
		if strings.Contains(text, "canary") {
			t.Errorf("the side table would hold %q", text)
		}
	}
	if strings.Contains(string(snapshot(t, c.state)), "canary") {
		t.Error("the state holds what was typed")
	}
}

// TestRefusalsAreCapped: repetitions of a refusal within a minute are one entry.
func TestRefusalsAreCapped(t *testing.T) {
	c := found(t)
	p, other := c.employ("carol"), c.employ("bob")
	c.target("db1", "root", "deploy")
	c.target("db2", "root")
	refuse := func(p person, target store.TargetName, login store.Login, entries int) {
		t.Helper()
		size := c.state.Next()
		c.refused(c.start(p, target, login))
		if got := int(c.state.Next() - size); got != entries {
			t.Errorf("%s as %s on %s: %d entries, want %d", p.handle, login, target, got, entries)
		}
	}
	refuse(p, "db1", "root", 1)
	for range 100 {
		refuse(p, "db1", "root", 0)
	}
	refuse(p, "db1", "deploy", 1)
	refuse(p, "db2", "root", 1)
	refuse(other, "db1", "root", 1)
	refuse(p, "nothing", "root", 1)
	refuse(p, "nothing-else", "root", 0) // as far as entries go, the same
	c.wait(time.Minute - time.Millisecond)
	refuse(p, "db1", "root", 0)
	c.wait(time.Millisecond)
	refuse(p, "db1", "root", 1)
	size := len(snapshot(t, c.state))
	for range 10 {
		c.wait(time.Minute)
		refuse(p, "db1", "root", 1)
	}
	if grown := len(snapshot(t, c.state)) - size; grown > 4 {
		t.Errorf("refusals of long ago make the state %d bytes larger", grown)
	}
	forged := access.RefuseSession{User: p.id, Reason: store.RefusedForgery}
	c.refused(forged)
	if e := last[*store.SessionRefused](c); e.User != p.id || e.Reason != store.RefusedForgery || e.Target != 0 {
		t.Errorf("event %+v", e)
	}
	before := c.state.Next()
	c.refused(forged)
	c.refused(access.RefuseSession{User: c.userID(), Reason: store.RefusedForgery})
	if c.state.Next() != before {
		t.Error("another entry for the same forgery, or for nobody's")
	}
}

// TestRefusalTellsTheTruth: where several grants don't help, the sentence is
// about the one that helps soonest or helped last.
func TestRefusalTellsTheTruth(t *testing.T) {
	at := func(minutes int) store.Millis { return store.At(noon.Add(time.Duration(minutes) * time.Minute)) }
	for _, tc := range []struct {
		name   string
		grants func(*company, person)
		reason store.Refusal
		want   string
	}{
		{"several to come", func(c *company, p person) {
			c.grant(p, "db1", at(120), 0, "root")
			c.grant(p, "db1", at(60), 0, "root")
			c.grant(p, "db1", at(90), 0, "root")
		}, store.RefusedNotYet, "carol may log in as root on db1 from 2026-11-02 13:00 UTC on"},
		{"several that ended", func(c *company, p person) {
			c.grant(p, "db1", 0, at(1), "root")
			c.grant(p, "db1", 0, at(3), "root")
			c.grant(p, "db1", 0, at(2), "root")
			c.wait(10 * time.Minute)
		}, store.RefusedEnded, "carol's grant for root on db1 ended at 2026-11-02 12:03 UTC"},
		{"another login's, ended", func(c *company, p person) {
			c.grant(p, "db1", 0, at(1), "deploy")
			c.wait(10 * time.Minute)
		}, store.RefusedNoGrant, "there is no target db1 that carol may reach"},
		{"another login's, to come", func(c *company, p person) {
			c.grant(p, "db1", at(1), 0, "deploy")
		}, store.RefusedNoGrant, "there is no target db1 that carol may reach"},
		{"another login's, now", func(c *company, p person) {
			c.grant(p, "db1", 0, 0, "deploy")
		}, store.RefusedLogin, "carol may reach db1, but not as root"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := found(t)
			p := c.employ("carol")
			c.target("db1", "root", "deploy")
			tc.grants(c, p)
			if r := c.refused(c.start(p, "db1", "root")); r.Reason != tc.reason || r.Message != tc.want {
				t.Errorf("%s, %q\nwant %s, %q", r.Reason, r.Message, tc.reason, tc.want)
			}
		})
	}
}

// TestSessionWithManyChannels: a session's end is always an entry, however many
// files its user has made of the recording.
func TestSessionWithManyChannels(t *testing.T) {
	for _, n := range []int{0, 1, 500, 5000} {
		c := found(t)
		p := c.employ("carol")
		c.target("db1", "root")
		c.grant(p, "db1", 0, 0, "root")
		id := c.session(p, "db1", "root")
		files := []store.RecordingFile{{Name: "session.jsonl", Label: "metadata", SHA256: c.hash()}}
		for i := range n {
			files = append(files, store.RecordingFile{Name: fmt.Sprintf("%d.cast", i+1), Label: "replayable", Size: 1 << 40, SHA256: c.hash()})
		}
		c.do(access.EndSession{Session: id, Reason: store.EndedByUser, Files: files})
		e := last[*store.SessionEnded](c)
		if len(e.Files) == 0 || e.Files[0] != files[0] || n <= 1 && len(e.Files) != n+1 {
			t.Errorf("%d channels: %d files in the entry", n, len(e.Files))
		}
	}
}
