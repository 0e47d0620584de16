package access_test

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// Several steps are entries together, each decided after the one before it.
func TestChangeAccess(t *testing.T) {
	c := found(t)
	ada, bob := c.employ("ada", store.RoleAdministrator), c.employ("bob", store.RoleEngineer)
	db1 := c.target("db1", "root")
	by := ada.caller()
	d := c.do(access.ChangeAccess{By: by, Steps: []access.Command{
		access.AddGroup{By: by, Name: "ops"},
		access.AddGuardrail{By: by, Group: "ops", Targets: "*", For: "direct"},
		access.LabelTarget{By: by, Name: "db1", Labels: "env=prod"},
		access.AddMember{By: by, Group: "ops", User: "bob"},
		access.AddGrant{By: by, Group: "ops", Targets: "env=prod", Logins: []string{"root"}},
	}})
	if len(d.Events) != 5 || d.Actor.User != ada.id || len(c.groupsOf(bob)) != 1 {
		t.Fatalf("%d events by %v", len(d.Events), d.Actor)
	}
	added := d.Events[4].(*store.GrantAdded)
	if group := d.Events[1].(*store.GrantAdded).Group; group == 0 || added.Group != group {
		t.Errorf("the grant is of group %d, the guardrail of %d", added.Group, group)
	}
	if target, _ := c.state.Target(db1); target.Labels.String() != "env=prod" {
		t.Errorf("labels %s", target.Labels)
	}
}

// One that is refused keeps all of them out, and each that is refused is named.
func TestChangeAccessIsAllOrNothing(t *testing.T) {
	c := found(t)
	ada := c.employ("ada", store.RoleAdministrator)
	c.employ("bob", store.RoleEngineer)
	c.target("db1", "root")
	by, before := ada.caller(), c.state.Next()
	_, err := c.decide(access.ChangeAccess{By: by, Steps: []access.Command{
		access.AddGroup{By: by, Name: "ops"},
		access.AddMember{By: by, Group: "ops", User: "ada"},
		access.AddMember{By: by, Group: "ops", User: "bob"},
		access.AddGrant{By: by, User: "ada", Target: "db1", Logins: []string{"root"}},
		access.AddGrant{By: by, Group: "ops", Target: "db1", Logins: []string{"root"}},
		access.RemoveGrant{By: by, Grant: 9999},
	}})
	refused, ok := errors.AsType[*access.StepsRefusal](err)
	if !ok || c.state.Next() != before {
		t.Fatalf("%v, and %d entries", err, c.state.Next()-before)
	}
	if diff := cmp.Diff([]int{1, 3, 5}, slices.Sorted(maps.Keys(refused.Steps))); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
	if refused.Steps[3].Kind != access.Forbidden || refused.Steps[5].Kind != access.NotFound || refused.Error() == "" {
		t.Errorf("%+v", refused.Steps)
	}
	// What lets an administrator in by two steps is refused as by one: the group's
	// grant, once they belong to it.
	c.do(access.AddGroup{By: local, Name: "dba"})
	c.do(access.AddMember{By: local, Group: "dba", User: "ada"})
	_, err = c.decide(access.ChangeAccess{By: by, Steps: []access.Command{access.AddGrant{By: by, Group: "dba", Target: "db1", Logins: []string{"root"}}}})
	if refused, ok = errors.AsType[*access.StepsRefusal](err); !ok || refused.Steps[0].Kind != access.Forbidden {
		t.Errorf("%v", err)
	}
}

func TestChangeAccessRefusals(t *testing.T) {
	if access.MaxSteps != api.MaxChanges {
		t.Errorf("%d steps, %d changes", access.MaxSteps, api.MaxChanges)
	}
	c := found(t)
	ada, eve := c.employ("ada", store.RoleAdministrator), c.employ("eve", store.RoleEngineer)
	by := ada.caller()
	tests := []struct {
		name string
		cmd  access.ChangeAccess
		kind access.Kind
	}{
		{"nothing", access.ChangeAccess{By: by}, access.Invalid},
		{"too many", access.ChangeAccess{By: by, Steps: slices.Repeat([]access.Command{access.AddGroup{By: by, Name: "x"}}, access.MaxSteps+1)}, access.Invalid},
		{"an engineer", access.ChangeAccess{By: eve.caller(), Steps: []access.Command{access.AddGroup{By: eve.caller(), Name: "x"}}}, access.Forbidden},
		{"nobody", access.ChangeAccess{Steps: []access.Command{access.AddGroup{Name: "x"}}}, access.Unauthenticated},
		{"a step of somebody else", access.ChangeAccess{By: eve.caller(), Steps: []access.Command{access.AddGroup{By: by, Name: "x"}}}, access.Forbidden},
		{"a step of the machine", access.ChangeAccess{By: by, Steps: []access.Command{access.AddGroup{By: local, Name: "x"}}}, access.Invalid},
		{"what is no step", access.ChangeAccess{By: by, Steps: []access.Command{access.RemoveUser{By: by, Handle: "eve"}}}, access.Invalid},
		{"steps in steps", access.ChangeAccess{By: by, Steps: []access.Command{access.ChangeAccess{By: by}}}, access.Invalid},
		{"no step", access.ChangeAccess{By: by, Steps: []access.Command{nil}}, access.Invalid},
	}
	for _, tt := range tests {
		if r := c.refused(tt.cmd); r.Kind != tt.kind {
			t.Errorf("%s: %v %s", tt.name, r.Kind, r.Message)
		}
	}
}
