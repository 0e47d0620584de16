package access

import (
	"errors"
	"slices"

	"github.com/vaultpam/vaultpam/store"
)

var errNoRequest = errors.New("no such request waits")

func (a *applier) requestMade(e *store.RequestMade) error {
	if !a.requestable(e.User, e.Base, e.Target, e.Login) {
		return errors.New("no grant by which that can be requested")
	}
	if _, err := a.mustUser(e.User); err != nil {
		return err
	}
	return a.takeIn(Request{
		User: e.User, Target: e.Target, Login: e.Login, Base: e.Base, For: e.For,
		Lasts: e.Lasts, Reason: e.Reason, Ticket: e.Ticket, Source: e.Source, Expires: e.Expires,
	})
}

// takeIn adds what the entry asks for, and forgets what nobody asks about any more:
// the table stays as small as a week's requests.
func (a *applier) takeIn(r Request) error {
	data, err := a.entry.Encode()
	if err != nil {
		return err
	}
	r.Entry, r.Hash, r.Made = a.entry.Index, store.RequestHash(data), a.entry.Time
	for old := range a.Requests() {
		if old.Expires+requestMemory <= a.entry.Time {
			a.requests = a.requests.drop(old.Entry)
		}
	}
	a.requests = a.requests.set(r.Entry, r)
	return nil
}

// open returns a request that has not ended, if it is whose and about what its entry
// says.
func (a *applier) open(request store.Index, user store.UserID, target store.Index) (Request, error) {
	r, ok := a.requests.get(request)
	if !ok || r.User != user || r.Target != target || r.Ended != "" || r.Grant != 0 {
		return Request{}, errNoRequest
	}
	return r, nil
}

func (a *applier) requestApproved(e *store.RequestApproved) error {
	r, err := a.open(e.Request, e.User, e.Target)
	if err != nil {
		return err
	}
	r.Approvals = append(slices.Clip(r.Approvals), Approval{
		Entry: a.entry.Index, User: a.entry.Actor.User, Factor: e.Factor, Kind: e.Kind, Time: a.entry.Time, Comment: e.Comment,
	})
	if r.Change != nil { // the next entry is the change
		r.Ended, r.EndedBy = RequestApproved, a.entry.Index
	}
	a.requests = a.requests.set(r.Entry, r)
	return a.used(a.entry.Actor.User, e.Factor, e.Step, e.Assertion.Counter())
}

// agreed reports whether the entry is a change that was proposed: the entry before it
// approved it.
func (a *applier) agreed() bool {
	for _, r := range a.requests.all() {
		if r.Change != nil && r.Ended == RequestApproved && r.EndedBy+1 == a.entry.Index {
			return true
		}
	}
	return false
}

func (a *applier) requestEnded(request store.Index, user store.UserID, target store.Index, how RequestState) error {
	r, err := a.open(request, user, target)
	if err != nil {
		return err
	}
	r.Ended, r.EndedBy = how, a.entry.Index
	a.requests = a.requests.set(r.Entry, r)
	return nil
}

// fulfilled takes in that a grant answers a request.
func (a *applier) fulfilled(e *store.GrantAdded) error {
	if e.Request == 0 {
		return nil
	}
	r, err := a.open(e.Request, e.User, e.Target)
	if err != nil {
		return err
	}
	if r.Base != e.Base {
		return errors.New("the request is for another grant")
	}
	r.Grant = a.entry.Index
	a.requests = a.requests.set(r.Entry, r)
	return nil
}

// forgetRequests takes out what a user who is removed asked for and approved.
func (a *applier) forgetRequests(user store.UserID) {
	for r := range a.Requests() {
		if r.User == user {
			a.requests = a.requests.drop(r.Entry)
			continue
		}
		if by := func(x Approval) bool { return x.User == user }; slices.ContainsFunc(r.Approvals, by) {
			r.Approvals = slices.DeleteFunc(slices.Clone(r.Approvals), by)
			a.requests = a.requests.set(r.Entry, r)
		}
	}
}
