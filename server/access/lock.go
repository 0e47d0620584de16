package access

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/vaultpam/vaultpam/store"
)

// A Lock is one that is in force. One of User, Target, Session and Serial is what it
// stops; Of is whose session or certificate that is, where it is somebody's. Why
// commits to a text whose owner is About.
type Lock struct {
	Entry   store.Index
	Time    store.Millis
	Actor   store.Actor // who locked
	User    store.UserID
	Target  store.Index
	Session store.SessionID
	Serial  store.Serial
	Of      store.UserID
	Why     store.Commitment
}

// About returns who is locked, or whose session or certificate is. It is zero for a
// target, and for a session of the server's own.
func (l Lock) About() store.UserID {
	if l.Of.IsZero() {
		return l.User
	}
	return l.Of
}

// lockKey is what a lock is found by. One of its fields is set.
type lockKey struct {
	user        store.UserID
	target      store.Index
	certificate store.Index // its entry
	session     store.SessionID
}

func compareLockKeys(a, b lockKey) int {
	return cmp.Or(
		slices.Compare(a.user[:], b.user[:]),
		cmp.Compare(a.target, b.target),
		cmp.Compare(a.certificate, b.certificate),
		slices.Compare(a.session[:], b.session[:]),
	)
}

// key returns what a lock is found by, and false for the serial of no certificate.
func (s State) key(l Lock) (lockKey, bool) {
	k := lockKey{user: l.User, target: l.Target, session: l.Session}
	if l.Serial == 0 {
		return k, true
	}
	var ok bool
	k.certificate, ok = s.CertificateIndex(l.Serial)
	return k, ok
}

// lockOf returns the lock that stops a user, a target, what came from a certificate
// (named by its entry), or a session. What is zero is not asked about.
func (s State) lockOf(user store.UserID, target, certificate store.Index, session store.SessionID) (Lock, bool) {
	for _, k := range [...]lockKey{{user: user}, {target: target}, {certificate: certificate}, {session: session}} {
		if k == (lockKey{}) {
			continue
		}
		if l, ok := s.locks.get(k); ok {
			return l, true
		}
	}
	return Lock{}, false
}

// lockOn returns the lock that stops a session which has started.
func (s State) lockOn(x Session) (Lock, bool) {
	if l, ok := s.lockOf(x.User, x.Target, x.Parent, x.ID); ok {
		return l, true
	}
	for _, entry := range x.Certificates {
		if l, ok := s.lockOf(store.UserID{}, 0, entry, store.SessionID{}); ok {
			return l, true
		}
	}
	return Lock{}, false
}

// LockOfUser returns the lock of a user.
func (s State) LockOfUser(user store.UserID) (Lock, bool) {
	return s.lockOf(user, 0, 0, store.SessionID{})
}

// LockOfTarget returns the lock of a target.
func (s State) LockOfTarget(target store.Index) (Lock, bool) {
	return s.lockOf(store.UserID{}, target, 0, store.SessionID{})
}

// Locks yields all locks in force, the oldest first.
func (s State) Locks() iter.Seq[Lock] {
	return func(yield func(Lock) bool) {
		for _, k := range s.lockKeys.all() {
			if l, ok := s.locks.get(k); ok && !yield(l) {
				return
			}
		}
	}
}

// LockedSession returns what the person of a session reads that a lock ends, or nil
// where none does.
func (s State) LockedSession(id store.SessionID) *Refusal {
	x, _ := s.sessions.get(id)
	if l, ok := s.lockOn(x); ok && !x.ID.IsZero() {
		return s.lockedSession(l)
	}
	return nil
}

// lockedSession is lockedOut for a session that does not start, or ends.
func (s State) lockedSession(l Lock) *Refusal {
	r := s.lockedOut(l)
	r.Reason = store.RefusedLock
	return r
}

// lockedOut is what whoever ran into a lock reads: what is locked, since when, and
// whom to ask; and not why, which is for those who may read it.
func (s State) lockedOut(l Lock) *Refusal {
	return &Refusal{
		Kind:    Forbidden,
		Message: fmt.Sprintf("%s is locked since %s", s.lockName(l), second(l.Time)),
		Hint:    fmt.Sprintf("ask an administrator; it is lock %d", l.Entry),
	}
}

// lockName is what a lock is on, in words.
func (s State) lockName(l Lock) string {
	switch {
	case !l.User.IsZero():
		if u, ok := s.users.get(l.User); ok && u.Handle != "" {
			return string(u.Handle)
		}
		return l.User.String()
	case l.Target != 0:
		t, _ := s.targets.get(l.Target)
		return "target " + string(t.Name)
	case !l.Session.IsZero():
		return "session " + l.Session.String()
	}
	return fmt.Sprintf("the certificate with the serial %d", l.Serial)
}

// taken reports whether a session can't have an ID: another one has it, one that was
// locked had it, or it is none.
func (s State) taken(id store.SessionID) bool {
	_, open := s.sessions.get(id)
	_, locked := s.lockOf(store.UserID{}, 0, 0, id)
	return open || locked || id.IsZero()
}

// A Lockable is what can be locked. Exactly one of its fields is set.
type Lockable struct {
	User    store.Handle
	Target  store.TargetName
	Session store.SessionID
	Serial  store.Serial
}

// find returns a Lockable as a Lock has it.
func (s State) find(what Lockable) (Lock, error) {
	named := 0
	for _, set := range []bool{what.User != "", what.Target != "", !what.Session.IsZero(), what.Serial != 0} {
		if set {
			named++
		}
	}
	switch {
	case named != 1:
		return Lock{}, &Refusal{Kind: Invalid, Message: "say what to lock: a user, a target, a session or a serial, and one of them"}
	case what.User != "":
		u, ok := s.UserByHandle(what.User)
		if !ok {
			return Lock{}, noUser(what.User)
		}
		return Lock{User: u.ID}, nil
	case what.Target != "":
		t, ok := s.TargetByName(what.Target)
		if !ok {
			return Lock{}, noTarget(what.Target)
		}
		return Lock{Target: t.Entry}, nil
	case !what.Session.IsZero():
		return Lock{Session: what.Session}, nil
	case what.Serial >= store.EmergencySerial:
		return Lock{}, &Refusal{
			Kind: Invalid, Message: fmt.Sprintf("serial %d is an emergency certificate's, which goes past VaultPAM and can't be stopped by it", what.Serial),
			Hint: "the emergency CA is trusted by the hosts: take it out of their TrustedUserCAKeys",
		}
	}
	return Lock{Serial: what.Serial}, nil
}

// AddLock stops something at once, until RemoveLock.
type AddLock struct {
	By   Caller
	What Lockable
	// Certificate is what the entry says of the certificate with the serial, which
	// the caller has read; nil where there is none.
	Certificate *store.CertificateIssued
	Why         string
	Salt        [32]byte // random
}

func (c AddLock) decide(s State, now store.Millis) (Decision, error) {
	actor, err := s.administrator(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	why, err := store.ParseWhy(c.Why)
	if err != nil {
		return Decision{}, invalid(err)
	}
	l, err := s.find(c.What)
	if err != nil {
		return Decision{}, err
	}
	if k, ok := s.key(l); ok {
		if old, locked := s.locks.get(k); locked {
			return Decision{}, &Refusal{
				Kind:    Conflict,
				Message: fmt.Sprintf("%s is locked already, since %s, by lock %d", s.lockName(old), second(old.Time), old.Entry),
				Hint:    "vaultpam lock ls",
			}
		}
	}
	if l.Of, err = c.mayLock(s, l); err != nil {
		return Decision{}, err
	}
	text := store.Opening{Owner: l.About(), Field: store.FieldLock, Salt: c.Salt, Text: why}
	return Decision{
		Actor: actor,
		Events: []store.Event{&store.LockAdded{
			User: l.User, Target: l.Target, Session: l.Session, Serial: l.Serial, Of: l.Of, Why: text.Commit(),
		}},
		Openings: []store.Opening{text},
	}, nil
}

// mayLock refuses locks that would stop nothing, and the one after which nobody
// could take any back. It returns whose session or certificate is locked.
func (c AddLock) mayLock(s State, l Lock) (store.UserID, error) {
	switch {
	case !l.User.IsZero():
		if u, _ := s.users.get(l.User); u.Has(store.RoleAdministrator) && s.lastAdministrator(u) {
			return store.UserID{}, &Refusal{
				Kind:    Conflict,
				Message: fmt.Sprintf("%s is the last administrator who can sign in, and nobody could unlock anything any more", u.Handle),
				Hint:    "first somebody else has to be one and enrol: vaultpam admin user add HANDLE --role administrator",
			}
		}
	case !l.Session.IsZero():
		x, ok := s.sessions.get(l.Session)
		if !ok {
			return store.UserID{}, &Refusal{
				Kind: NotFound, Message: fmt.Sprintf("session %s is not open", l.Session), Hint: "vaultpam audit ls --type session.started",
			}
		}
		return x.User, nil
	case l.Serial != 0:
		_, ok := s.CertificateIndex(l.Serial)
		if !ok || c.Certificate == nil {
			return store.UserID{}, noSerial(l.Serial)
		}
		if _, open := s.sessions.get(c.Certificate.Session); !open && c.Certificate.Kind == store.CertificateTarget {
			return store.UserID{}, &Refusal{
				Kind:    NotFound,
				Message: fmt.Sprintf("the certificate with the serial %d was for session %s, which is over", l.Serial, c.Certificate.Session),
				Hint:    "lock the user instead: vaultpam lock user HANDLE",
			}
		}
		return c.Certificate.User, nil
	}
	return store.UserID{}, nil
}

func noSerial(n store.Serial) error {
	return &Refusal{Kind: NotFound, Message: fmt.Sprintf("no certificate has the serial %d", n), Hint: "vaultpam audit ls --type certificate.issued"}
}

// RemoveLock takes a lock away. Why may be empty.
type RemoveLock struct {
	By   Caller
	What Lockable
	Why  string
	Salt [32]byte // random
}

func (c RemoveLock) decide(s State, now store.Millis) (Decision, error) {
	actor, err := s.administrator(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	wanted, err := s.find(c.What)
	if err != nil {
		return Decision{}, err
	}
	k, ok := s.key(wanted)
	if !ok {
		return Decision{}, noSerial(wanted.Serial)
	}
	l, ok := s.locks.get(k)
	if !ok {
		return Decision{}, &Refusal{Kind: NotFound, Message: s.lockName(wanted) + " is not locked", Hint: "vaultpam lock ls"}
	}
	e := &store.LockRemoved{Lock: l.Entry, User: l.About(), Target: l.Target}
	d := Decision{Actor: actor, Events: []store.Event{e}}
	if c.Why == "" {
		return d, nil
	}
	why, err := store.ParseWhy(c.Why)
	if err != nil {
		return Decision{}, invalid(err)
	}
	text := store.Opening{Owner: l.About(), Field: store.FieldLock, Salt: c.Salt, Text: why}
	e.Why, d.Openings = text.Commit(), []store.Opening{text}
	return d, nil
}

// whileLocked refuses what would give a locked user a way in.
func (s State) whileLocked(u User) error {
	l, ok := s.LockOfUser(u.ID)
	if !ok {
		return nil
	}
	return &Refusal{
		Kind:    Conflict,
		Message: fmt.Sprintf("%s is locked since %s and can't be invited", u.Handle, second(l.Time)),
		Hint:    fmt.Sprintf("first: vaultpam unlock user %s", u.Handle),
	}
}

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

// lockOut ends what a person has under way: sign-in sessions, and an invitation,
// which would be a way in again once they are unlocked.
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
	u.invitation = store.Hash{}
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
