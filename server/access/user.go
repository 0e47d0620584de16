package access

import (
	"fmt"
	"slices"
	"time"

	"github.com/vaultpam/vaultpam/store"
)

// InvitationLife is how long an invitation can be used.
const InvitationLife = 7 * 24 * time.Hour

// An Invite is what an invitation is made of: the SHA-256 hash of its token.
type Invite struct {
	Token store.Hash
}

// check refuses a token that no caller drew, or drew before: whoever holds one
// invitation must not be able to use another.
func (i Invite) check(s State) error {
	if i.Token == (store.Hash{}) {
		return &Refusal{Kind: Invalid, Message: "an invitation needs a token"}
	}
	_, invites := s.invitations.get(i.Token)
	_, joins := s.joins.get(i.Token)
	if invites || joins {
		return &Refusal{Kind: Conflict, Message: "the invitation's token is taken", Hint: "try again"}
	}
	return nil
}

func (i Invite) event(user store.UserID, now store.Millis) *store.InvitationCreated {
	return &store.InvitationCreated{User: user, Token: i.Token, Expires: now + store.Millis(InvitationLife/time.Millisecond)}
}

// AddUser adds a person and invites them. ID and the salts are random.
type AddUser struct {
	By     Caller
	ID     store.UserID
	Handle string
	Salt   [32]byte
	Roles  []store.Role
	Invite Invite
	// Email is where the person gets notices. May be empty.
	Email     string
	EmailSalt [32]byte
}

func (c AddUser) decide(s State, now store.Millis) (Decision, error) {
	actor, err := s.administrator(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	handle, err := s.freeHandle(c.Handle)
	if err != nil {
		return Decision{}, err
	}
	roles, err := parseRoles(c.Roles)
	if err != nil {
		return Decision{}, invalid(err)
	}
	if c.ID.IsZero() {
		return Decision{}, &Refusal{Kind: Invalid, Message: "a user needs an ID"}
	}
	if _, ok := s.users.get(c.ID); ok {
		return Decision{}, &Refusal{Kind: Conflict, Message: "the new user's ID is taken", Hint: "try again"}
	}
	if err := c.Invite.check(s); err != nil {
		return Decision{}, err
	}
	opening := store.Opening{Owner: c.ID, Field: store.FieldHandle, Salt: c.Salt, Text: string(handle)}
	d := Decision{
		Actor:    actor,
		Events:   []store.Event{&store.UserAdded{User: c.ID, Handle: opening.Commit(), Roles: roles}},
		Openings: []store.Opening{opening},
	}
	if c.Email != "" {
		event, address, err := contact(c.ID, c.Email, c.EmailSalt)
		if err != nil {
			return Decision{}, err
		}
		d.Events, d.Openings = append(d.Events, event), append(d.Openings, address)
	}
	d.Events = append(d.Events, c.Invite.event(c.ID, now)) // the last, as its readers have it
	return d, nil
}

// parseRoles returns each of the roles once, the engineer's where there is none.
func parseRoles(roles []store.Role) ([]store.Role, error) {
	if len(roles) == 0 {
		return []store.Role{store.RoleEngineer}, nil
	}
	var parsed []store.Role
	for _, r := range roles {
		if _, err := store.ParseRole(string(r)); err != nil {
			return nil, err
		}
		if !slices.Contains(parsed, r) {
			parsed = append(parsed, r)
		}
	}
	return parsed, nil
}

// InviteUser gives a person a new invitation; their earlier one is void.
type InviteUser struct {
	By     Caller
	Handle store.Handle
	Invite Invite
}

func (c InviteUser) decide(s State, now store.Millis) (Decision, error) {
	actor, err := s.administrator(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	u, err := s.personByHandle(c.Handle)
	if err != nil {
		return Decision{}, err
	}
	if err := s.whileLocked(u); err != nil {
		return Decision{}, err
	}
	if err := c.Invite.check(s); err != nil {
		return Decision{}, err
	}
	return Decision{Actor: actor, Events: []store.Event{c.Invite.event(u.ID, now)}}, nil
}

// RemoveUser ends everything that a person can do. Their sessions end by
// themselves, because SessionEnds says so from then on.
type RemoveUser struct {
	By     Caller
	Handle store.Handle
}

func (c RemoveUser) decide(s State, now store.Millis) (Decision, error) {
	actor, err := s.administrator(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	u, err := s.personByHandle(c.Handle)
	if err != nil {
		return Decision{}, err
	}
	if u.Has(store.RoleAdministrator) && s.lastAdministrator(u) {
		return Decision{}, &Refusal{
			Kind:    Conflict,
			Message: fmt.Sprintf("%s is the last administrator and can't be removed", u.Handle),
			Hint:    "first somebody else has to be one and enrol: vaultpam admin user add HANDLE --role administrator",
		}
	}
	return Decision{Actor: actor, Events: []store.Event{&store.UserRemoved{User: u.ID}}}, nil
}

// lastAdministrator reports whether without this administrator nobody could
// sign in and administer: there is no other, or only such as are locked, or have
// not enrolled while this one has.
func (s State) lastAdministrator(last User) bool {
	for _, u := range s.users.all() {
		if _, locked := s.LockOfUser(u.ID); !locked && u.ID != last.ID && u.Has(store.RoleAdministrator) && (u.Enrolled() || !last.Enrolled()) {
			return false
		}
	}
	return true
}

// Enroll uses an invitation to enrol a factor, gives its user recovery codes,
// and, where there is a Holder, signs them in: the code that proved the factor is
// used up by all three.
type Enroll struct {
	Invitation store.Hash // hash of its token
	Codes      store.Hash // of the recovery codes' record
	Factor     NewFactor
	Holder     *Holder
}

func (c Enroll) decide(s State, now store.Millis) (Decision, error) {
	u, _, ok := s.Invited(c.Invitation, now)
	if !ok || c.Codes == (store.Hash{}) {
		return Decision{}, ErrInvitation
	}
	inv, _ := s.invitations.get(c.Invitation)
	factor, openings, err := s.enrol(u, c.Factor)
	if err != nil {
		return Decision{}, err
	}
	factor.Invitation = inv.Entry
	d := Decision{
		Actor:    store.Actor{User: u.ID},
		Events:   []store.Event{factor, &store.RecoveryCreated{User: u.ID, Codes: c.Codes, Count: RecoveryCodes}},
		Openings: openings,
	}
	if c.Holder == nil {
		return d, nil
	}
	session, more, err := s.open(u, *c.Holder, now)
	if err != nil {
		return Decision{}, err
	}
	session.Factor, session.Kind, session.Step = s.next, factor.Kind, factor.Step
	if factor.Passkey != nil {
		session.Counter = factor.Passkey.Counter
	}
	d.Events, d.Openings = append(d.Events, session), append(d.Openings, more...)
	return d, nil
}

// ErrInvitation answers every invitation that can't be used.
var ErrInvitation = &Refusal{
	Kind:    NotFound,
	Message: "this invitation was used, replaced, or has expired",
	Hint:    "ask an administrator for a new one: vaultpam admin user invite HANDLE",
}

func noUser(h store.Handle) error {
	return &Refusal{Kind: NotFound, Message: fmt.Sprintf("there is no user %s", h), Hint: "vaultpam admin user ls"}
}
