package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/api"
)

func TestAdminGroup(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	s.set(api.RouteGroupAdd, api.Group{ID: 9, Name: "dba"})
	s.set(api.RouteGroups, []api.Group{{ID: 9, Name: "dba", Members: []string{"carol", "dave\x1b[31m"}}, {ID: 10, Name: "ops"}})
	m.run("admin", "group", "add", "dba").want(t, exitOK, "added group dba", "vaultpam admin group add-member dba HANDLE")
	m.run("admin", "group", "add-member", "dba", "carol", "dave").want(t, exitOK, "carol belongs to group dba now", "dave belongs to group dba now")
	if got := s.body(api.RouteMemberAdd); !strings.HasPrefix(got, "/v1/admin/groups/dba/members ") || !strings.Contains(got, `{"handle":"dave"}`) {
		t.Errorf("asked %s", got)
	}
	m.run("admin", "group", "rm-member", "dba", "dave").want(t, exitOK, "dave belongs to group dba no more")
	if got := s.body(api.RouteMemberRemove); !strings.HasPrefix(got, "/v1/admin/groups/dba/members/dave ") {
		t.Errorf("asked %s", got)
	}
	m.run("admin", "group", "rename", "dba", "databases").want(t, exitOK, "group dba is called databases now")
	if got := s.body(api.RouteGroupRename); !strings.HasPrefix(got, "/v1/admin/groups/dba ") || !strings.Contains(got, `{"name":"databases"}`) {
		t.Errorf("asked %s", got)
	}
	m.run("admin", "group", "rm", "dba").want(t, exitOK, "removed group dba")
	r := m.run("admin", "group", "ls")
	r.want(t, exitOK)
	if diff := cmp.Diff("name  members\ndba   carol,dave\\x1b[31m\nops   -\n", r.out); diff != "" {
		t.Error(diff)
	}
	for _, bad := range [][]string{
		{"add", "Dba"}, {"add"}, {"add-member", "dba"}, {"add-member", "dba", "-x"}, {"add-member", "dba", "a,b"}, {"rename", "dba", "a b"}, {"rm", "dba", "ops"},
	} {
		m.run(append([]string{"admin", "group"}, bad...)...).want(t, exitUsage)
	}
}
