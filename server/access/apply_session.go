package access

import (
	"errors"
	"slices"

	"github.com/vaultpam/vaultpam/store"
)

// certificateIssued takes in that a sign-in session is being used, what a session
// opens its target with, and until when somebody's own key opens a target by its
// name. That of a session never leaves the relay.
func (a *applier) certificateIssued(e *store.CertificateIssued) {
	if e.Direct {
		a.grantsUsed(e.Grant)
	}
	if t, ok := a.targets.get(e.Target); ok && e.Direct && t.Certified < e.Expires {
		t.Certified = e.Expires
		a.targets = a.targets.set(t.Entry, t)
	}
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
	a.grantsUsed(append([]store.Index{e.Grant}, e.Also...)...)
	return a.errandStarted(e)
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
	a.letIn(x, e)
	a.errandEnded(x)
	return nil
}
