package access_test

import (
	"maps"
	"slices"

	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// seeLock takes in locks, what they end, and the serials that they can name.
func (m *model) seeLock(e *store.Entry) {
	switch v := e.Event.(type) {
	case *store.LockAdded:
		m.locks[e.Index] = v
		maps.DeleteFunc(m.signIns, func(_ store.Index, x *modelSignIn) bool { return x.user == v.User })
		maps.DeleteFunc(m.invited, func(_ store.Hash, id store.UserID) bool { return id == v.User })
		if u := m.users[v.User]; u != nil {
			u.join = nil
		}
	case *store.LockRemoved:
		delete(m.locks, v.Lock)
	case *store.UserRemoved:
		maps.DeleteFunc(m.locks, func(_ store.Index, l *store.LockAdded) bool { return l.User == v.User })
	case *store.TargetRemoved:
		maps.DeleteFunc(m.locks, func(_ store.Index, l *store.LockAdded) bool { return l.Target == v.Target })
	case *store.InvitationCreated:
		maps.DeleteFunc(m.invited, func(_ store.Hash, id store.UserID) bool { return id == v.User })
		m.invited[v.Token] = v.User
	case *store.CertificateIssued:
		if v.Kind == store.CertificateTarget && !v.Direct {
			m.onward[v.Session] = append(m.onward[v.Session], m.company.state.SerialOf(e.Index))
		}
	}
}

// locked reports whether a lock is on any of these; zero ones are none.
func (m *model) locked(user store.UserID, target store.Index, session store.SessionID, serials ...store.Serial) bool {
	for _, l := range m.locks {
		if !l.User.IsZero() && l.User == user || l.Target != 0 && l.Target == target ||
			!l.Session.IsZero() && l.Session == session || l.Serial != 0 && slices.Contains(serials, l.Serial) {
			return true
		}
	}
	return false
}

// lockedSession reports whether a lock ends a session.
func (m *model) lockedSession(x *store.SessionStarted) bool {
	serials := m.onward[x.Session]
	if x.Certificate != 0 {
		serials = append(slices.Clone(serials), m.company.state.SerialOf(x.Certificate))
	}
	return m.locked(x.User, x.Target, x.Session, serials...)
}

// judgeLock: locks are an administrator's, one on a thing, and nobody who is locked
// gets a way in.
func (m *model) judgeLock(e *store.Entry, bad func(string)) {
	m.company.Helper()
	switch v := e.Event.(type) {
	case *store.LockAdded:
		if !m.mayAdminister(e) || m.locked(v.User, v.Target, v.Session, v.Serial) {
			bad("not by an administrator, or twice")
		}
		if u := m.users[v.User]; u != nil && u.admin && !m.anotherAdministers(v.User) {
			bad("of the last administrator")
		}
	case *store.LockRemoved:
		if !m.mayAdminister(e) || m.locks[v.Lock] == nil {
			bad("not by an administrator, or of no lock")
		}
	case *store.SignInSucceeded:
		if m.locked(v.User, 0, store.SessionID{}) {
			bad("of somebody who is locked")
		}
	case *store.FactorEnrolled:
		if m.locked(v.User, 0, store.SessionID{}) {
			bad("of somebody who is locked")
		}
	case *store.InvitationCreated:
		if m.locked(v.User, 0, store.SessionID{}) {
			bad("of somebody who is locked")
		}
	case *store.SessionStarted:
		if m.lockedSession(v) {
			bad("though a lock is on it")
		}
	case *store.CertificateIssued:
		if x := m.sessions[v.Session]; m.locked(v.User, v.Target, v.Session) || x != nil && m.lockedSession(x) {
			bad("though a lock is on it")
		}
	}
}

// anotherAdministers reports whether beside a user there is an administrator who is
// not locked, and has a factor if that user has one.
func (m *model) anotherAdministers(than store.UserID) bool {
	enrolled := func(u *modelUser) bool { return m.left(u, 0) }
	for id, u := range m.users {
		if id != than && u.admin && !m.locked(id, 0, store.SessionID{}) && (enrolled(u) || !enrolled(m.users[than])) {
			return true
		}
	}
	return false
}

// administers reports whether a caller may do what administrators may.
func (m *model) administers(c access.Caller, now store.Millis) bool {
	if c.Local {
		return true
	}
	x := m.byToken(c, now)
	return x != nil && m.users[x.user].admin
}

// find returns a Lockable as an entry has it, and whether there is such a thing.
func (m *model) find(what access.Lockable) (l store.LockAdded, ok bool) {
	switch {
	case what.User != "":
		l.User = m.named(what.User)
		return l, !l.User.IsZero()
	case what.Target != "":
		for entry, t := range m.targets {
			if t.Name == what.Target {
				l.Target = entry
			}
		}
		return l, l.Target != 0
	}
	l.Session, l.Serial = what.Session, what.Serial
	return l, true
}

// expectLock says what must have been allowed of a command about locks.
func (w *world) expectLock(cmd access.Command, at store.Millis) (want, known bool) {
	m := w.model
	switch c := cmd.(type) {
	case access.AddLock:
		l, ok := m.find(c.What)
		if ok && !l.User.IsZero() && m.users[l.User].admin {
			ok = m.anotherAdministers(l.User)
		}
		if !l.Session.IsZero() {
			ok = m.sessions[l.Session] != nil
		}
		if l.Serial != 0 {
			_, given := w.state.CertificateIndex(l.Serial)
			ok = given && (c.Certificate.Kind == store.CertificateUser || m.sessions[c.Certificate.Session] != nil)
		}
		return ok && c.Why != "" && m.administers(c.By, at) && !m.locked(l.User, l.Target, l.Session, l.Serial), true
	case access.RemoveLock:
		l, ok := m.find(c.What)
		return ok && m.administers(c.By, at) && m.locked(l.User, l.Target, l.Session, l.Serial), true
	case access.SignInWithTOTP:
		return false, m.locked(c.User, 0, store.SessionID{})
	case access.InviteUser:
		return false, m.locked(m.named(c.Handle), 0, store.SessionID{})
	case access.Enroll:
		return false, m.invited[c.Invitation].IsZero()
	}
	return false, false
}

// lookAtLocks: the state has exactly the locks that the model has.
func (w *world) lookAtLocks() {
	w.Helper()
	n := 0
	for l := range w.state.Locks() {
		n++
		v := w.model.locks[l.Entry]
		if v == nil || l.User != v.User || l.Target != v.Target || l.Session != v.Session || l.Serial != v.Serial || l.Of != v.Of || l.Why != v.Why {
			w.Fatalf("lock %+v, the model has %+v", l, v)
		}
	}
	if n != len(w.model.locks) {
		w.Fatalf("%d locks, the model has %d", n, len(w.model.locks))
	}
	for _, id := range w.users {
		if w.model.locked(id, 0, store.SessionID{}) && len(w.state.Reaches(id, w.state.Time())) > 0 {
			w.Fatalf("%s is locked and reaches targets", id)
		}
	}
}

// lockCommand draws a lock or its end, mostly of what is there.
func (w *world) lockCommand() access.Command {
	what, certificate := w.lockable()
	if l := w.anyLock(); l != nil && rapid.Bool().Draw(w.t, "unlock") || w.seldom("unlock nothing") {
		if l != nil && !w.seldom("another") {
			what = w.nameOf(l)
		}
		return access.RemoveLock{By: w.by(), What: what, Why: one(w, "why not", "", "the laptop is back"), Salt: w.random()}
	}
	return access.AddLock{
		By: w.by(), What: what, Certificate: certificate, Why: one(w, "why", "a stolen laptop", "a stolen laptop", "a stolen laptop", ""), Salt: w.random(),
	}
}

// lockable draws something to lock, and what its certificate's entry says. Worlds
// take sign-ins for the certificates of sessions.
func (w *world) lockable() (access.Lockable, *store.CertificateIssued) {
	switch rapid.IntRange(0, 4).Draw(w.t, "lockable") {
	case 0, 1:
		return access.Lockable{User: store.Handle(w.anyHandle())}, nil
	case 2:
		return access.Lockable{Target: w.anyTarget()}, nil
	case 3:
		return access.Lockable{Session: known(w, "locked session", w.sessions, w.sessionID())}, nil
	}
	id := known(w, "its session", w.sessions, w.sessionID())
	if serials := w.model.onward[id]; len(serials) > 0 && rapid.Bool().Draw(w.t, "onward") {
		return access.Lockable{Serial: serials[len(serials)-1]}, &store.CertificateIssued{Kind: store.CertificateTarget, Session: id}
	}
	serial := w.state.SerialOf(known(w, "certificate", w.signIns[1:], 1<<40))
	return access.Lockable{Serial: serial}, &store.CertificateIssued{Kind: store.CertificateUser}
}

// anyLock draws one of the locks that are there.
func (w *world) anyLock() *store.LockAdded {
	entries := slices.Sorted(maps.Keys(w.model.locks))
	if len(entries) == 0 {
		return nil
	}
	return w.model.locks[rapid.SampledFrom(entries).Draw(w.t, "lock")]
}

func (w *world) nameOf(l *store.LockAdded) access.Lockable {
	what := access.Lockable{Session: l.Session, Serial: l.Serial}
	if u := w.model.users[l.User]; u != nil {
		text, _ := w.text(u.handle)
		what.User = store.Handle(text)
	}
	if t := w.model.targets[l.Target]; t != nil {
		what.Target = t.Name
	}
	return what
}
