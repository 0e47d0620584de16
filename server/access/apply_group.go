package access

import (
	"errors"
	"slices"

	"github.com/vaultpam/vaultpam/store"
)

func (a *applier) groupAdded(e *store.GroupAdded) error {
	if _, ok := a.groupNames.get(e.Name); ok {
		return errors.New("the name is taken")
	}
	a.groups = a.groups.set(a.entry.Index, Group{Entry: a.entry.Index, Name: e.Name})
	a.groupNames = a.groupNames.set(e.Name, a.entry.Index)
	return nil
}

func (a *applier) groupRenamed(e *store.GroupRenamed) error {
	g, ok := a.groups.get(e.Group)
	if !ok {
		return errNoGroup
	}
	if _, ok := a.groupNames.get(e.Name); ok {
		return errors.New("the name is taken")
	}
	a.groupNames = a.groupNames.drop(g.Name).set(e.Name, g.Entry)
	g.Name = e.Name
	a.groups = a.groups.set(g.Entry, g)
	return nil
}

func (a *applier) groupRemoved(e *store.GroupRemoved) error {
	g, ok := a.groups.get(e.Group)
	if !ok {
		return errNoGroup
	}
	if len(a.standsOn(g.Entry)) > 0 {
		return errors.New("there are grants of the group")
	}
	for u := range a.Members(g.Entry) {
		a.dropMember(g.Entry, u.ID)
	}
	a.groupNames = a.groupNames.drop(g.Name)
	a.groups = a.groups.drop(g.Entry)
	return nil
}

func (a *applier) memberAdded(e *store.MemberAdded) error {
	if _, ok := a.groups.get(e.Group); !ok {
		return errNoGroup
	}
	if _, err := a.mustUser(e.User); err != nil {
		return err
	}
	if _, ok := a.Member(e.Group, e.User); ok {
		return errors.New("the user belongs to the group already")
	}
	a.members = a.members.set(memberKey{e.Group, e.User}, a.entry.Index)
	a.joinGroup(e.User, e.Group)
	return nil
}

func (a *applier) memberRemoved(e *store.MemberRemoved) error {
	if _, ok := a.Member(e.Group, e.User); !ok {
		return errors.New("the user does not belong to the group")
	}
	a.dropMember(e.Group, e.User)
	return nil
}

var errNoGroup = errors.New("no such group")

// leaveGroups takes out a user who is removed.
func (a *applier) leaveGroups(user store.UserID) {
	for g := range a.GroupsOf(user) {
		a.dropMember(g.Entry, user)
	}
}

func (a *applier) dropMember(group store.Index, user store.UserID) {
	a.members = a.members.drop(memberKey{group, user})
	groups, _ := a.memberships.get(user)
	a.memberships = a.memberships.set(user, slices.DeleteFunc(slices.Clone(groups), func(g store.Index) bool { return g == group }))
}

func (a *applier) ssoLinked(e *store.SSOLinked) error {
	u, err := a.mustPerson(e.User)
	if err != nil {
		return err
	}
	for _, entry := range u.signIns {
		if x, ok := a.signIns.get(entry); ok && x.SSO != 0 {
			a.endSignIn(entry)
		}
	}
	a.forgetIdentity(u)
	u, _ = a.users.get(e.User)
	u.SSO, u.identity = a.entry.Index, e.Identity
	a.users = a.users.set(u.ID, u)
	if text, ok := a.texts(e.Identity); ok {
		a.identities = a.identities.set(text, u.ID)
	}
	return nil
}

// forgetIdentity takes out the account that a user was linked to.
func (a *applier) forgetIdentity(u User) {
	if text, ok := a.texts(u.identity); ok && u.SSO != 0 {
		a.identities = a.identities.drop(text)
	}
}
