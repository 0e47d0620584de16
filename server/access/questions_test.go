package access_test

import (
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// The hard questions of docs/access.md, each answered by what happens.

// TestOverlap: two grants are one that allows what either does; a session ends with
// the last of them, and a limit of one takes nothing from the other.
func TestOverlap(t *testing.T) {
	c := found(t)
	p := c.employ("carol")
	c.target("db1", "root")
	c.do(access.AddGrant{By: local, User: "carol", Target: "db1", Logins: []string{"root"}, For: "shell; exec=uptime", Until: c.at() + 60_000, Conditions: store.Conditions{Longest: 60}})
	first := c.state.Next() - 1
	c.do(access.AddGrant{By: local, User: "carol", Targets: "*", Logins: []string{"root"}, For: "exec=df -h; sftp=read-only", Until: c.at() + 3*3_600_000, Conditions: store.Conditions{Longest: 120}})
	session := c.session(p, "db1", "root")
	allows := func(want string) {
		t.Helper()
		if purposes, _ := c.state.SessionStanding(session, c.at()); purposes.String() != want {
			t.Errorf("allows %q, want %q", purposes, want)
		}
	}
	allows("shell; exec=df -h; exec=uptime; sftp=read-only")
	c.wait(time.Minute)
	allows("exec=df -h; sftp=read-only")
	c.do(access.RemoveGrant{By: local, Grant: first})
	allows("exec=df -h; sftp=read-only")
	c.wait(119*time.Minute - time.Millisecond)
	allows("exec=df -h; sftp=read-only")
	c.wait(time.Millisecond)
	if reason, ends := c.state.SessionEnds(session, c.at()); !ends || reason != store.EndedByLength {
		t.Errorf("after the longest session of either: %v, %q", ends, reason)
	}
}

// TestWindowCloses: a session ends when its hours do, to the second, and with the
// reason; before them nothing starts, and the sentence says when it will.
func TestWindowCloses(t *testing.T) {
	c := found(t) // Monday, 12:00 UTC, which is 13:00 in Berlin
	p := c.employ("carol")
	c.target("db1", "root")
	c.do(access.AddGrant{By: local, User: "carol", Target: "db1", Logins: []string{"root"}, Hours: "Mon-Fri 08:00-18:00 Europe/Berlin"})
	session := c.session(p, "db1", "root")
	closing := c.at() + 5*3_600_000
	if _, changes := c.state.SessionStanding(session, c.at()); changes != closing {
		t.Errorf("changes at %d, want %d", changes, closing)
	}
	if _, ends := c.state.SessionEnds(session, closing-1); ends {
		t.Error("ends a millisecond early")
	}
	if reason, ends := c.state.SessionEnds(session, closing); !ends || reason != store.EndedByHours {
		t.Errorf("at the end of its hours: %v, %q", ends, reason)
	}
	c.wait(5 * time.Hour)
	c.signIn(&p)
	if r := c.refused(c.start(p, "db1", "root")); r.Reason != store.RefusedHours || r.Message != "carol may log in as root on db1 Mon-Fri 08:00-18:00 Europe/Berlin" {
		t.Errorf("%+v", r)
	}
}

// TestLabelChanges: a session that stands on a label ends when the label goes, and
// one that a guardrail hits by a new label too.
func TestLabelChanges(t *testing.T) {
	c := found(t)
	p := c.employ("carol")
	c.target("db1", "root", "deploy")
	c.do(access.LabelTarget{By: local, Name: "db1", Labels: "env=dev"})
	c.do(access.AddGrant{By: local, User: "carol", Targets: "env=dev", Logins: []string{"root"}})
	c.do(access.AddGrant{By: local, User: "carol", Target: "db1", Logins: []string{"deploy"}})
	c.do(access.AddGuardrail{By: local, Targets: "env=prod", For: "exec; shell; no-tty; sftp"})
	byLabel, byName := c.session(p, "db1", "root"), c.session(p, "db1", "deploy")
	c.do(access.LabelTarget{By: local, Name: "db1", Labels: "env=prod"})
	if reason, ends := c.state.SessionEnds(byLabel, c.at()); !ends || reason != store.EndedByGrant {
		t.Errorf("by label: %v, %q", ends, reason)
	}
	if reason, ends := c.state.SessionEnds(byName, c.at()); !ends || reason != store.EndedByGuardrail {
		t.Errorf("under a guardrail: %v, %q", ends, reason)
	}
	c.do(access.LabelTarget{By: local, Name: "db1"})
	if _, ends := c.state.SessionEnds(byName, c.at()); ends {
		t.Error("the guardrail still counts without its label")
	}
}

// TestRenamedGroup: it stays the group that it was, for its grants and its sessions;
// a new group of the old name has nothing of it.
func TestRenamedGroup(t *testing.T) {
	c := found(t)
	p, other := c.employ("carol"), c.employ("dave")
	c.target("db1", "root")
	c.do(access.AddGroup{By: local, Name: "dba"})
	c.do(access.AddMember{By: local, Group: "dba", User: "carol"})
	c.do(access.AddGrant{By: local, Group: "dba", Target: "db1", Logins: []string{"root"}})
	session := c.session(p, "db1", "root")
	c.do(access.RenameGroup{By: local, Group: "dba", Name: "databases"})
	c.do(access.AddGroup{By: local, Name: "dba"})
	c.do(access.AddMember{By: local, Group: "dba", User: "dave"})
	if _, ends := c.state.SessionEnds(session, c.at()); ends {
		t.Error("the session ends with the name")
	}
	c.do(c.start(p, "db1", "root"))
	if r := c.refused(c.start(other, "db1", "root")); r.Reason != store.RefusedNoGrant {
		t.Errorf("the new group of the old name: %+v", r)
	}
	if r := c.refused(access.RemoveGroup{By: local, Name: "databases"}); r.Kind != access.Conflict {
		t.Errorf("a group that grants stand on is removed: %+v", r)
	}
}

// TestSelfWidening: what an administrator can't do by a grant, they can't do by a
// label, by the end of a guardrail, or by leaving a group: each waits for another
// one, who can do it at once.
func TestSelfWidening(t *testing.T) {
	c := found(t)
	bob, eve := c.employ("bob", store.RoleAdministrator), c.employ("eve", store.RoleAdministrator)
	c.target("db1", "root")
	c.target("web1", "root")
	c.do(access.AddGroup{By: local, Name: "contractors"})
	c.do(access.AddMember{By: local, Group: "contractors", User: "bob"})
	c.do(access.AddGrant{By: local, User: "bob", Targets: "env=dev", Logins: []string{"root"}})
	c.do(access.AddGrant{By: local, User: "bob", Target: "web1", Logins: []string{"root"}})
	c.do(access.AddGuardrail{By: local, Group: "contractors", Target: "web1"})
	guardrail := c.state.Next() - 1
	for name, cmd := range map[string]func(access.Caller) access.Command{
		"label": func(by access.Caller) access.Command {
			return access.LabelTarget{By: by, Name: "db1", Labels: "env=dev"}
		},
		"guardrail": func(by access.Caller) access.Command { return access.RemoveGrant{By: by, Grant: guardrail} },
		"group": func(by access.Caller) access.Command {
			return access.RemoveMember{By: by, Group: "contractors", User: "bob"}
		},
	} {
		if d, _, err := access.Decide(c.state, cmd(bob.caller()), c.now); err != nil || d.Events[0].EventType() != store.TypeChangeProposed {
			t.Errorf("%s: %+v, %v", name, d.Events, err)
		}
		if _, _, err := access.Decide(c.state, cmd(eve.caller()), c.now); err != nil {
			t.Errorf("%s, by another: %v", name, err)
		}
	}
	// What widens nothing is theirs to do.
	c.do(access.LabelTarget{By: bob.caller(), Name: "db1", Labels: "env=prod"})
	c.do(access.LabelTarget{By: bob.caller(), Name: "web1", Labels: "role=web"})
}

// TestRenamedTarget: it is the same target under another name: grants and sessions
// stay, certificates are for the new name, and the old one is nobody's before the
// host was seen to answer to the new one and no certificate for the old one lives.
func TestRenamedTarget(t *testing.T) {
	c := found(t)
	p := c.employ("carol")
	entry := c.target("db1", "root")
	c.do(access.AddGrant{By: local, User: "carol", Target: "db1", Logins: []string{"root"}, For: everything})
	session := c.session(p, "db1", "root")
	c.do(c.direct(p, "db1", "root"))
	c.do(c.rename("db1", "db2"))
	if _, ends := c.state.SessionEnds(session, c.at()); ends {
		t.Error("the session ends")
	}
	if t2, ok := c.state.TargetByName("db2"); !ok || t2.Entry != entry {
		t.Errorf("%+v, %v", t2, ok)
	}
	if r := c.refused(c.start(p, "db1", "root")); r.Message != "there is no target db1 that carol may reach" {
		t.Errorf("under the old name: %+v", r)
	}
	cert := sign(t, c, c.do(access.IssueTargetCertificate{Session: session, Key: keys().subject, Nonce: c.random()}))
	direct := sign(t, c, c.do(c.direct(p, "db2", "root")))
	if cert.ValidPrincipals[0] != "root@db2" || direct.ValidPrincipals[0] != "root@db2" {
		t.Errorf("certificates for %v and %v", cert.ValidPrincipals, direct.ValidPrincipals)
	}
	if r := c.refused(c.another("db1")); r.Kind != access.Conflict {
		t.Errorf("before the host was seen: %+v", r)
	}
	c.look("db2")
	if r := c.refused(c.another("db1")); r.Kind != access.Conflict || r.Hint != "try again then" {
		t.Errorf("while a certificate lives: %+v", r)
	}
	c.wait(5 * time.Minute)
	c.do(c.another("db1"))
	c.signIn(&p)
	if r := c.refused(c.start(p, "db1", "root")); r.Message != "there is no target db1 that carol may reach" {
		t.Errorf("the new db1: %+v", r)
	}
	c.do(c.start(p, "db2", "root"))
}
