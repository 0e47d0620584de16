package access_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

func TestAddTarget(t *testing.T) {
	c := found(t)
	other := newKey().PublicKey()
	c.do(access.AddTarget{
		By: local, Name: "db1.prod", Address: "[2001:db8::5]:2222", HostKeys: []ssh.PublicKey{keys().subject, other},
		Logins: []string{"root", "deploy", "root"}, Egress: "2001:db8::1",
	})
	want := &store.TargetAdded{
		Name: "db1.prod", Address: "[2001:db8::5]:2222", HostKeys: [][]byte{keys().subject.Marshal(), other.Marshal()},
		Logins: []store.Login{"deploy", "root"}, Egress: "2001:db8::1",
	}
	if diff := cmp.Diff(want, last[*store.TargetAdded](c)); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	byName, ok := c.state.TargetByName("db1.prod")
	if !ok || byName.Entry != c.state.Next()-1 {
		t.Errorf("target %+v, %v", byName, ok)
	}
	byEntry, _ := c.state.Target(byName.Entry)
	if diff := cmp.Diff(byName, byEntry); diff != "" {
		t.Errorf("by name and by entry:\n%s", diff)
	}
}

// TestLargestTarget: the bounds on a target's parts fit an entry together.
func TestLargestTarget(t *testing.T) {
	c := found(t)
	logins := make([]string, 256)
	for i := range logins {
		logins[i] = string(rune('a'+i%26)) + string(rune('a'+i/26)) + string(slices.Repeat([]byte("x"), 62))
	}
	c.do(access.AddTarget{
		By: local, Name: string(slices.Repeat([]byte("a1."), 66)) + "a1", Address: string(slices.Repeat([]byte("a"), 300)),
		HostKeys: slices.Repeat([]ssh.PublicKey{largeKey(t)}, 16), Logins: logins, Egress: "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
	})
}

// TestRemoveTarget: with a target its grants go, and sessions on it end.
func TestRemoveTarget(t *testing.T) {
	c := found(t)
	p := c.employ("carol")
	c.target("db1", "root")
	c.target("db2", "root")
	c.grant(p, "db1", 0, 0, "root")
	c.grant(p, "db2", 0, 0, "root")
	session, other := c.session(p, "db1", "root"), c.session(p, "db2", "root")
	c.do(access.RemoveTarget{By: local, Name: "db1"})
	if reason, ends := c.state.SessionEnds(session, c.at()); !ends || reason != store.EndedByGrant {
		t.Errorf("session ends: %v, %q", ends, reason)
	}
	if _, ends := c.state.SessionEnds(other, c.at()); ends {
		t.Error("a session on another target ends too")
	}
	if r := c.refused(c.start(p, "db1", "root")); r.Reason != store.RefusedNoTarget {
		t.Errorf("refusal %+v", r)
	}
	// The name's next holder is another target: old grants don't reach it.
	c.target("db1", "root")
	if r := c.refused(c.start(p, "db1", "root")); r.Reason != store.RefusedNoGrant {
		t.Errorf("refusal %+v", r)
	}
	c.do(access.EndSession{Session: session, Reason: store.EndedByGrant})
}

func TestAddGrant(t *testing.T) {
	c := found(t)
	p := c.employ("carol")
	target := c.target("db1", "root", "deploy")
	from, until := c.at()+1000, c.at()+2000
	c.grant(p, "db1", from, until, "root", "deploy", "root")
	want := &store.GrantAdded{User: p.id, Target: target, Logins: []store.Login{"deploy", "root"}, From: from, Until: until}
	if diff := cmp.Diff(want, last[*store.GrantAdded](c)); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	grant := c.state.Next() - 1
	c.do(access.RemoveGrant{By: local, Grant: grant})
	if diff := cmp.Diff(&store.GrantRemoved{User: p.id, Target: target, Grant: grant}, last[*store.GrantRemoved](c)); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	c.refused(access.RemoveGrant{By: local, Grant: grant})
}

// TestSelfGrant: an administrator can't grant to themselves unless the setting
// says so: it waits for a second one, where there is one. The setting changes on
// the server's own machine alone.
func TestSelfGrant(t *testing.T) {
	c := found(t)
	bob := c.employ("bob", store.RoleAdministrator) // alice has not enrolled
	c.target("db1", "root")
	own := access.AddGrant{By: bob.caller(), User: "bob", Target: "db1", Logins: []string{"root"}}
	if r := c.refused(own); r.Kind != access.Forbidden {
		t.Errorf("refusal %+v", r)
	}
	c.refused(access.ChangeSetting{By: bob.caller(), Setting: store.SettingSelfGrant, Value: store.SelfGrantAllowed})
	c.refused(own)
	eve := c.employ("eve", store.RoleAdministrator)
	c.proposes(own)
	c.lock(access.Lockable{User: "eve"})
	own.Logins, own.Until = []string{"root"}, c.at()+60_000
	if r := c.refused(own); !strings.Contains(r.Hint, "second administrator") {
		t.Errorf("with a second administrator who is locked: %+v", r)
	}
	c.unlock(access.Lockable{User: "eve"})
	c.signIn(&eve)
	c.do(access.AddGrant{By: eve.caller(), User: "bob", Target: "db1", Logins: []string{"root"}})
	c.do(access.ChangeSetting{By: local, Setting: store.SettingSelfGrant, Value: store.SelfGrantAllowed})
	c.do(own)
	last[*store.GrantAdded](c)
	c.do(access.ChangeSetting{By: local, Setting: store.SettingSelfGrant, Value: store.SelfGrantRefused})
	c.proposes(own)
}

// TestReaches lists what a user may reach at a moment.
func TestReaches(t *testing.T) {
	c := found(t)
	p, other := c.employ("carol"), c.employ("bob")
	for _, name := range []string{"web1", "db1", "db2"} {
		c.target(name, "root", "deploy", "www")
	}
	c.grant(p, "web1", 0, 0, "www")
	c.grant(p, "web1", 0, c.at()+5000, "root", "www")
	c.grant(p, "web1", 0, c.at()+9000, "deploy")
	c.grant(p, "db1", c.at()+1000, 0, "root")
	c.grant(other, "db2", 0, 0, "root")
	type reach struct {
		Name   store.TargetName
		Logins []store.Login
		Until  store.Millis
	}
	for _, tc := range []struct {
		after time.Duration
		want  []reach
	}{
		{0, []reach{{"web1", []store.Login{"deploy", "root", "www"}, c.at() + 5000}}},
		{5 * time.Second, []reach{{"db1", []store.Login{"root"}, 0}, {"web1", []store.Login{"deploy", "www"}, c.at() + 9000}}},
		{9 * time.Second, []reach{{"db1", []store.Login{"root"}, 0}, {"web1", []store.Login{"www"}, 0}}},
	} {
		var got []reach
		for _, r := range c.state.Reaches(p.id, store.At(c.now.Add(tc.after))) {
			got = append(got, reach{r.Target.Name, r.Logins, r.Until})
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", tc.after, diff)
		}
	}
}
