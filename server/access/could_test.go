package access_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// TestCould: each way to be let in or kept out is told in one sentence, with the
// entries that make it so.
func TestCould(t *testing.T) {
	c := found(t)
	carol, dana := c.employ("carol"), c.employ("dana", store.RoleApprover)
	db1 := c.target("db1", "root", "deploy", "www", "backup", "oracle", "admin")
	c.do(access.AddGroup{By: local, Name: "dba"})
	group := c.state.Next() - 1
	c.do(access.AddMember{By: local, Group: "dba", User: "carol"})
	member := c.state.Next() - 1
	c.do(access.AddMember{By: local, Group: "dba", User: "dana"})
	c.do(access.LabelTarget{By: local, Name: "db1", Labels: "env=prod"})
	labels := c.state.Next() - 1
	grant := func(g access.AddGrant) store.Index {
		g.By = local
		c.do(g)
		return c.state.Next() - 1
	}
	wide := grant(access.AddGrant{Group: "dba", Targets: "env=prod", Logins: []string{"root"}, For: "shell; direct", Until: c.at() + 60_000})
	touch := grant(access.AddGrant{User: "carol", Target: "db1", Logins: []string{"deploy"}, Conditions: store.Conditions{Passkey: 15}})
	grant(access.AddGrant{User: "carol", Target: "db1", Logins: []string{"www"}, From: c.at() + 1000})
	asks := grant(access.AddGrant{User: "carol", Target: "db1", Logins: []string{"backup"}, Conditions: store.Conditions{Reason: true, Approvals: 1}, Approvers: "dba"})
	grant(access.AddGrant{User: "carol", Target: "db1", Logins: []string{"oracle"}})
	c.do(access.AddGuardrail{By: local, Target: "db1", For: "direct"})
	direct := c.state.Next() - 1
	c.do(access.AddGuardrail{By: local, Group: "dba", Target: "db1", Logins: []string{"oracle"}})
	oracle := c.state.Next() - 1
	_ = group

	u, _ := c.state.User(carol.id)
	target, _ := c.state.Target(db1)
	for _, tc := range []struct {
		login    store.Login
		may      bool
		sentence string
		reasons  []access.Reason
	}{
		{"root", true, "yes: carol may log in as root on db1 for shell until 2026-11-02 12:01 UTC, by grant " + fmt.Sprint(wide) + " and within guardrail " + fmt.Sprint(direct),
			[]access.Reason{{wide, "grant"}, {member, "member"}, {labels, "labels"}, {direct, "guardrail"}}},
		{"deploy", true, "yes: carol may log in as deploy on db1 for shell; exec; no-tty; sftp=read-write, with a touch of a passkey that is at most 15 minutes old, by grant " +
			fmt.Sprint(touch) + " and within guardrail " + fmt.Sprint(direct), []access.Reason{{touch, "grant"}, {direct, "guardrail"}}},
		{"www", false, "no: carol may log in as www on db1 from 2026-11-02 12:00 UTC on", []access.Reason{{direct, "guardrail"}}},
		{"backup", false, "no: carol may log in as backup on db1 once that was requested with a reason and one person approved it",
			[]access.Reason{{direct, "guardrail"}, {asks, "request"}}},
		{"oracle", false, "no: oracle on db1 is forbidden to carol by guardrail " + fmt.Sprint(oracle), nil},
		{"admin", false, "no: carol may reach db1, but not as admin", []access.Reason{{direct, "guardrail"}}},
	} {
		could := c.state.Could(u, target, tc.login, c.at())
		if got := c.state.Sentence(could); could.May() != tc.may || got != tc.sentence {
			t.Errorf("%s: %v\n got %q\nwant %q", tc.login, could.May(), got, tc.sentence)
		}
		if got := c.state.Reasons(could); tc.reasons != nil && !cmp.Equal(got, tc.reasons) {
			t.Errorf("%s: %s", tc.login, cmp.Diff(tc.reasons, got))
		}
	}
	var approvers []store.Handle
	for a := range c.state.Approvers(c.state.Could(u, target, "backup", c.at())) {
		approvers = append(approvers, a.Handle)
	}
	if !slices.Equal(approvers, []store.Handle{dana.handle}) {
		t.Errorf("approvers %v", approvers)
	}
	c.do(access.AddLock{By: local, What: access.Lockable{User: dana.handle}, Why: "on leave", Salt: c.random()})
	short := "no: carol may log in as backup on db1 once that was requested with a reason and one person approved it; group dba has nobody who may approve it"
	if got := c.state.Sentence(c.state.Could(u, target, "backup", c.at())); got != short {
		t.Errorf("with nobody to approve:\n got %q\nwant %q", got, short)
	}
	c.do(access.AddLock{By: local, What: access.Lockable{User: "carol"}, Why: "a stolen laptop", Salt: c.random()})
	lock := c.state.Next() - 1
	could := c.state.Could(u, target, "root", c.at())
	if got := c.state.Sentence(could); could.May() || got != "no: carol is locked since 2026-11-02 12:00:00 UTC" {
		t.Errorf("locked: %v, %q", could.May(), got)
	}
	if all := c.state.Reasons(could); all[len(all)-1] != (access.Reason{Entry: lock, Role: "lock"}) {
		t.Errorf("reasons %v", all)
	}
}

// TestGuardrailsAddUp: what one guardrail forbids in part, another may forbid whole,
// whichever came first.
func TestGuardrailsAddUp(t *testing.T) {
	for _, order := range [][]string{{"sftp=read-write", "sftp"}, {"sftp", "sftp=read-write"}} {
		c := found(t)
		p := c.employ("carol")
		c.target("db1", "root")
		c.grant(p, "db1", 0, 0, "root")
		session := c.session(p, "db1", "root")
		for _, forbidden := range order {
			c.do(access.AddGuardrail{By: local, Target: "db1", For: forbidden})
		}
		if purposes, _ := c.state.SessionStanding(session, c.at()); purposes.String() != "shell; exec; no-tty" {
			t.Errorf("after %v: %s", order, purposes)
		}
	}
}
