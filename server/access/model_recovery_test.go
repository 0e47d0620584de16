package access_test

import (
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

const (
	modelHour = 3_600_000
	modelDay  = 24 * modelHour
)

// modelRecovery is the recovery of an administrator that was begun last and has
// neither been stopped nor finished.
type modelRecovery struct {
	entry store.Index
	user  store.UserID
	ready store.Millis
}

// recovering returns the recovery that is under way, or nil.
func (m *model) recovering(now store.Millis) *modelRecovery {
	if r := m.recovery; r != nil && now < r.ready+modelDay {
		return r
	}
	return nil
}

// named returns who has a handle, or the zero ID.
func (m *model) named(handle store.Handle) store.UserID {
	for id, u := range m.users {
		if text, ok := m.company.text(u.handle); ok && text == string(handle) && handle != "" {
			return id
		}
	}
	return store.UserID{}
}

// somebodyAdministers reports whether an administrator has a factor.
func (m *model) somebodyAdministers() bool {
	for _, u := range m.users {
		for _, f := range u.factors {
			if u.admin && !f.cloned {
				return true
			}
		}
	}
	return false
}

func (m *model) seeRecovery(e *store.Entry) {
	switch v := e.Event.(type) {
	case *store.UserContact:
		m.users[v.User].contact = v.Email
	case *store.RecoveryBegun:
		m.recovery = &modelRecovery{e.Index, v.User, v.Ready}
	case *store.RecoveryStopped:
		m.recovery = nil
	case *store.RecoveryFinished:
		m.recovery = nil
		if u := m.users[v.User]; !u.admin {
			u.admin, u.adminSince = true, e.Index
		}
	}
}

func (m *model) judgeAdministrator(e *store.Entry, bad func(string)) {
	m.company.Helper()
	switch v := e.Event.(type) {
	case *store.UserContact:
		own := e.Actor.User == v.User && !e.Actor.Local && m.here(v.User, e.Time)
		if m.users[v.User] == nil || !own && !m.mayAdminister(e) {
			bad("neither their own nor by an administrator")
		}
	case *store.RecoveryBegun:
		if !e.Actor.Local || m.users[v.User] == nil || m.recovering(e.Time) != nil {
			bad("not from the server's own machine, of nobody, or beside another")
		}
		pause := v.Ready - e.Time
		if m.somebodyAdministers() && (pause < modelHour || pause > 7*modelDay) || !m.somebodyAdministers() && pause != 0 {
			bad("with another pause than there has to be")
		}
	case *store.RecoveryStopped:
		if r := m.recovering(e.Time); r == nil || r.entry != v.Begun || r.user != v.User || !m.mayAdminister(e) {
			bad("of no recovery, or not by an administrator")
		}
	case *store.RecoveryFinished:
		if r := m.recovering(e.Time); r == nil || r.entry != v.Begun || r.user != v.User || e.Time < r.ready || !e.Actor.Local {
			bad("of no recovery, too early, or not from the server's own machine")
		}
	}
}

// here reports whether somebody is signed in.
func (m *model) here(user store.UserID, now store.Millis) bool {
	for entry, x := range m.signIns {
		if x.user == user && m.signedIn(user, entry, now) {
			return true
		}
	}
	return false
}

// expectRecovery says what must have been allowed. The second result is false
// where that is another question's.
func (w *world) expectRecovery(cmd access.Command, at store.Millis) (want, known bool) {
	r := w.model.recovering(at)
	switch c := cmd.(type) {
	case access.BeginRecovery:
		good := access.MinRecoverPause <= c.Pause && c.Pause <= access.MaxRecoverPause
		user := w.model.named(c.Handle)
		named := w.model.users[user]
		return c.By.Local && good && r == nil && named != nil && !named.bot && !w.model.locked(user, 0, store.SessionID{}), true
	case access.FinishRecovery:
		if !c.By.Local {
			return false, true
		}
		return r != nil && r.ready <= at && w.model.named(c.Handle) == r.user && !w.model.locked(r.user, 0, store.SessionID{}), w.fresh(c.Invite)
	case access.StopRecovery:
		x := w.model.byToken(c.By, at)
		return r != nil && (c.By.Local || x != nil && w.model.users[x.user].admin), true
	case access.SetContact:
		whose := w.model.named(c.Handle)
		x := w.model.byToken(c.By, at)
		if x != nil && c.Handle == "" {
			whose = x.user
		}
		u := w.model.users[whose]
		good := u != nil && !u.bot && (c.Email == "" && u.contact != store.Commitment{} || c.Email == "carol@example.eu")
		return good && (c.By.Local && c.Handle != "" || x != nil && (x.user == whose || w.model.users[x.user].admin)), true
	}
	return false, false
}

// fresh reports whether an invitation's token was never seen.
func (w *world) fresh(i access.Invite) bool {
	for _, old := range w.invitations {
		if old == i.Token {
			return false
		}
	}
	return i.Token != store.Hash{}
}

// lookAtPeople compares addresses and recoveries with what the model knows.
func (w *world) lookAtPeople(now store.Millis) {
	w.Helper()
	for id, u := range w.model.users {
		if got, ok := w.state.User(id); !ok || got.Contact != u.contact || got.Bot != u.bot || u.bot && len(got.Roles) > 0 || got.Has(store.RoleAdministrator) != u.admin {
			w.Fatalf("user %s: %+v, want the contact %x and administrator %v", id, got, u.contact, u.admin)
		}
	}
	p, ok := w.state.Recovery(now)
	if r := w.model.recovering(now); ok != (r != nil) || ok && (p.Entry != r.entry || p.User != r.user || p.Ready != r.ready) {
		w.Fatalf("recovery %+v, %v, want %+v", p, ok, r)
	}
}

// recoverAdmin draws a command about an administrator's recovery, mostly what
// comes next.
func (w *world) recoverAdmin() access.Command {
	r := w.model.recovering(max(w.at(), w.state.Time()))
	handle := store.Handle(w.anyHandle())
	if r != nil && !w.seldom("somebody else") {
		text, _ := w.text(w.model.users[r.user].handle)
		handle = store.Handle(text)
	}
	next := "begin"
	if r != nil {
		next = one(w, "next of a recovery", "finish", "finish", "begin", "stop")
	}
	if w.seldom("out of order") {
		next = one(w, "any of a recovery", "finish", "begin", "stop")
	}
	by := local
	if w.seldom("recovery by") {
		by = w.by()
	}
	switch next {
	case "begin":
		pause := one(w, "recovery pause", access.MinRecoverPause, 2*access.MinRecoverPause, access.MaxRecoverPause, 0, access.MinRecoverPause-1, access.MaxRecoverPause+1)
		return access.BeginRecovery{By: by, Handle: handle, Pause: pause}
	case "stop":
		return access.StopRecovery{By: w.by()}
	default:
		return access.FinishRecovery{By: by, Handle: handle, Invite: w.invite()}
	}
}
