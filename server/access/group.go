package access

import (
	"bytes"
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/vaultpam/vaultpam/store"
)

// A Group is a named set of people.
type Group struct {
	Entry store.Index
	Name  store.GroupName
}

// memberKey orders memberships by group.
type memberKey struct {
	group store.Index
	user  store.UserID
}

func compareMemberKeys(a, b memberKey) int {
	return cmp.Or(cmp.Compare(a.group, b.group), bytes.Compare(a.user[:], b.user[:]))
}

// joinGroup notes that a user belongs to a group.
func (s *State) joinGroup(user store.UserID, group store.Index) {
	groups, _ := s.memberships.get(user)
	i, _ := slices.BinarySearch(groups, group)
	s.memberships = s.memberships.set(user, slices.Insert(slices.Clone(groups), i, group))
}

// Group returns a group by the index of its entry.
func (s State) Group(entry store.Index) (Group, bool) { return s.groups.get(entry) }

// GroupByName returns a group by name.
func (s State) GroupByName(name store.GroupName) (Group, bool) {
	entry, ok := s.groupNames.get(name)
	if !ok {
		return Group{}, false
	}
	return s.groups.get(entry)
}

// Groups yields all groups in the order of their names.
func (s State) Groups() iter.Seq[Group] {
	return func(yield func(Group) bool) {
		for _, entry := range s.groupNames.all() {
			if g, ok := s.groups.get(entry); ok && !yield(g) {
				return
			}
		}
	}
}

// GroupsOf yields the groups that a user belongs to, oldest first.
func (s State) GroupsOf(user store.UserID) iter.Seq[Group] {
	return func(yield func(Group) bool) {
		groups, _ := s.memberships.get(user)
		for _, entry := range groups {
			if g, ok := s.groups.get(entry); ok && !yield(g) {
				return
			}
		}
	}
}

// Members yields the users who belong to a group, in the order of their IDs.
func (s State) Members(group store.Index) iter.Seq[User] {
	return func(yield func(User) bool) {
		for k := range s.members.from(memberKey{group: group}) {
			if k.group != group {
				return
			}
			if u, ok := s.users.get(k.user); ok && !yield(u) {
				return
			}
		}
	}
}

// Member returns the entry since which a user belongs to a group, and whether
// they do.
func (s State) Member(group store.Index, user store.UserID) (store.Index, bool) {
	return s.members.get(memberKey{group, user})
}

// AddGroup adds a group without members.
type AddGroup struct {
	By   Caller
	Name string
}

func (c AddGroup) decide(s State, now store.Millis) (Decision, error) {
	actor, err := s.administrator(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	name, err := s.freeGroupName(c.Name)
	if err != nil {
		return Decision{}, err
	}
	return Decision{Actor: actor, Events: []store.Event{&store.GroupAdded{Name: name}}}, nil
}

// RenameGroup gives a group another name. It stays the same group: who belongs to
// it and what stands on it does not change.
type RenameGroup struct {
	By    Caller
	Group store.GroupName
	Name  string
}

func (c RenameGroup) decide(s State, now store.Millis) (Decision, error) {
	actor, err := s.administrator(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	g, ok := s.GroupByName(c.Group)
	if !ok {
		return Decision{}, noGroup(c.Group)
	}
	name, err := s.freeGroupName(c.Name)
	if err != nil {
		return Decision{}, err
	}
	return Decision{Actor: actor, Events: []store.Event{&store.GroupRenamed{Group: g.Entry, Name: name}}}, nil
}

// freeGroupName parses a name that no group has.
func (s State) freeGroupName(text string) (store.GroupName, error) {
	name, err := store.ParseGroupName(text)
	if err != nil {
		return "", invalid(err)
	}
	if _, ok := s.GroupByName(name); ok {
		return "", &Refusal{Kind: Conflict, Message: fmt.Sprintf("there is a group %s already", name), Hint: "vaultpam admin group ls"}
	}
	return name, nil
}

// RemoveGroup takes a group out, with its memberships. A group that a grant or a
// guardrail is for, or whose members approve requests, stays until those are
// gone: what is forbidden must not end by the way.
type RemoveGroup struct {
	By   Caller
	Name store.GroupName
}

func (c RemoveGroup) decide(s State, now store.Millis) (Decision, error) {
	actor, err := s.administrator(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	g, ok := s.GroupByName(c.Name)
	if !ok {
		return Decision{}, noGroup(c.Name)
	}
	if in := s.standsOn(g.Entry); len(in) > 0 {
		return Decision{}, &Refusal{
			Kind: Conflict, Message: fmt.Sprintf("group %s is named by %s", g.Name, grantList(in)), Hint: fmt.Sprintf("vaultpam admin grant rm %d", in[0].Entry),
		}
	}
	return Decision{Actor: actor, Events: []store.Event{&store.GroupRemoved{Group: g.Entry}}}, nil
}

// AddMember adds somebody to a group. An administrator can't add themselves alone,
// for the reason that they can't grant themselves access: a group may hold grants,
// now or later.
type AddMember struct {
	By    Caller
	Group store.GroupName
	User  store.Handle
	Place Place
}

func (c AddMember) decide(s State, now store.Millis) (Decision, error) {
	actor, err := s.administrator(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	g, u, err := s.groupAndUser(c.Group, c.User)
	if err != nil {
		return Decision{}, err
	}
	if _, ok := s.Member(g.Entry, u.ID); ok {
		return Decision{}, &Refusal{Kind: Conflict, Message: fmt.Sprintf("%s belongs to group %s already", u.Handle, g.Name), Hint: "vaultpam admin group ls"}
	}
	return s.alone(actor, &store.MemberAdded{Group: g.Entry, User: u.ID}, c.Place, "an administrator can't add themselves to a group", now)
}

// RemoveMember takes somebody out of a group.
type RemoveMember struct {
	By    Caller
	Group store.GroupName
	User  store.Handle
	Place Place
}

func (c RemoveMember) decide(s State, now store.Millis) (Decision, error) {
	actor, err := s.administrator(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	g, u, err := s.groupAndUser(c.Group, c.User)
	if err != nil {
		return Decision{}, err
	}
	if _, ok := s.Member(g.Entry, u.ID); !ok {
		return Decision{}, &Refusal{Kind: Conflict, Message: fmt.Sprintf("%s does not belong to group %s", u.Handle, g.Name), Hint: "vaultpam admin group ls"}
	}
	e := &store.MemberRemoved{Group: g.Entry, User: u.ID}
	return s.alone(actor, e, c.Place, "an administrator can't leave a group to which something is forbidden that they could do then", now)
}

// standsOn returns the grants and guardrails that name a group.
func (s State) standsOn(group store.Index) []Grant {
	var in []Grant
	for g := range s.Grants() {
		if g.Group == group || g.Conditions.Approvers == group {
			in = append(in, g)
		}
	}
	return in
}

// grantList names grants, some of them where they are many.
func grantList(grants []Grant) string {
	const most = 5
	var parts []string
	for _, g := range grants[:min(len(grants), most)] {
		kind := "grant"
		if g.Forbids {
			kind = "guardrail"
		}
		parts = append(parts, fmt.Sprintf("%s %d", kind, g.Entry))
	}
	if len(grants) > most {
		parts = append(parts, fmt.Sprintf("%d more", len(grants)-most))
	}
	return strings.Join(parts, ", ")
}

func (s State) groupAndUser(name store.GroupName, handle store.Handle) (Group, User, error) {
	g, ok := s.GroupByName(name)
	if !ok {
		return Group{}, User{}, noGroup(name)
	}
	u, ok := s.UserByHandle(handle)
	if !ok {
		return Group{}, User{}, noUser(handle)
	}
	return g, u, nil
}

func noGroup(n store.GroupName) error {
	return &Refusal{Kind: NotFound, Message: fmt.Sprintf("there is no group %s", n), Hint: "vaultpam admin group ls"}
}
