package access_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// group adds one with members.
func (c *company) group(name string, members ...person) store.Index {
	c.Helper()
	c.do(access.AddGroup{By: local, Name: name})
	entry := c.state.Next() - 1
	for _, p := range members {
		c.do(access.AddMember{By: local, Group: store.GroupName(name), User: p.handle})
	}
	return entry
}

func (c *company) groupsOf(p person) []string {
	names := []string{}
	for g := range c.state.GroupsOf(p.id) {
		names = append(names, string(g.Name))
	}
	return names
}

func (c *company) members(group store.Index) []string {
	handles := []string{}
	for u := range c.state.Members(group) {
		handles = append(handles, string(u.Handle))
	}
	slices.Sort(handles)
	return handles
}

func (c *company) wantGroups(p person, want ...string) {
	c.Helper()
	if diff := cmp.Diff(append([]string{}, want...), c.groupsOf(p)); diff != "" {
		c.Errorf("groups of %s (-want +got):\n%s", p.handle, diff)
	}
}

func TestGroupMembers(t *testing.T) {
	c := found(t)
	carol, dave := c.employ("carol"), c.employ("dave")
	dba, ops := c.group("dba", carol, dave), c.group("ops", carol)
	c.wantGroups(carol, "dba", "ops")
	c.wantGroups(dave, "dba")
	if diff := cmp.Diff([]string{"carol", "dave"}, c.members(dba)); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	since, in := c.state.Member(ops, carol.id)
	if _, added := c.entries[since].Event.(*store.MemberAdded); !in || !added {
		t.Errorf("carol belongs to ops: %v, since entry %d", in, since)
	}
	c.do(access.RemoveMember{By: local, Group: "dba", User: "carol"})
	c.wantGroups(carol, "ops")
	c.wantGroups(dave, "dba")
	if _, in := c.state.Member(dba, carol.id); in {
		t.Error("carol still belongs to dba")
	}
}

// TestRenameGroup: it is the same group under another name, and the old name is
// free.
func TestRenameGroup(t *testing.T) {
	c := found(t)
	carol := c.employ("carol")
	dba := c.group("dba", carol)
	c.do(access.RenameGroup{By: local, Group: "dba", Name: "databases"})
	c.wantGroups(carol, "databases")
	if g, ok := c.state.GroupByName("databases"); !ok || g.Entry != dba {
		t.Errorf("group %+v, %v", g, ok)
	}
	if _, ok := c.state.GroupByName("dba"); ok {
		t.Error("there is still a group of the old name")
	}
	if again := c.group("dba"); len(c.members(again)) != 0 {
		t.Error("a new group of the old name has members")
	}
	c.wantGroups(carol, "databases")
}

func TestRemoveGroup(t *testing.T) {
	c := found(t)
	carol := c.employ("carol")
	dba := c.group("dba", carol)
	c.group("ops", carol)
	c.do(access.RemoveGroup{By: local, Name: "dba"})
	c.wantGroups(carol, "ops")
	if _, ok := c.state.Group(dba); ok || len(c.members(dba)) != 0 {
		t.Error("the group is still there")
	}
	c.group("dba")
	c.wantGroups(carol, "ops")
}

// TestRemovedUserLeavesAllGroups, also where somebody of the same handle comes
// after.
func TestRemovedUserLeavesAllGroups(t *testing.T) {
	c := found(t)
	carol := c.employ("carol")
	dba := c.group("dba", carol)
	c.group("ops", carol)
	c.do(access.RemoveUser{By: local, Handle: "carol"})
	c.wantGroups(carol)
	if got := c.members(dba); len(got) != 0 {
		t.Errorf("members %v", got)
	}
	c.wantGroups(c.employ("carol"))
}

// TestAdministratorJoinsNoGroup by themselves, unless the company's setting says
// so: a group may hold grants.
func TestAdministratorJoinsNoGroup(t *testing.T) {
	c := found(t)
	ada, bob := c.employ("ada", store.RoleAdministrator), c.employ("bob", store.RoleAdministrator)
	dba := c.group("dba")
	c.proposes(access.AddMember{By: ada.caller(), Group: "dba", User: "ada"})
	c.wantGroups(ada)
	c.do(access.AddMember{By: bob.caller(), Group: "dba", User: "ada"})
	c.do(access.ChangeSetting{By: local, Setting: store.SettingSelfGrant, Value: store.SelfGrantAllowed})
	c.do(access.AddMember{By: bob.caller(), Group: "dba", User: "bob"})
	if diff := cmp.Diff([]string{"ada", "bob"}, c.members(dba)); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
}

func groupRefusals() []refusalCase {
	fixed := func(cmd access.Command) func(*company) access.Command {
		return func(c *company) access.Command {
			c.group("dba", c.employ("carol"))
			return cmd
		}
	}
	byCarol := func(cmd func(access.Caller) access.Command) func(*company) access.Command {
		return func(c *company) access.Command {
			p := c.employ("carol")
			c.group("dba")
			return cmd(p.caller())
		}
	}
	return []refusalCase{
		{"group of a bad name", access.Invalid, fixed(access.AddGroup{By: local, Name: "Dba"})},
		{"group that is there", access.Conflict, fixed(access.AddGroup{By: local, Name: "dba"})},
		{"group by an engineer", access.Forbidden, byCarol(func(by access.Caller) access.Command { return access.AddGroup{By: by, Name: "ops"} })},
		{"rename to itself", access.Conflict, fixed(access.RenameGroup{By: local, Group: "dba", Name: "dba"})},
		{"rename to a bad name", access.Invalid, fixed(access.RenameGroup{By: local, Group: "dba", Name: "a b"})},
		{"rename nothing", access.NotFound, fixed(access.RenameGroup{By: local, Group: "ops", Name: "dba"})},
		{"rename by an engineer", access.Forbidden, byCarol(func(by access.Caller) access.Command {
			return access.RenameGroup{By: by, Group: "dba", Name: "ops"}
		})},
		{"remove no group", access.NotFound, fixed(access.RemoveGroup{By: local, Name: "ops"})},
		{"remove a group by an engineer", access.Forbidden, byCarol(func(by access.Caller) access.Command {
			return access.RemoveGroup{By: by, Name: "dba"}
		})},
		{"member twice", access.Conflict, fixed(access.AddMember{By: local, Group: "dba", User: "carol"})},
		{"member of nothing", access.NotFound, fixed(access.AddMember{By: local, Group: "ops", User: "carol"})},
		{"nobody as member", access.NotFound, fixed(access.AddMember{By: local, Group: "dba", User: "dave"})},
		{"member by an engineer", access.Forbidden, byCarol(func(by access.Caller) access.Command {
			return access.AddMember{By: by, Group: "dba", User: "carol"}
		})},
		{"oneself as member", access.Forbidden, func(c *company) access.Command {
			p := c.employ("ada", store.RoleAdministrator)
			c.group("dba")
			return access.AddMember{By: p.caller(), Group: "dba", User: "ada"}
		}},
		{"remove who is no member", access.Conflict, fixed(access.RemoveMember{By: local, Group: "dba", User: "alice"})},
		{"remove a member of nothing", access.NotFound, fixed(access.RemoveMember{By: local, Group: "ops", User: "carol"})},
		{"remove a member by an engineer", access.Forbidden, byCarol(func(by access.Caller) access.Command {
			return access.RemoveMember{By: by, Group: "dba", User: "carol"}
		})},
	}
}
