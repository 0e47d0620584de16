package access_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

func TestAddUser(t *testing.T) {
	c := found(t)
	cmd := access.AddUser{
		By: local, ID: c.userID(), Handle: "carol@corp.example", Salt: c.random(), Invite: access.Invite{Token: c.hash()},
		Roles: slices.Repeat([]store.Role{store.RoleAuditor, store.RoleApprover}, 3000),
	}
	d := c.do(cmd)
	added := c.entries[len(c.entries)-2].Event.(*store.UserAdded)
	if diff := cmp.Diff([]store.Role{store.RoleAuditor, store.RoleApprover}, added.Roles); diff != "" {
		t.Errorf("roles (-want +got):\n%s", diff)
	}
	if len(d.Openings) != 1 || d.Openings[0].Text != cmd.Handle || d.Openings[0].Owner != cmd.ID || !d.Openings[0].Opens(added.Handle) {
		t.Errorf("openings %+v do not open %x", d.Openings, added.Handle)
	}
	u, ok := c.state.UserByHandle("carol@corp.example")
	if !ok || u.ID != cmd.ID || u.Enrolled() || !u.Has(store.RoleApprover) || u.Has(store.RoleEngineer) {
		t.Errorf("user %+v, %v", u, ok)
	}
	if p := c.employ("dave"); true {
		u, _ := c.state.User(p.id)
		if diff := cmp.Diff([]store.Role{store.RoleEngineer}, u.Roles); diff != "" {
			t.Errorf("roles of whom none was said (-want +got):\n%s", diff)
		}
	}
	var handles []store.Handle
	for u := range c.state.Users() {
		handles = append(handles, u.Handle)
	}
	if diff := cmp.Diff([]store.Handle{"alice", "carol@corp.example", "dave"}, handles); diff != "" {
		t.Errorf("users (-want +got):\n%s", diff)
	}
}

// TestAdministratorByToken: an administrator who signed in is the actor.
func TestAdministratorByToken(t *testing.T) {
	c := found(t)
	p := c.employ("bob", store.RoleAdministrator)
	d := c.do(access.InviteUser{By: p.caller(), Handle: "alice", Invite: access.Invite{Token: c.hash()}})
	if d.Actor != (store.Actor{User: p.id}) {
		t.Errorf("actor %+v", d.Actor)
	}
}

// TestRemoveUser: nothing that a person held outlives them.
func TestRemoveUser(t *testing.T) {
	c := found(t)
	c.employ("zoe", store.RoleAdministrator)
	p := c.employ("carol", store.RoleAdministrator)
	c.target("db1", "root")
	grant := c.grant(p, "db1", 0, 0, "root")
	session := c.session(p, "db1", "root")
	invite := access.Invite{Token: c.hash()}
	c.do(access.InviteUser{By: local, Handle: "carol", Invite: invite})
	first := p
	c.signIn(&p)
	keep := c.employ("dave")
	c.grant(keep, "db1", 0, 0, "root")

	c.do(access.RemoveUser{By: local, Handle: "carol"})

	for _, caller := range []access.Caller{first.caller(), p.caller()} {
		if _, _, err := c.state.Caller(caller, c.at()); err == nil {
			t.Error("a sign-in session is still open")
		}
		c.refused(access.AddUser{By: caller, ID: c.userID(), Handle: "mallory", Salt: c.random(), Invite: access.Invite{Token: c.hash()}})
	}
	if _, _, ok := c.state.Invited(invite.Token, c.at()); ok {
		t.Error("the invitation can still be used")
	}
	for g := range c.state.Grants() {
		if g.User == p.id {
			t.Errorf("grant %+v is still there", g)
		}
	}
	c.refused(access.RemoveGrant{By: local, Grant: grant})
	if _, ok := c.state.User(p.id); ok {
		t.Error("the user is still there")
	}
	if reason, ends := c.state.SessionEnds(session, c.at()); !ends || reason != store.EndedByGrant {
		t.Errorf("session ends: %v, %q", ends, reason)
	}
	if len(c.state.Reaches(keep.id, c.at())) != 1 {
		t.Error("somebody else lost their grant")
	}
	// The handle is free again, for somebody else.
	again := c.employ("carol")
	if len(c.state.Reaches(again.id, c.at())) != 0 {
		t.Error("a handle's next holder got the grants of the first")
	}
}

func TestLastAdministrator(t *testing.T) {
	c := found(t)
	remove := func(h store.Handle) access.RemoveUser { return access.RemoveUser{By: local, Handle: h} }
	c.refused(remove("alice"))
	bob := c.employ("bob", store.RoleAdministrator)
	// alice has never enrolled: without bob nobody could sign in and administer.
	c.refused(remove("bob"))
	c.do(remove("alice"))
	c.refused(remove("bob"))
	c.refused(access.RemoveUser{By: bob.caller(), Handle: "bob"})
	c.employ("carol", store.RoleAdministrator)
	c.do(access.RemoveUser{By: bob.caller(), Handle: "bob"})
	c.refused(remove("carol"))
}

// TestInviteAgain: a new invitation voids the one before, and enrolling with it
// replaces the factor and ends what was signed in with it.
func TestInviteAgain(t *testing.T) {
	c := found(t)
	p := c.employ("carol")
	first, second := access.Invite{Token: c.hash()}, access.Invite{Token: c.hash()}
	c.do(access.InviteUser{By: local, Handle: "carol", Invite: first})
	c.do(access.InviteUser{By: local, Handle: "carol", Invite: second})
	c.refused(c.enroll(first, 1))
	c.do(c.enroll(second, 2000))
	e := c.entries[len(c.entries)-3].Event.(*store.FactorEnrolled)
	if e.User != p.id || e.Kind != store.FactorTOTP || e.Step != 2000 {
		t.Errorf("event %+v", e)
	}
	if in := last[*store.SignInSucceeded](c); in.User != p.id || in.Factor != c.state.Next()-3 || in.Step != 2000 {
		t.Errorf("event %+v", in)
	}
	if _, _, err := c.state.Caller(p.caller(), c.at()); err == nil {
		t.Error("the sign-in session of before is still open")
	}
	invitation := c.entries[e.Invitation].Event.(*store.InvitationCreated)
	if invitation.Token != second.Token {
		t.Errorf("the event names another invitation: %+v", invitation)
	}
	c.refused(access.SignInWithTOTP{User: p.id, Step: 2000, Holder: c.holder()})
	c.do(access.SignInWithTOTP{User: p.id, Step: 2001, Holder: c.holder()})
}
