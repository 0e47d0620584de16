package access

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vaultpam/vaultpam/store"
)

const (
	// MinRecoverPause and MaxRecoverPause bound how long the administrators have
	// to stop a recovery.
	MinRecoverPause = time.Hour
	MaxRecoverPause = 7 * 24 * time.Hour
	// RecoveryLife is how long a recovery can be finished once its pause is over,
	// and how long the invitation that it ends in can be used.
	RecoveryLife = 24 * time.Hour
)

const recoveryLife = store.Millis(RecoveryLife / time.Millisecond)

// A PendingRecovery is one that was begun and neither stopped nor finished. It
// may be too late for it.
type PendingRecovery struct {
	Entry store.Index
	User  store.UserID
	Begun store.Millis
	Ready store.Millis // from when on it can be finished
}

// Ends returns when it is too late to finish it.
func (p PendingRecovery) Ends() store.Millis { return p.Ready + recoveryLife }

// Recovery returns the recovery of an administrator that is under way, if one is.
func (s State) Recovery(now store.Millis) (PendingRecovery, bool) {
	return s.pending, s.pending.Entry != 0 && now < s.pending.Ends()
}

// BeginRecovery is for when no administrator can sign in any more. It comes from
// the server's own machine, and has to wait: every administrator hears of it, and
// may stop it until Pause is over. Where no administrator ever enrolled nobody
// could, and there is no pause.
type BeginRecovery struct {
	By     Caller
	Handle store.Handle
	Pause  time.Duration // from MinRecoverPause to MaxRecoverPause
}

func (c BeginRecovery) decide(s State, now store.Millis) (Decision, error) {
	if err := onMachine(c.By); err != nil {
		return Decision{}, err
	}
	if c.Pause < MinRecoverPause || c.Pause > MaxRecoverPause {
		return Decision{}, &Refusal{Kind: Invalid, Message: "the pause before a recovery lasts from an hour to seven days"}
	}
	u, ok := s.UserByHandle(c.Handle)
	if !ok || u.Bot {
		return Decision{}, &Refusal{
			Kind:    NotFound,
			Message: fmt.Sprintf("there is no user %s", c.Handle),
			Hint:    "name somebody whom the ledger knows: vaultpamd recover-admin --status lists them",
		}
	}
	if err := s.whileLocked(u); err != nil {
		return Decision{}, err
	}
	if p, ok := s.Recovery(now); ok {
		other, _ := s.users.get(p.User)
		return Decision{}, &Refusal{
			Kind:    Conflict,
			Message: fmt.Sprintf("a recovery of %s is under way, which can be finished from %s to %s", other.Handle, second(p.Ready), second(p.Ends())),
			Hint:    "wait for it, or take it back: vaultpamd recover-admin --stop",
		}
	}
	ready := now
	if s.administered() {
		ready += store.Millis(c.Pause / time.Millisecond)
	}
	return Decision{Actor: store.Actor{Local: true}, Events: []store.Event{&store.RecoveryBegun{User: u.ID, Ready: ready}}}, nil
}

// administered reports whether some administrator has enrolled: it is they whom
// the pause is for.
func (s State) administered() bool {
	for _, u := range s.users.all() {
		if u.Has(store.RoleAdministrator) && u.Enrolled() {
			return true
		}
	}
	return false
}

// FinishRecovery makes the person of the recovery that is under way an
// administrator, and invites them to enrol.
type FinishRecovery struct {
	By     Caller
	Handle store.Handle
	Invite Invite
}

func (c FinishRecovery) decide(s State, now store.Millis) (Decision, error) {
	if err := onMachine(c.By); err != nil {
		return Decision{}, err
	}
	p, ok := s.Recovery(now)
	u, there := s.users.get(p.User)
	if !ok || !there || u.Handle != c.Handle {
		return Decision{}, &Refusal{
			Kind:    NotFound,
			Message: fmt.Sprintf("no recovery of %s is under way", c.Handle),
			Hint:    "vaultpamd recover-admin --status",
		}
	}
	if now < p.Ready {
		return Decision{}, &Refusal{
			Kind:       Conflict,
			Message:    fmt.Sprintf("the recovery of %s can be finished from %s on, unless an administrator stops it", u.Handle, second(p.Ready)),
			Hint:       "type the same again then, at " + second(p.Ends()) + " at the latest",
			RetryAfter: time.Duration(p.Ready-now) * time.Millisecond,
		}
	}
	if err := s.whileLocked(u); err != nil {
		return Decision{}, err
	}
	if err := c.Invite.check(s); err != nil {
		return Decision{}, err
	}
	return Decision{
		Actor: store.Actor{Local: true},
		Events: []store.Event{
			&store.RecoveryFinished{User: u.ID, Begun: p.Entry},
			&store.InvitationCreated{User: u.ID, Token: c.Invite.Token, Expires: now + recoveryLife},
		},
	}, nil
}

// StopRecovery takes the recovery that is under way back. Any administrator may.
type StopRecovery struct {
	By Caller
}

func (c StopRecovery) decide(s State, now store.Millis) (Decision, error) {
	actor, err := s.administrator(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	p, ok := s.Recovery(now)
	if !ok {
		return Decision{}, &Refusal{
			Kind:    NotFound,
			Message: "no recovery of an administrator is under way",
			Hint:    "an invitation that one has ended in is void as soon as its person is removed or invited anew",
		}
	}
	return Decision{Actor: actor, Events: []store.Event{&store.RecoveryStopped{User: p.User, Begun: p.Entry}}}, nil
}

func onMachine(c Caller) error {
	if !c.Local {
		return &Refusal{Kind: Forbidden, Message: "an administrator is recovered on the server's own machine", Hint: "vaultpamd recover-admin HANDLE"}
	}
	return nil
}

func (a *applier) recoveryBegun(e *store.RecoveryBegun) error {
	if _, err := a.mustPerson(e.User); err != nil {
		return err
	}
	if _, ok := a.Recovery(a.entry.Time); ok {
		return errors.New("another recovery is under way")
	}
	a.pending = PendingRecovery{Entry: a.entry.Index, User: e.User, Begun: a.entry.Time, Ready: e.Ready}
	return nil
}

// recoveryOver ends the recovery that is under way.
func (a *applier) recoveryOver(user store.UserID, begun store.Index) error {
	if a.pending.Entry != begun || a.pending.User != user {
		return errors.New("no such recovery is under way")
	}
	a.pending = PendingRecovery{}
	return nil
}

func (a *applier) recoveryFinished(e *store.RecoveryFinished) error {
	if a.entry.Time < a.pending.Ready {
		return errors.New("before its pause was over")
	}
	if err := a.recoveryOver(e.User, e.Begun); err != nil {
		return err
	}
	u, err := a.mustPerson(e.User)
	if err != nil {
		return err
	}
	if !u.Has(store.RoleAdministrator) {
		u.Roles, u.administrator = append(slices.Clone(u.Roles), store.RoleAdministrator), a.entry.Index
		a.users = a.users.set(u.ID, u)
	}
	return nil
}
