package access

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/vaultpam/vaultpam/store"
)

const (
	// RequestLife is how long a request can be answered where its requester says
	// nothing else.
	RequestLife = 8 * time.Hour
	// MaxRequest is the longest that can be asked for where the grant does not say
	// how long a session lasts at most.
	MaxRequest = 24 * time.Hour
	// MaxOpenRequests is how many requests of one person wait at a time.
	MaxOpenRequests = 20
	// requestMemory is how long a request that ran out can still be looked up.
	requestMemory = store.Millis(24 * time.Hour / time.Millisecond)
	requestLife   = store.Millis(RequestLife / time.Millisecond)
)

// A Request is a person's wish for what a grant with conditions says, or a proposal:
// an administrator's for a change in their own favour, which has no login, base and
// what follows from these.
type Request struct {
	Entry   store.Index
	Hash    store.Hash // store.RequestHash
	User    store.UserID
	Change  *store.ChangeProposed // of a proposal, nil for others
	Target  store.Index
	Login   store.Login
	Base    store.Index    // the grant
	For     store.Purposes // nothing: all that the grant is for
	Lasts   store.Millis
	Reason  store.Commitment // or zero
	Ticket  store.Commitment // or zero
	Source  store.Commitment
	Made    store.Millis
	Expires store.Millis
	// Approvals are all that were made, oldest first; which of them count is for the
	// moment to say when another one is.
	Approvals []Approval
	Grant     store.Index  // that it was fulfilled by, or 0
	Ended     RequestState // RequestDenied, RequestWithdrawn, of a proposal also RequestApproved, or empty
	EndedBy   store.Index  // the entry, or 0
}

// An Approval is one person's.
type Approval struct {
	Entry   store.Index
	User    store.UserID
	Factor  store.Index
	Kind    store.FactorKind
	Time    store.Millis
	Comment store.Commitment // or zero
}

// A RequestState is what became of a request.
type RequestState string

// The states of requests.
const (
	RequestWaits     RequestState = "waits"
	RequestApproved  RequestState = "approved"
	RequestDenied    RequestState = "denied"
	RequestWithdrawn RequestState = "withdrawn"
	RequestRanOut    RequestState = "ran out"
	// RequestVoid: what it asks for can't be requested any more.
	RequestVoid RequestState = "void"
)

// Request returns a request by the index of its entry. Those that ended are there
// until a day after they would have run out.
func (s State) Request(entry store.Index) (Request, bool) { return s.requests.get(entry) }

// Requests yields the requests, oldest first.
func (s State) Requests() iter.Seq[Request] {
	return func(yield func(Request) bool) {
		for _, r := range s.requests.all() {
			if !yield(r) {
				return
			}
		}
	}
}

// RequestState says what became of a request until now.
func (s State) RequestState(r Request, now store.Millis) RequestState {
	switch {
	case r.Ended != "":
		return r.Ended
	case r.Grant != 0:
		return RequestApproved
	case r.Expires <= now:
		return RequestRanOut
	}
	if r.Change != nil && s.possible(r, now) != nil || r.Change == nil && !s.requestable(r.User, r.Base, r.Target, r.Login) {
		return RequestVoid
	}
	return RequestWaits
}

// what names a request, or a proposal, in sentences.
func (r Request) what() string {
	if r.Change != nil {
		return fmt.Sprintf("proposal %d", r.Entry)
	}
	return fmt.Sprintf("request %d", r.Entry)
}

// requestable reports whether a grant is there whose conditions somebody may fulfil
// to use a login of a target.
func (s State) requestable(user store.UserID, base, target store.Index, login store.Login) bool {
	g, ok := s.Grant(base)
	t, there := s.targets.get(target)
	if !ok || !there || g.Forbids || !g.requested() || !g.covers(t, login) {
		return false
	}
	_, member := s.Member(g.Group, user)
	return g.User == user && !user.IsZero() || g.Group != 0 && member
}

// MakeRequest asks for what a grant with conditions says: as one login of one
// target, for Lasts from the last approval on. A grant that asks for nobody's
// approval is fulfilled at once.
type MakeRequest struct {
	By     Caller
	Target store.TargetName
	Login  string
	For    string // in the form of store.ParsePurposes; empty: all that the grant is for
	Lasts  time.Duration
	Reason string
	Ticket string
	Waits  time.Duration // until it runs out; 0: RequestLife
	Source string
	Nonce  store.Hash // random, as the salts are
	Salts  [3][32]byte
}

func (c MakeRequest) decide(s State, now store.Millis) (Decision, error) {
	u, _, err := s.Person(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	e, err := c.event(u, now)
	if err != nil {
		return Decision{}, err
	}
	t, ok := s.TargetByName(c.Target)
	if !ok {
		return Decision{}, nothingToRequest(u, c.Target, e.Login)
	}
	e.Target = t.Entry
	if err := s.mayRequestMore(u, e, t, now); err != nil {
		return Decision{}, err
	}
	g, err := s.choose(u, t, e, c, now)
	if err != nil {
		return Decision{}, err
	}
	e.Base = g.Entry
	if err := s.lacks(u, t, e, g, now); err != nil {
		return Decision{}, err
	}
	d := c.keep(u, e)
	if g.Conditions.Approvals == 0 {
		d.Events = append(d.Events, fulfil(s.next, e, g, now))
	}
	return d, nil
}

// lacks refuses what is requested by somebody who may do it anyway. A touch that is
// missing is no reason to ask: it comes with the connection.
func (s State) lacks(u User, t Target, e *store.RequestMade, g Grant, now store.Millis) error {
	wanted := e.For
	if len(wanted) == 0 {
		wanted = g.Purposes()
	}
	if wanted.Within(s.Standing(u.ID, Touch{now, now}, t, e.Login, now).Purposes) {
		return &Refusal{Kind: Conflict, Message: fmt.Sprintf("%s may do that as %s on %s already", u.Handle, e.Login, t.Name), Hint: "vaultpam targets"}
	}
	return nil
}

// keep commits to the texts of a request.
func (c MakeRequest) keep(u User, e *store.RequestMade) Decision {
	d := Decision{Actor: store.Actor{User: u.ID}, Events: []store.Event{e}}
	for i, field := range []struct {
		field store.Field
		text  string
		into  *store.Commitment
	}{{store.FieldReason, c.Reason, &e.Reason}, {store.FieldTicket, c.Ticket, &e.Ticket}, {store.FieldSource, c.Source, &e.Source}} {
		if field.text == "" && field.field != store.FieldSource {
			continue
		}
		o := store.Opening{Owner: u.ID, Field: field.field, Salt: c.Salts[i], Text: field.text}
		*field.into, d.Openings = o.Commit(), append(d.Openings, o)
	}
	return d
}

// event checks what the command says by itself.
func (c MakeRequest) event(u User, now store.Millis) (*store.RequestMade, error) {
	waits := cmp.Or(store.Millis(c.Waits/time.Millisecond), requestLife)
	e := &store.RequestMade{User: u.ID, Lasts: store.Millis(c.Lasts / time.Millisecond), Expires: now + waits, Nonce: c.Nonce}
	login, err := store.ParseLogin(c.Login)
	if err != nil {
		return nil, invalid(err)
	}
	e.Login = login
	for _, text := range []string{c.Reason, c.Ticket} {
		if _, err := store.ParseSentence(text); text != "" && err != nil {
			return nil, invalid(err)
		}
	}
	if c.For != "" {
		if e.For, err = store.ParsePurposes(c.For); err == nil {
			err = e.For.CheckGrant()
		}
		if err != nil {
			return nil, invalid(err)
		}
	}
	switch {
	case e.Lasts < 60_000 || e.Lasts > store.MaxRequestLasts:
		return nil, &Refusal{Kind: Invalid, Message: "a request asks for a time from a minute to 31 days", Hint: "--for 1h"}
	case waits < 60_000 || waits > store.MaxRequestLife:
		return nil, &Refusal{Kind: Invalid, Message: "a request waits from a minute to 7 days for its answer"}
	case c.Nonce == store.Hash{}:
		return nil, &Refusal{Kind: Invalid, Message: "a request needs a nonce"}
	}
	return e, nil
}

// mayRequestMore refuses the same request twice, and too many: each is a notice to
// every approver.
func (s State) mayRequestMore(u User, e *store.RequestMade, t Target, now store.Millis) error {
	if r, ok := s.waiting(u.ID, e.Target, e.Login, now); ok {
		return &Refusal{
			Kind: Conflict, Message: fmt.Sprintf("your request %d for %s on %s waits already, until %s", r.Entry, e.Login, t.Name, moment(r.Expires)),
			Hint: fmt.Sprintf("vaultpam requests; or, to ask for something else: vaultpam withdraw %d", r.Entry),
		}
	}
	return s.mayWaitMore(u, now)
}

// waiting returns the request of somebody's for a login of a target that waits.
func (s State) waiting(user store.UserID, target store.Index, login store.Login, now store.Millis) (Request, bool) {
	for r := range s.Requests() {
		if r.User == user && r.Change == nil && r.Target == target && r.Login == login && s.RequestState(r, now) == RequestWaits {
			return r, true
		}
	}
	return Request{}, false
}

// mayWaitMore refuses another request or proposal where too many wait.
func (s State) mayWaitMore(u User, now store.Millis) error {
	waiting := 0
	for r := range s.Requests() {
		if r.User == u.ID && s.RequestState(r, now) == RequestWaits {
			waiting++
		}
	}
	if waiting >= MaxOpenRequests {
		return &Refusal{Kind: Limited, Message: fmt.Sprintf("%d requests of %s wait, and nobody has more", waiting, u.Handle), Hint: "vaultpam requests"}
	}
	return nil
}

// choose returns the grant that a request is for: of those that it fits the one
// that asks for the fewest approvals, and of these the oldest. Where it fits none
// the refusal is that of the first.
func (s State) choose(u User, t Target, e *store.RequestMade, c MakeRequest, now store.Millis) (Grant, error) {
	var all []Grant
	for g := range s.grantsOn(u.ID, t) {
		if !g.Forbids && g.requested() && g.covers(t, e.Login) {
			all = append(all, g)
		}
	}
	slices.SortFunc(all, func(a, b Grant) int {
		return cmp.Or(cmp.Compare(a.Conditions.Approvals, b.Conditions.Approvals), cmp.Compare(a.Entry, b.Entry))
	})
	var first error
	for _, g := range all {
		err := given(g, c)
		if err == nil {
			err = s.fits(u, t, g, e, now)
		}
		if err == nil {
			return g, nil
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		first = nothingToRequest(u, t.Name, e.Login)
	}
	return Grant{}, first
}

// given refuses a request without the words that a grant asks for.
func given(g Grant, c MakeRequest) error {
	switch {
	case g.Conditions.Reason && c.Reason == "":
		return &Refusal{Kind: Invalid, Message: "this wants a reason", Hint: `--reason "…"`}
	case g.Conditions.Ticket != "" && !g.Conditions.Ticket.Fits(c.Ticket):
		return &Refusal{Kind: Invalid, Message: fmt.Sprintf("this wants a ticket like %s", g.Conditions.Ticket), Hint: "--ticket …"}
	}
	return nil
}

// fits refuses a request that asks for more than the grant says, now. It is asked
// again by every approval.
func (s State) fits(u User, t Target, g Grant, e *store.RequestMade, now store.Millis) error {
	longest := store.Millis(MaxRequest / time.Millisecond)
	if d, bounded := g.Conditions.LongestSession(); bounded {
		longest = store.Millis(d / time.Millisecond)
	}
	for guardrail := range s.grantsOn(u.ID, t) {
		if guardrail.Forbids && guardrail.covers(t, e.Login) && guardrail.live(now) && forbidsAll(guardrail, e, g) {
			return &Refusal{
				Kind: Forbidden, Message: fmt.Sprintf("%s on %s is forbidden to %s by guardrail %d", e.Login, t.Name, u.Handle, guardrail.Entry), Hint: "ask an administrator",
			}
		}
	}
	switch {
	case !g.live(now):
		return &Refusal{Kind: Forbidden, Message: fmt.Sprintf("grant %d, which this is requested by, does not hold at the moment%s", g.Entry, window(g)), Hint: "try again then"}
	case !e.For.Within(g.Purposes()):
		return &Refusal{Kind: Forbidden, Message: fmt.Sprintf("only %s can be requested here", g.Purposes()), Hint: "leave --purposes out to ask for all of it"}
	case e.Lasts > longest:
		return &Refusal{
			Kind: Forbidden, Message: fmt.Sprintf("at most %s can be requested here", longest.Length()), Hint: fmt.Sprintf("--for %s", longest.Length()),
		}
	}
	return nil
}

// forbidsAll reports whether a guardrail leaves nothing of what is requested.
func forbidsAll(guardrail Grant, e *store.RequestMade, g Grant) bool {
	if len(guardrail.For) == 0 {
		return true
	}
	wanted := e.For
	if len(wanted) == 0 {
		wanted = g.Purposes()
	}
	return len(wanted.Without(guardrail.For)) == 0
}

func window(g Grant) string {
	switch {
	case !g.Hours.IsZero():
		return fmt.Sprintf(" but %s", g.Hours)
	case g.From != 0 && g.Until == 0:
		return " but from " + moment(g.From) + " on"
	}
	return ""
}

// fulfil is the grant that answers a request. Its time begins now, and ends with the
// grant that it stands on.
func fulfil(request store.Index, e *store.RequestMade, g Grant, now store.Millis) *store.GrantAdded {
	until := now + e.Lasts
	if g.Until != 0 {
		until = min(until, g.Until)
	}
	purposes := e.For
	if len(purposes) == 0 {
		purposes = g.For
	}
	return &store.GrantAdded{
		User: e.User, Target: e.Target, Logins: []store.Login{e.Login}, From: now, Until: until, For: purposes, Hours: g.Hours,
		Conditions: store.Conditions{Passkey: g.Conditions.Passkey, Longest: g.Conditions.Longest}, Request: request, Base: g.Entry,
	}
}

// WithdrawRequest takes a request back that nobody needs to answer any more.
type WithdrawRequest struct {
	By      Caller
	Request store.Index
}

func (c WithdrawRequest) decide(s State, now store.Millis) (Decision, error) {
	u, _, err := s.Caller(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	r, ok := s.requests.get(c.Request)
	if !ok || r.User != u.ID {
		return Decision{}, noRequest(c.Request)
	}
	if err := s.waits(r, now); err != nil {
		return Decision{}, err
	}
	return Decision{
		Actor:  store.Actor{User: u.ID},
		Events: []store.Event{&store.RequestWithdrawn{User: r.User, Target: r.Target, Request: r.Entry}},
	}, nil
}

// waits refuses what is done with a request that waits for no answer any more.
func (s State) waits(r Request, now store.Millis) error {
	switch state := s.RequestState(r, now); state {
	case RequestWaits:
		return nil
	case RequestRanOut:
		return &Refusal{Kind: Conflict, Message: fmt.Sprintf("%s ran out at %s", r.what(), moment(r.Expires)), Hint: "it has to be made again"}
	case RequestVoid:
		if r.Change != nil {
			return s.possible(r, now)
		}
		return &Refusal{Kind: Conflict, Message: fmt.Sprintf("what request %d asks for can't be requested any more", r.Entry), Hint: "vaultpam admin grant ls"}
	default:
		return &Refusal{Kind: Conflict, Message: fmt.Sprintf("%s was %s already", r.what(), state), Hint: "vaultpam requests"}
	}
}

func nothingToRequest(u User, name store.TargetName, login store.Login) error {
	return &Refusal{
		Kind: NotFound, Message: fmt.Sprintf("there is nothing that %s can request as %s on %s", u.Handle, login, name), Hint: "ask an administrator for a grant",
	}
}

func noRequest(entry store.Index) error {
	return &Refusal{Kind: NotFound, Message: fmt.Sprintf("there is no request %d that you could answer or take back", entry), Hint: "vaultpam requests"}
}
