package access_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// TestFreshFindings: what is to be said of a company that has just begun, and of one
// whose only administrator has enrolled.
func TestFreshFindings(t *testing.T) {
	c := found(t)
	fresh := []access.Finding{
		{Kind: "few-administrators", Severity: access.Medium, Sentence: "there is no administrator who could sign in", Entries: []store.Index{2}, Mend: "vaultpamd recover-admin HANDLE"},
		{Kind: "no-independent-auditor", Severity: access.Low, Sentence: "there is no auditor who could sign in, so nobody reads the recordings", Mend: "vaultpam admin user add HANDLE --role auditor"},
	}
	if diff := cmp.Diff(fresh, c.state.Findings(c.at())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	c.wait(90 * day)
	never := access.Finding{
		Kind: "idle-user", Severity: access.Medium, Sentence: "alice was added 90 days ago, and never signed in", Entries: []store.Index{2}, Mend: "vaultpam admin user rm alice",
	}
	if diff := cmp.Diff([]access.Finding{fresh[0], never, fresh[1]}, c.state.Findings(c.at())); diff != "" {
		t.Errorf("after 90 days (-want +got):\n%s", diff)
	}
	c.employ("ada", store.RoleAdministrator)
	u, _ := c.state.UserByHandle("ada")
	for _, f := range c.state.Findings(c.at()) {
		if f.Severity == access.High && (f.Kind != "administrator-without-passkey" || f.Whose != u.ID) || f.Kind == "few-administrators" && f.Sentence != "ada is the only administrator who could sign in" {
			t.Errorf("%+v", f)
		}
	}
}

// TestNotFound: what looks like a weak state and is none.
func TestNotFound(t *testing.T) {
	root := func(c *sound, change func(*access.AddGrant)) {
		c.engineer("carol")
		g := access.AddGrant{By: local, User: "carol", Target: "db1", Logins: []string{"root"}, For: "shell; direct"}
		change(&g)
		c.do(g)
	}
	for name, tc := range map[string]struct {
		kind access.FindingKind
		make func(*sound)
	}{
		"root until a day": {"root-without-conditions", func(c *sound) { root(c, func(g *access.AddGrant) { g.Until = c.at() + 1000 }) }},
		"root at hours":    {"root-without-conditions", func(c *sound) { root(c, func(g *access.AddGrant) { g.Hours = "Mon-Fri 08:00-18:00 UTC" }) }},
		"root on request":  {"root-without-conditions", func(c *sound) { root(c, func(g *access.AddGrant) { g.Conditions.Reason = true }) }},
		"a grant that ended": {"past-the-relay", func(c *sound) {
			root(c, func(g *access.AddGrant) { g.Until = c.at() + 1000 })
			c.wait(time.Second)
		}},
		"direct that is forbidden": {"past-the-relay", func(c *sound) {
			root(c, func(*access.AddGrant) {})
			c.do(access.AddGuardrail{By: local, Targets: "*", For: "direct"})
		}},
		"a grant that was used": {"unused-grant", func(c *sound) {
			root(c, func(*access.AddGrant) {})
			u, _ := c.state.UserByHandle("carol")
			carol := person{id: u.ID, step: 1000}
			c.busyFor(60*day, &carol)
			c.do(c.start(carol, "db1", "root"))
			c.busyFor(60*day, &carol)
		}},
		"a grant of somebody who is idle": {"unused-grant", func(c *sound) {
			root(c, func(*access.AddGrant) {})
			c.busyFor(91 * day)
		}},
		"an account that is locked": {"idle-user", func(c *sound) {
			c.engineer("carol")
			c.lock(access.Lockable{User: "carol"})
			c.busyFor(91 * day)
		}},
		"a bot without a passkey": {"user-without-passkey", func(c *sound) { c.bot("ci") }},
		"who is invited": {"user-without-passkey", func(c *sound) {
			c.do(access.AddUser{By: local, ID: c.userID(), Handle: "eve", Salt: c.random(), Invite: access.Invite{Token: c.hash()}})
		}},
		"a lock of a certificate": {"long-lock", func(c *sound) {
			c.lockSerial(c.certificate(c.ada))
			c.busyFor(31 * day)
		}},
		"a guardrail for later": {"idle-guardrail", func(c *sound) {
			c.do(access.AddGuardrail{By: local, Target: "db1", From: c.at() + 1000})
		}},
		"a recovery that ran out": {"recovery-under-way", func(c *sound) {
			c.engineer("carol")
			c.do(c.recover("carol"))
			c.wait(pause + access.RecoveryLife)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newSound(t)
			c.target("db1", "root", "deploy")
			tc.make(c)
			if all := c.of(tc.kind); len(all) > 0 {
				t.Errorf("%+v", all)
			}
		})
	}
}

// TestFindingWorlds: in any company, what was found at a moment is what its entries
// until then give later, also by way of a snapshot; and what a grant says of who gave
// it and when it was used is what the entries say.
func TestFindingWorlds(t *testing.T) {
	base := found(t)
	people := []person{base.employ("bob"), base.employ("carol")}
	var leads []approver
	for _, name := range []string{"erin", "frank"} {
		p := base.employ(name, store.RoleApprover)
		leads = append(leads, approver{p, base.passkeyOf(p)})
	}
	for _, name := range []string{"db1", "web1"} {
		base.target(name, "root", "deploy")
	}
	for _, group := range []string{"dba", "ops", "leads"} {
		base.do(access.AddGroup{By: local, Name: group})
	}
	var board []approver
	for _, name := range []string{"gina", "hugo"} {
		p := base.employ(name, store.RoleAdministrator)
		board = append(board, approver{p, base.passkeyOf(p)})
	}
	told := 0
	check(t, rounds(200, 10_000), func(t *rapid.T) {
		w := grantWorld(t, base)
		w.directs = map[bool]int{}
		type moment struct {
			size  int
			at    store.Millis
			found []access.Finding
		}
		var then []moment
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			w.grantStep(people, leads, board)
			w.wait(one(w, "later", 0, time.Minute, 31*day, 91*day))
			then = append(then, moment{len(w.entries), w.at(), w.state.Findings(w.at())})
		}
		s, n := access.New(), 0
		for _, m := range then {
			for ; n < m.size; n++ {
				var err error
				if s, err = access.Apply(s, w.entries[n], w.text); err != nil {
					t.Fatal(err)
				}
			}
			opened, err := access.OpenSnapshot(snapshot(t, s), w.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(m.found, opened.Findings(m.at)); diff != "" {
				t.Fatalf("after %d entries (-then +later):\n%s", m.size, diff)
			}
			told += len(m.found)
		}
		w.lookAtGrants()
	})
	if told == 0 {
		t.Error("nothing was ever found: the worlds are not what they should be")
	}
}

// lookAtGrants compares what grants say of their past with the entries.
func (w *world) lookAtGrants() {
	w.Helper()
	used, base := map[store.Index]store.Millis{}, map[store.Index]store.Index{}
	for _, e := range w.entries {
		switch v := e.Event.(type) {
		case *store.GrantAdded:
			base[e.Index] = v.Base
		case *store.SessionStarted:
			for _, grant := range append([]store.Index{v.Grant}, v.Also...) {
				used[grant], used[base[grant]] = e.Time, e.Time
			}
		case *store.CertificateIssued:
			used[v.Grant], used[base[v.Grant]] = e.Time, e.Time
		}
	}
	for g := range w.state.Grants() {
		e, by := w.entries[g.Entry], w.entries[g.Entry].Actor.User
		if r, ok := w.entries[g.Entry-1].Event.(*store.RequestApproved); ok {
			if _, proposal := w.entries[r.Request].Event.(*store.ChangeProposed); proposal {
				by = store.UserID{}
			}
		}
		if g.Added != e.Time || g.By != by || g.Last.Time != used[g.Entry] {
			w.Fatalf("grant %+v, used at %d, of the entry %+v", g, used[g.Entry], e)
		}
	}
}
