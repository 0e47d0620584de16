package access

import (
	"cmp"
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

// Lock returns the lock of an entry.
func (s State) Lock(entry store.Index) (Lock, bool) {
	k, ok := s.lockKeys.get(entry)
	if !ok {
		return Lock{}, false
	}
	return s.locks.get(k)
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

// whileLocked refuses what would give a locked user a way in.
func (s State) whileLocked(u User) error {
	l, ok := s.LockOfUser(u.ID)
	if !ok {
		return nil
	}
	what := "no invitation"
	if u.Bot {
		what = "no key and no token to join with"
	}
	return &Refusal{
		Kind:    Conflict,
		Message: fmt.Sprintf("%s is locked since %s, and gets %s", u.Handle, second(l.Time), what),
		Hint:    fmt.Sprintf("an administrator unlocks them first: vaultpam unlock user %s", u.Handle),
	}
}
