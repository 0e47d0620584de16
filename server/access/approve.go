package access

import (
	"fmt"

	"github.com/vaultpam/vaultpam/store"
)

// mayAnswer returns a request that somebody may answer now, and the grant behind it.
// A proposal is a second administrator's to answer: mayDecide. A request is theirs who hold the approver's role and belong to the group that the grant
// names, at this moment, and never the requester's.
func (s State) mayAnswer(u User, entry store.Index, now store.Millis) (Request, Grant, error) {
	r, ok := s.requests.get(entry)
	if !ok {
		return Request{}, Grant{}, noRequest(entry)
	}
	if r.User == u.ID {
		return Request{}, Grant{}, &Refusal{Kind: Forbidden, Message: "nobody answers their own request", Hint: "vaultpam withdraw takes it back"}
	}
	if r.Change != nil {
		if err := s.mayDecide(u, r); err != nil {
			return Request{}, Grant{}, err
		}
		return r, Grant{}, s.waits(r, now)
	}
	if !u.Has(store.RoleApprover) {
		return Request{}, Grant{}, &Refusal{Kind: Forbidden, Message: fmt.Sprintf("this takes the role approver, which %s does not hold", u.Handle), Hint: "vaultpam requests lists those that you may answer"}
	}
	g, ok := s.Grant(r.Base)
	if !ok || !s.approver(u, g) {
		// What there is to answer is for those to know who may answer it.
		return Request{}, Grant{}, noRequest(entry)
	}
	return r, g, s.waits(r, now)
}

// approver reports whether somebody may answer the requests for a grant. Whoever is
// no person, a bot, never may, nor who is locked.
func (s State) approver(u User, g Grant) bool {
	_, member := s.Member(g.Conditions.Approvers, u.ID)
	_, locked := s.LockOfUser(u.ID)
	return member && !locked && !u.Bot && u.Has(store.RoleApprover)
}

// MayAnswer reports whether somebody may answer a request now.
func (s State) MayAnswer(u User, r Request, now store.Millis) bool {
	_, g, err := s.mayAnswer(u, r.Entry, now)
	return err == nil && (r.Change != nil || !s.approvedBy(u, r, g))
}

// counts reports whether an approval counts at this moment: of somebody who is an
// approver now and has been since they made it, by a factor of which there is no
// copy. Whoever left and came back may approve again.
func (s State) counts(a Approval, g Grant) bool {
	u, ok := s.users.get(a.User)
	since, _ := s.Member(g.Conditions.Approvers, a.User)
	f, _ := u.Factor(a.Factor)
	return ok && s.approver(u, g) && since < a.Entry && !f.Cloned
}

func (s State) approvedBy(u User, r Request, g Grant) bool {
	for _, a := range r.Approvals {
		if a.User == u.ID && s.counts(a, g) {
			return true
		}
	}
	return false
}

// Approvals returns how many approvals of a request count now, and how many it takes.
func (s State) Approvals(r Request) (have, want uint64) {
	if r.Change != nil {
		return uint64(len(r.Approvals)), 1
	}
	g, _ := s.Grant(r.Base)
	for _, a := range r.Approvals {
		if s.counts(a, g) {
			have++
		}
	}
	return have, g.Conditions.Approvals
}

// ApproveRequest agrees to a request by a touch of a passkey. The caller has
// verified the assertion as it says; that it was made over this request, and with
// this nonce, is verified here once more, so that no entry says what nobody could
// verify later.
type ApproveRequest struct {
	SignIn    store.Index
	Request   store.Index
	Nonce     store.Hash // random, drawn for this challenge
	Assertion Assertion
	Signed    store.Assertion
	Comment   string // may be empty
	Salt      [32]byte
}

func (c ApproveRequest) decide(s State, now store.Millis) (Decision, error) {
	x, ok := s.SignIn(c.SignIn, now)
	if !ok {
		return Decision{}, ErrNotSignedIn
	}
	if x.User != c.Assertion.User {
		return Decision{}, ErrPasskey
	}
	u, f, d, err := s.assert(c.Assertion)
	if err != nil {
		return d, err
	}
	r, _, err := s.mayAnswer(u, c.Request, now)
	if err != nil {
		return Decision{}, err
	}
	challenge := store.ApprovalChallenge(r.Hash, c.Nonce)
	if c.Signed.Counter() != c.Assertion.Counter || c.Signed.Verify(challenge, f.Passkey, s.Name()) != nil {
		return Decision{}, ErrPasskey
	}
	signed := c.Signed
	e := &store.RequestApproved{SignIn: x.Entry, Factor: f.Entry, Kind: f.Kind, Nonce: c.Nonce, Assertion: &signed}
	return s.approve(u, e, c.Request, c.Comment, c.Salt, now)
}

// ApproveWithTOTP agrees to a request by a code of an authenticator app, of whose
// time step the caller has found out. It leaves nothing that anybody could verify,
// so that the company has to allow it.
type ApproveWithTOTP struct {
	By      Caller
	Request store.Index
	Step    uint64
	Comment string
	Salt    [32]byte
}

func (c ApproveWithTOTP) decide(s State, now store.Millis) (Decision, error) {
	u, x, err := s.Caller(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	if err := s.MayApproveWithTOTP(); err != nil {
		return Decision{}, err
	}
	f, ok := u.TOTP()
	if !ok || c.Step <= f.LastStep {
		return Decision{}, ErrSecondLook
	}
	e := &store.RequestApproved{SignIn: x.Entry, Factor: f.Entry, Kind: f.Kind, Step: c.Step}
	return s.approve(u, e, c.Request, c.Comment, c.Salt, now)
}

// MayApproveWithTOTP refuses approvals that nobody could verify, where the company
// does not allow them.
func (s State) MayApproveWithTOTP() error {
	if s.Setting(store.SettingApproveWith) == store.ApproveWithTOTP {
		return nil
	}
	return &Refusal{
		Kind: Forbidden, Message: "this server takes approvals by a passkey alone, because anybody can verify them later",
		Hint: "vaultpam factor add makes a passkey; a company that wants it otherwise sets: vaultpamd setting approve-with totp",
	}
}

// approve is the event of an approval, with the grant that the last one makes, or
// the change that was proposed.
func (s State) approve(u User, e *store.RequestApproved, entry store.Index, comment string, salt [32]byte, now store.Millis) (Decision, error) {
	r, g, err := s.mayAnswer(u, entry, now)
	if err != nil {
		return Decision{}, err
	}
	if r.Change == nil && s.approvedBy(u, r, g) {
		return Decision{}, &Refusal{Kind: Conflict, Message: fmt.Sprintf("you have approved %s already", r.what()), Hint: "somebody else has to, too"}
	}
	requester, _ := s.users.get(r.User)
	t, _ := s.targets.get(r.Target)
	wish := r.event()
	if r.Change == nil {
		if err := s.fits(requester, t, g, wish, now); err != nil {
			return Decision{}, err
		}
	} else if f, ok := u.Factor(e.Factor); ok && !f.before(r) {
		return Decision{}, &Refusal{
			Kind: Forbidden, Message: fmt.Sprintf("%s was made before you enrolled that factor", r.what()), Hint: "use one from before it, or let it be proposed again",
		}
	}
	e.User, e.Target, e.Request = r.User, r.Target, r.Entry
	d := Decision{Actor: store.Actor{User: u.ID}, Events: []store.Event{e}}
	if comment != "" {
		o, err := commented(u, comment, salt)
		if err != nil {
			return Decision{}, err
		}
		e.Comment, d.Openings = o.Commit(), []store.Opening{o}
	}
	if r.Change != nil {
		d.Events = append(d.Events, r.Change.Change())
	} else if have, want := s.Approvals(r); have+1 >= want {
		d.Events = append(d.Events, fulfil(r.Entry, wish, g, now))
	}
	return d, nil
}

// CheckApproval refuses what approving a request with a comment would, before
// anybody touches a passkey for it.
func (s State) CheckApproval(u User, request store.Index, comment string, now store.Millis) error {
	_, err := s.approve(u, &store.RequestApproved{}, request, comment, [32]byte{}, now)
	return err
}

// event is the wish of a request, as far as rules ask for it.
func (r Request) event() *store.RequestMade {
	return &store.RequestMade{User: r.User, Target: r.Target, Login: r.Login, Base: r.Base, For: r.For, Lasts: r.Lasts, Expires: r.Expires}
}

func commented(u User, comment string, salt [32]byte) (store.Opening, error) {
	text, err := store.ParseSentence(comment)
	if err != nil {
		return store.Opening{}, invalid(err)
	}
	return store.Opening{Owner: u.ID, Field: store.FieldComment, Salt: salt, Text: text}, nil
}

// DenyRequest turns a request down, for everybody who could have approved it.
type DenyRequest struct {
	By      Caller
	Request store.Index
	Comment string
	Salt    [32]byte
}

func (c DenyRequest) decide(s State, now store.Millis) (Decision, error) {
	u, _, err := s.Caller(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	r, _, err := s.mayAnswer(u, c.Request, now)
	if err != nil {
		return Decision{}, err
	}
	o, err := commented(u, c.Comment, c.Salt)
	if err != nil {
		return Decision{}, err
	}
	return Decision{
		Actor:    store.Actor{User: u.ID},
		Events:   []store.Event{&store.RequestDenied{User: r.User, Target: r.Target, Request: r.Entry, Comment: o.Commit()}},
		Openings: []store.Opening{o},
	}, nil
}
