package access

import (
	"errors"
	"slices"

	"github.com/vaultpam/vaultpam/store"
)

// certificateIssued takes in that a sign-in session is being used, and what a
// session opens its target with.
func (a *applier) certificateIssued(e *store.CertificateIssued) {
	if x, ok := a.sessions.get(e.Session); ok && e.Kind == store.CertificateTarget {
		x.Certificates = append(slices.Clip(x.Certificates), a.entry.Index)
		a.sessions = a.sessions.set(x.ID, x)
	}
	if x, ok := a.signIns.get(e.SignIn); ok {
		x.Used = a.entry.Time
		a.signIns = a.signIns.set(x.Entry, x)
	}
}

func (a *applier) sessionStarted(e *store.SessionStarted) error {
	if _, ok := a.sessions.get(e.Session); ok {
		return errors.New("the session has started already")
	}
	a.sessions = a.sessions.set(e.Session, Session{
		ID: e.Session, Entry: a.entry.Index, User: e.User, Target: e.Target, Login: e.Login,
		Grant: e.Grant, Started: a.entry.Time, Parent: e.Certificate, Touched: e.Touched, Errand: e.Errand,
	})
	a.grantUsed(e.Grant)
	return a.errandStarted(e)
}

// grantUsed takes in that a session stands on a grant, and where that answers a
// request on the one that could be requested.
func (a *applier) grantUsed(entry store.Index) {
	g, ok := a.Grant(entry)
	if !ok {
		return
	}
	g.Used = a.entry.Time
	a.setGrant(g)
	if g.Base != 0 {
		a.grantUsed(g.Base)
	}
}

// sessionRefused remembers a refusal for a minute, and none for longer: the
// table stays as small as a minute's refusals.
func (a *applier) sessionRefused(e *store.SessionRefused) {
	for k, at := range a.refusals.all() {
		if a.entry.Time-at >= refusalWindow {
			a.refusals = a.refusals.drop(k)
		}
	}
	a.refusals = a.refusals.set(refusal{e.User, e.Target, e.Login, e.Reason}, a.entry.Time)
}

func (a *applier) sessionEnded(e *store.SessionEnded) error {
	x, ok := a.sessions.get(e.Session)
	if !ok {
		return errors.New("no such session is open")
	}
	a.sessions = a.sessions.drop(e.Session)
	a.errandEnded(x)
	return nil
}
