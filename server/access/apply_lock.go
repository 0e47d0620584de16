package access

import (
	"errors"

	"github.com/vaultpam/vaultpam/store"
)

func (a *applier) lockAdded(e *store.LockAdded) error {
	l := Lock{
		Entry: a.entry.Index, Time: a.entry.Time, Actor: a.entry.Actor,
		User: e.User, Target: e.Target, Session: e.Session, Serial: e.Serial, Of: e.Of, Why: e.Why,
	}
	k, ok := a.key(l)
	if !ok {
		return errors.New("no such certificate")
	}
	if _, ok := a.locks.get(k); ok {
		return errors.New("it is locked already")
	}
	_, target := a.targets.get(e.Target)
	_, session := a.sessions.get(e.Session)
	if e.Target != 0 && !target || !e.Session.IsZero() && !session {
		return errors.New("there is no such thing")
	}
	if !e.User.IsZero() {
		if err := a.lockOut(e.User); err != nil {
			return err
		}
	}
	a.locks, a.lockKeys = a.locks.set(k, l), a.lockKeys.set(l.Entry, k)
	return nil
}

// lockOut ends what a person or bot has under way: sign-in sessions, and an
// invitation or a join token, which would be a way in again once they are unlocked.
func (a *applier) lockOut(user store.UserID) error {
	u, err := a.mustUser(user)
	if err != nil {
		return err
	}
	for _, entry := range u.signIns {
		a.endSignIn(entry)
	}
	u, _ = a.users.get(user)
	a.invitations = a.invitations.drop(u.invitation)
	a.joins = a.joins.drop(u.join)
	u.invitation, u.join = store.Hash{}, store.Hash{}
	a.users = a.users.set(u.ID, u)
	return nil
}

func (a *applier) lockRemoved(e *store.LockRemoved) error {
	k, ok := a.lockKeys.get(e.Lock)
	if !ok {
		return errors.New("no such lock")
	}
	a.dropLock(k)
	return nil
}

// dropLock takes out a lock, where there is one.
func (a *applier) dropLock(k lockKey) {
	if l, ok := a.locks.get(k); ok {
		a.locks, a.lockKeys = a.locks.drop(k), a.lockKeys.drop(l.Entry)
	}
}
