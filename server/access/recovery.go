package access

import (
	"time"

	"github.com/vaultpam/vaultpam/store"
)

const (
	// RecoveryCodes is how many codes a person gets at a time.
	RecoveryCodes = 10
	// RenewalLife is how long after a sign-in with a recovery code a new
	// authenticator can be enrolled: whoever finds the sign-in's token on a laptop
	// tomorrow can't.
	RenewalLife = 15 * time.Minute
)

const renewalLife = store.Millis(RenewalLife / time.Millisecond)

// SignInWithRecoveryCode opens a sign-in session, once for each code. The caller
// has found which of the codes it is in the record with the hash Codes. Whether
// that is the user's set, and whether this one may still be used, is decided
// here, so that of all who show one code at the same time one gets in.
type SignInWithRecoveryCode struct {
	User   store.UserID
	Codes  store.Hash
	Number uint64 // from 1
	Holder Holder
}

func (c SignInWithRecoveryCode) decide(s State, now store.Millis) (Decision, error) {
	u, ok := s.users.get(c.User)
	if !ok || u.Recovery.Entry == 0 || u.Recovery.Codes != c.Codes || !u.Recovery.good(c.Number) {
		return Decision{}, ErrSignIn
	}
	e, openings, err := s.open(u, c.Holder, now)
	if err != nil {
		return Decision{}, err
	}
	e.Factor, e.Kind, e.Code = u.Recovery.Entry, store.FactorRecovery, c.Number
	return Decision{Actor: store.Actor{User: u.ID}, Events: []store.Event{e}, Openings: openings}, nil
}

// CreateRecoveryCodes gives its caller new recovery codes in place of all that
// they had. A sign-in alone does not do it, because whoever finds it open would
// have a way in that outlives it: Step is the time step of a TOTP code that was
// shown for this, found by whoever holds the secret, and it is used up; or it is 0
// and the caller has confirmed who they are just now.
type CreateRecoveryCodes struct {
	By    Caller
	Codes store.Hash // of their record
	Step  uint64
}

func (c CreateRecoveryCodes) decide(s State, now store.Millis) (Decision, error) {
	u, x, err := s.Person(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	switch f, ok := u.TOTP(); {
	case c.Step == 0 && !x.Fresh(now):
		return Decision{}, ErrNotFresh
	case c.Step != 0 && (!ok || c.Step <= f.LastStep):
		return Decision{}, ErrSecondLook
	}
	if c.Codes == (store.Hash{}) {
		return Decision{}, &Refusal{Kind: Invalid, Message: "new recovery codes need a record"}
	}
	return Decision{
		Actor:  store.Actor{User: u.ID},
		Events: []store.Event{&store.RecoveryCreated{User: u.ID, Codes: c.Codes, Count: RecoveryCodes, Step: c.Step}},
	}, nil
}

// ErrSecondLook answers a code that does not prove that its owner is still there.
var ErrSecondLook = &Refusal{
	Kind:    Unauthenticated,
	Message: "that code doesn't fit, or was used already",
	Hint:    "wait for the code that your authenticator shows next, and type that",
}

// RenewFactor invites its caller to enrol another authenticator. It takes a
// sign-in with a recovery code, which is how somebody says that the authenticator
// is lost; the invitation ends RenewalLife after that sign-in.
type RenewFactor struct {
	By     Caller
	Invite Invite
}

func (c RenewFactor) decide(s State, now store.Millis) (Decision, error) {
	u, x, err := s.Person(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	expires := x.Opened + renewalLife
	if x.Kind != store.FactorRecovery || expires <= now {
		return Decision{}, &Refusal{
			Kind:    Conflict,
			Message: "another authenticator can be enrolled within 15 minutes of a sign-in with a recovery code",
			Hint:    "vaultpam login, with a recovery code in place of the authenticator's; or ask an administrator for an invitation",
		}
	}
	if err := c.Invite.check(s); err != nil {
		return Decision{}, err
	}
	return Decision{
		Actor:  store.Actor{User: u.ID},
		Events: []store.Event{&store.InvitationCreated{User: u.ID, Token: c.Invite.Token, Expires: expires}},
	}, nil
}
