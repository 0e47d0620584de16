package access_test

import (
	"bytes"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// A modelProposal is a change that was proposed, and whether somebody ended it.
type modelProposal struct {
	entry *store.Entry
	v     *store.ChangeProposed
	ended bool
}

func (m *model) administrates(user store.UserID) bool {
	u := m.users[user]
	return u != nil && u.admin && !m.locked(user, 0, store.SessionID{})
}

// proposalWaits reports whether a proposal waits for an answer: what it would change
// is as it was.
func (m *model) proposalWaits(entry store.Index, now store.Millis) bool {
	p := m.proposals[entry]
	if p == nil || p.ended || now >= p.v.Expires || !m.administrates(p.v.User) {
		return false
	}
	switch v := p.v; {
	case v.Grant != nil:
		t := m.targets[v.Grant.Target]
		for _, login := range v.Grant.Logins {
			if v.Target != 0 && (t == nil || !slices.Contains(t.Logins, login)) {
				return false
			}
		}
		return (v.Grant.Group == 0 || m.groups[v.Grant.Group] != nil) && (v.Grant.Until == 0 || now < v.Grant.Until) &&
			(v.Grant.Conditions.Approvers == 0 || m.groups[v.Grant.Conditions.Approvers] != nil)
	case v.Ungrant != nil:
		return m.grants[v.Ungrant.Grant] != nil
	case v.Join != nil:
		return m.groups[v.Join.Group] != nil && !m.groups[v.Join.Group].members[v.User]
	case v.Leave != nil:
		return m.groups[v.Leave.Group] != nil && m.groups[v.Leave.Group].members[v.User]
	default:
		return m.targets[v.Target] != nil && m.labelled[v.Target] < entry
	}
}

// mayDecide reports whether somebody is a second hand for a proposal.
func (m *model) mayDecide(user store.UserID, entry store.Index, now store.Millis) bool {
	if !m.proposalWaits(entry, now) || !m.administrates(user) || m.proposals[entry].v.User == user || m.users[user].adminSince > entry {
		return false
	}
	for factor, f := range m.users[user].factors {
		if factor < entry && !f.cloned {
			return true
		}
	}
	return false
}

// agreedTo reports whether an entry is a change that a second administrator has just
// agreed to: its actor, by the entry before it.
func (m *model) agreedTo(e *store.Entry) bool {
	before := m.company.entries[e.Index-1]
	v, ok := before.Event.(*store.RequestApproved)
	if !ok || before.Actor != e.Actor || before.Time != e.Time || m.proposals[v.Request] == nil {
		return false
	}
	return bytes.Equal(m.bare(e.Event), m.bare(m.proposals[v.Request].v.Change()))
}

func (m *model) bare(e store.Event) []byte {
	data, err := (&store.Entry{Event: e}).Encode()
	if err != nil {
		m.company.Fatal(err)
	}
	return data
}

func (m *model) seeChange(e *store.Entry) {
	end := func(entry store.Index) {
		if p := m.proposals[entry]; p != nil {
			p.ended = true
		}
	}
	switch v := e.Event.(type) {
	case *store.ChangeProposed:
		m.proposals[e.Index] = &modelProposal{entry: e, v: v}
	case *store.RequestApproved:
		end(v.Request)
	case *store.RequestDenied:
		end(v.Request)
	case *store.RequestWithdrawn:
		end(v.Request)
	case *store.UserRemoved:
		for entry, p := range m.proposals {
			if p.v.User == v.User {
				delete(m.proposals, entry)
			}
		}
	case *store.TargetLabelled:
		m.labelled[v.Target] = e.Index
	}
}

// judgeChange: what is proposed favours its actor and somebody could answer it; it is
// answered by a second administrator, whose signature verifies; and what they agree
// to is the next entry.
func (m *model) judgeChange(e *store.Entry, bad func(string)) {
	m.company.Helper()
	switch v := e.Event.(type) {
	case *store.ChangeProposed:
		if !m.mayAdminister(e) || e.Actor.User != v.User || m.selfGrant {
			bad("by no administrator, for another, or where nobody has to")
		}
		others := 0
		for id, u := range m.users {
			if id != v.User && m.administrates(id) && m.left(u, 0) {
				others++
			}
		}
		if others == 0 {
			bad("to nobody")
		}
		if v.Grant != nil && !m.mine(v.Grant, v.User) || v.Join != nil && v.Join.User != v.User {
			bad("for somebody else")
		}
	case *store.RequestApproved:
		if m.proposals[v.Request] == nil {
			return
		}
		if !m.mayDecide(e.Actor.User, v.Request, e.Time) || v.Factor > v.Request {
			bad("by no second administrator")
		}
		m.verify(e, v, bad)
		if next := m.company.entries[e.Index+1]; !m.agreedTo(next) {
			bad("and the next entry is not what was proposed")
		}
	case *store.RequestDenied:
		if m.proposals[v.Request] != nil && !m.mayDecide(e.Actor.User, v.Request, e.Time) {
			bad("by no second administrator")
		}
	case *store.RequestWithdrawn:
		if p := m.proposals[v.Request]; p != nil && (e.Actor.User != p.v.User || !m.proposalWaits(v.Request, e.Time)) {
			bad("not by who proposed it, or too late")
		}
	}
}

// changeCommand draws something about administrators' own access.
func (w *world) changeCommand(board []approver) access.Command {
	by, other := rapid.SampledFrom(board).Draw(w.t, "administrator"), rapid.SampledFrom(board).Draw(w.t, "other administrator")
	proposal := known(w, "proposal", w.proposals, 0)
	group := one[store.GroupName](w, "group", "dba", "ops")
	place := access.Place{Source: "192.0.2.7", Salt: w.random()}
	switch rapid.IntRange(0, 13).Draw(w.t, "about changes") {
	case 0:
		return access.AddMember{By: by.caller(), Group: group, User: by.handle, Place: place}
	case 1:
		return access.RemoveMember{By: by.caller(), Group: group, User: by.handle, Place: place}
	case 2:
		return access.RemoveGrant{By: by.caller(), Grant: known(w, "grant", w.grants, 0), Place: place}
	case 3:
		return access.LabelTarget{By: by.caller(), Name: w.anyTarget(), Labels: one(w, "labels", "env=prod", "env=dev,role=db", ""), Place: place}
	case 4, 5:
		c := w.addGrant().(access.AddGrant)
		c.By, c.User, c.Group, c.Place = by.caller(), by.handle, "", place
		if w.seldom("to a group") {
			c.User, c.Group = "", group
		}
		return c
	case 6:
		return access.DenyRequest{By: other.caller(), Request: proposal, Comment: "no", Salt: w.random()}
	case 7:
		return access.WithdrawRequest{By: by.caller(), Request: proposal}
	case 8:
		if w.seldom("lock") {
			return access.AddLock{By: local, What: access.Lockable{User: by.handle}, Why: "who knows", Salt: w.random()}
		}
		return access.RemoveMember{By: local, Group: group, User: by.handle}
	default:
		c := w.approve(other.person, other.factor, proposal)
		if w.seldom("another proposal's signature") {
			c.Request = known(w, "other proposal", w.proposals, 0)
		}
		return c
	}
}

// expectChange says what must come of answers to proposals.
func (w *world) expectChange(cmd access.Command, at store.Millis) (want, known bool) {
	switch c := cmd.(type) {
	case access.ApproveRequest:
		p := w.model.proposals[c.Request]
		if p == nil {
			return false, false
		}
		key := &store.Passkey{PublicKey: coseKey()}
		data, err := p.entry.Encode()
		if err != nil {
			w.Fatal(err)
		}
		return w.model.signedIn(c.Assertion.User, c.SignIn, at) && w.model.mayAssert(c.Assertion) && w.model.mayDecide(c.Assertion.User, c.Request, at) &&
			c.Assertion.Factor < c.Request && c.Signed.Verify(store.ApprovalChallenge(store.RequestHash(data), c.Nonce), key, "pam.example.eu") == nil, true
	case access.DenyRequest:
		x := w.model.byToken(c.By, at)
		return x != nil && w.model.mayDecide(x.user, c.Request, at), w.model.proposals[c.Request] != nil
	case access.WithdrawRequest:
		x, p := w.model.byToken(c.By, at), w.model.proposals[c.Request]
		return x != nil && p != nil && p.v.User == x.user && w.model.proposalWaits(c.Request, at), p != nil
	}
	return false, false
}

// lookAtProposals: the state has the proposals that the model has, and who may answer
// each is the same.
func (w *world) lookAtProposals(now store.Millis) {
	w.Helper()
	seen := 0
	for r := range w.state.Requests() {
		p := w.model.proposals[r.Entry]
		if (p != nil) != (r.Change != nil) {
			w.Fatalf("%+v is a proposal, or is not", r)
		}
		if p == nil {
			continue
		}
		seen++
		if waits := w.state.RequestState(r, now) == access.RequestWaits; waits != w.model.proposalWaits(r.Entry, now) {
			w.Fatalf("proposal %d waits: %v", r.Entry, waits)
		}
		for _, id := range w.users {
			if u, ok := w.state.User(id); ok && w.state.MayAnswer(u, r, now) != w.model.mayDecide(id, r.Entry, now) {
				w.Fatalf("%s may answer proposal %d: %v", u.Handle, r.Entry, !w.model.mayDecide(id, r.Entry, now))
			}
		}
	}
	waiting := 0
	for entry, p := range w.model.proposals {
		if now < p.v.Expires+store.Millis(24*time.Hour/time.Millisecond) {
			waiting++
		} else if _, ok := w.state.Request(entry); ok {
			waiting++ // forgotten when the next one comes
		}
	}
	if seen != waiting {
		w.Fatalf("%d proposals, the model has %d", seen, waiting)
	}
}
