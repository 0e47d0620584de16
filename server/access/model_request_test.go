package access_test

import (
	"cmp"
	"time"

	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// A modelRequest is a request with everything that was said to it.
type modelRequest struct {
	entry     store.Index
	made      *store.RequestMade
	approvals []*store.Entry
	ended     bool
}

// requestable reports whether a grant is one whose conditions the user may fulfil
// for a login of a target.
func (m *model) requestable(user store.UserID, base, target store.Index, login store.Login) bool {
	g := m.grants[base]
	return g != nil && !g.Forbids && g.Request == 0 && (g.Conditions.Reason || g.Conditions.Ticket != "" || g.Conditions.Approvals != 0) &&
		m.users[user] != nil && m.targets[target] != nil && m.mine(g, user) && m.about(g, target, login)
}

// waits reports whether a request waits for an answer.
func (m *model) waits(entry store.Index, now store.Millis) bool {
	r := m.requests[entry]
	return r != nil && !r.ended && now < r.made.Expires && m.requestable(r.made.User, r.made.Base, r.made.Target, r.made.Login)
}

// mayAnswer reports whether somebody may answer a request.
func (m *model) mayAnswer(user store.UserID, entry store.Index, now store.Millis) bool {
	if !m.waits(entry, now) {
		return false
	}
	r := m.requests[entry]
	group, u := m.groups[m.grants[r.made.Base].Conditions.Approvers], m.users[user]
	return r.made.User != user && group != nil && group.members[user] && u != nil && u.approver
}

// agreed are the people whose approvals of a request count.
func (m *model) agreed(r *modelRequest) map[store.UserID]bool {
	all := map[store.UserID]bool{}
	for _, e := range r.approvals {
		user := e.Actor.User
		group, u := m.groups[m.grants[r.made.Base].Conditions.Approvers], m.users[user]
		if group == nil || u == nil || !group.members[user] || group.since[user] > e.Index || !u.approver {
			continue
		}
		if f := u.factors[e.Event.(*store.RequestApproved).Factor]; f == nil || !f.cloned {
			all[user] = true
		}
	}
	return all
}

// fits reports whether a grant lets that be requested now, whatever words go with it.
func (m *model) fits(r *store.RequestMade, now store.Millis) bool {
	g := m.grants[r.Base]
	longest := store.Millis(24 * 3_600_000)
	if g.Conditions.Longest != 0 {
		longest = store.Millis(g.Conditions.Longest) * 60_000
	}
	if !m.live(g, now) || r.Lasts > longest {
		return false
	}
	says := func(p store.Purposes) modelUses {
		if len(p) == 0 {
			return readUses("shell; exec; no-tty; sftp=read-write")
		}
		return readUses(p.String())
	}
	all, wanted := says(g.For), says(g.For)
	if len(r.For) > 0 {
		wanted = says(r.For)
	}
	for name, limits := range wanted {
		for limit := range limits {
			if !all[name][limit] && !all[name][""] && !(limit == "read-only" && all[name]["read-write"]) {
				return false
			}
		}
	}
	for _, rail := range m.grants {
		if !rail.Forbids || !m.mine(rail, r.User) || !m.about(rail, r.Target, r.Login) || !m.live(rail, now) {
			continue
		}
		left := 0
		for name, limits := range wanted {
			forbidden := readUses(rail.For.String())[name]
			if len(rail.For) > 0 && (forbidden == nil || name == "sftp" && forbidden["read-write"] && len(limits) > 0) {
				left++
			}
		}
		if left == 0 {
			return false
		}
	}
	return true
}

func (m *model) seeRequest(e *store.Entry) {
	switch v := e.Event.(type) {
	case *store.UserRemoved:
		for entry, r := range m.requests {
			if r.made.User == v.User {
				delete(m.requests, entry)
				continue
			}
			var left []*store.Entry
			for _, a := range r.approvals {
				if a.Actor.User != v.User {
					left = append(left, a)
				}
			}
			r.approvals = left
		}
	case *store.RequestMade:
		m.requests[e.Index] = &modelRequest{entry: e.Index, made: v}
	case *store.RequestApproved:
		if r := m.requests[v.Request]; r != nil {
			r.approvals = append(r.approvals, e)
		}
		f := m.users[e.Actor.User].factors[v.Factor]
		f.counter = v.Assertion.Counter()
	case *store.RequestDenied:
		m.end(v.Request)
	case *store.RequestWithdrawn:
		m.end(v.Request)
	case *store.GrantAdded:
		if v.Request != 0 {
			m.requests[v.Request].ended = true
		}
	}
}

func (m *model) end(request store.Index) {
	if r := m.requests[request]; r != nil {
		r.ended = true
	}
}

func (m *model) judgeRequest(e *store.Entry, v *store.RequestMade, bad func(string)) {
	m.company.Helper()
	switch g := m.grants[v.Base]; {
	case e.Actor.User != v.User:
		bad("by somebody else")
	case !m.requestable(v.User, v.Base, v.Target, v.Login):
		bad("by no grant")
	case !m.fits(v, e.Time):
		bad("for more than the grant says")
	case g.Conditions.Reason && v.Reason == store.Commitment{}:
		bad("without its reason")
	}
}

func (m *model) judgeApproval(e *store.Entry, v *store.RequestApproved, bad func(string)) {
	m.company.Helper()
	if !m.mayAnswer(e.Actor.User, v.Request, e.Time) || m.agreed(m.requests[v.Request])[e.Actor.User] {
		bad("by nobody who may answer it, or twice")
	}
	m.verify(e, v, bad)
}

// verify holds an approval to what anybody verifies of it.
func (m *model) verify(e *store.Entry, v *store.RequestApproved, bad func(string)) {
	m.company.Helper()
	read := func(i store.Index) []byte {
		data, err := m.company.entries[i].Encode()
		if err != nil {
			m.company.Fatal(err)
		}
		return data
	}
	if err := store.VerifyApproval(read(v.Request), read(e.Index), read(v.Factor), "pam.example.eu"); err != nil {
		bad(err.Error())
	}
}

// judgeAnswer: a grant that answers a request is what was requested, no more, and
// as many agreed as the grant behind it asks for.
func (m *model) judgeAnswer(e *store.Entry, v *store.GrantAdded, bad func(string)) {
	m.company.Helper()
	if !m.waits(v.Request, e.Time) {
		bad("to nothing that waits")
		return
	}
	r := m.requests[v.Request]
	base := m.grants[r.made.Base]
	if uint64(len(m.agreed(r))) < base.Conditions.Approvals {
		bad("without its approvals")
	}
	purposes := r.made.For
	if len(purposes) == 0 {
		purposes = base.For
	}
	if v.User != r.made.User || v.Target != r.made.Target || len(v.Logins) != 1 || v.Logins[0] != r.made.Login || v.Base != r.made.Base ||
		v.For.String() != purposes.String() || v.Hours.String() != base.Hours.String() || v.Conditions.Passkey != base.Conditions.Passkey {
		bad("for something else")
	}
	if v.From != e.Time || v.Until > e.Time+r.made.Lasts || base.Until != 0 && v.Until > base.Until || !m.fits(r.made, e.Time) {
		bad("for longer, or too late")
	}
}

// An approver is a person with a passkey.
type approver struct {
	person
	factor store.Index
}

// requestCommand draws something about requests.
func (w *world) requestCommand(people []person, leads []approver) access.Command {
	p := rapid.SampledFrom(people).Draw(w.t, "requester")
	by := rapid.SampledFrom(leads).Draw(w.t, "approver")
	request := known(w, "request", w.requests, 0)
	switch rapid.IntRange(0, 9).Draw(w.t, "about requests") {
	case 0:
		// What is rare by chance: a grant that both may request, and an approver for it.
		c := access.AddGrant{
			By: local, Group: one[store.GroupName](w, "for", "dba", "ops"), Targets: "*", Logins: []string{"root"}, For: one(w, "for", "", "shell; sftp=read-only"),
			Until:      one(w, "until", 0, w.at()+1_800_000),
			Conditions: store.Conditions{Reason: true, Approvals: one[uint64](w, "approvals", 0, 1, 2)}, Approvers: "leads",
		}
		if c.Conditions.Approvals == 0 {
			c.Approvers = ""
		}
		return c
	case 1, 2, 3:
		c := w.request(p)
		c.Target, c.Login = one[store.TargetName](w, "target", "db1", "web1"), one(w, "login", "root", "root", "deploy")
		c.For = one(w, "for", "", "", "shell", "sftp=read-write", "direct; shell")
		c.Lasts = one(w, "lasts", time.Hour, time.Hour, time.Minute, 25*time.Hour)
		c.Reason = one(w, "reason", "the disk is full", "the disk is full", "")
		return c
	case 4, 5, 6, 7:
		c := w.approve(by.person, by.factor, request)
		if w.seldom("another request's signature") {
			c.Request = known(w, "other request", w.requests, 0)
		}
		return c
	case 8:
		return access.DenyRequest{By: by.caller(), Request: request, Comment: "no", Salt: w.random()}
	default:
		return access.WithdrawRequest{By: p.caller(), Request: request}
	}
}

// mayRequest reports whether some grant lets that be requested that nobody has yet
// requested or may do anyway.
func (w *world) mayRequest(c access.MakeRequest, at store.Millis) bool {
	x := w.model.byToken(c.By, at)
	target := w.model.targetNamed(c.Target)
	if x == nil || target == 0 {
		return false
	}
	e := &store.RequestMade{User: x.user, Target: target, Login: store.Login(c.Login), Lasts: store.Millis(c.Lasts.Milliseconds())}
	if c.For != "" {
		e.For, _ = store.ParsePurposes(c.For)
	}
	for entry, r := range w.model.requests {
		if r.made.User == x.user && r.made.Target == target && r.made.Login == e.Login && w.model.waits(entry, at) {
			return false
		}
	}
	chosen := store.Index(0)
	for base, g := range w.model.grants {
		e.Base = base
		if !w.model.requestable(x.user, base, target, e.Login) || !w.model.fits(e, at) || c.Reason == "" && g.Conditions.Reason {
			continue
		}
		if fewest := w.model.grants[chosen]; fewest == nil || g.Conditions.Approvals < fewest.Conditions.Approvals ||
			g.Conditions.Approvals == fewest.Conditions.Approvals && base < chosen {
			chosen = base
		}
	}
	if chosen == 0 {
		return false
	}
	wanted := cmp.Or(c.For, w.model.grants[chosen].For.String(), "shell; exec; no-tty; sftp=read-write")
	has := w.model.standing(x.user, at, at, target, e.Login, at).uses
	for name, limits := range readUses(wanted) {
		for limit := range limits {
			if !has[name][limit] && !has[name][""] && (limit != "read-only" || !has[name]["read-write"]) {
				return true
			}
		}
	}
	return false // who may do all of it already needs no request
}

// mayApprove reports whether an approval that was signed for a request is one.
func (w *world) mayApprove(c access.ApproveRequest, at store.Millis) bool {
	r := w.model.requests[c.Request]
	if want, known := w.expectChange(c, at); known {
		return want
	}
	if r == nil || !w.model.signedIn(c.Assertion.User, c.SignIn, at) || !w.model.mayAssert(c.Assertion) || !w.model.mayAnswer(c.Assertion.User, c.Request, at) {
		return false
	}
	data, err := w.entries[c.Request].Encode()
	if err != nil {
		w.Fatal(err)
	}
	key := &store.Passkey{PublicKey: coseKey()}
	return !w.model.agreed(r)[c.Assertion.User] && w.model.fits(r.made, at) &&
		c.Signed.Verify(store.ApprovalChallenge(store.RequestHash(data), c.Nonce), key, "pam.example.eu") == nil
}
