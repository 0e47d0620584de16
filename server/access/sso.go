package access

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/vaultpam/vaultpam/store"
)

// maxSubject is the longest subject of a provider (OpenID Connect Core 1.0,
// section 2).
const maxSubject = 255

// An Identity is one account of an OpenID provider: the pair that never names
// anybody else later (OpenID Connect Core 1.0, section 5.7).
type Identity struct {
	Issuer  string
	Subject string
}

func (i Identity) text() string { return i.Issuer + "\n" + i.Subject }

func (i Identity) check() error {
	printable := func(s string) bool {
		return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f })
	}
	if !printable(i.Issuer) || !printable(i.Subject) || len(i.Subject) > maxSubject {
		return &Refusal{
			Kind: Invalid, Message: fmt.Sprintf("a subject is 1 to %d printable ASCII characters", maxSubject),
			Hint: "the provider's own page of the account says it",
		}
	}
	return nil
}

// SIDHash is how the ledger knows a provider's own session.
func SIDHash(issuer, sid string) store.Hash {
	if sid == "" {
		return store.Hash{}
	}
	return sha256.Sum256([]byte(issuer + "\n" + sid))
}

// UserBySSO returns the user who is linked to a provider's account.
func (s State) UserBySSO(i Identity) (User, bool) {
	id, ok := s.identities.get(i.text())
	if !ok {
		return User{}, false
	}
	return s.users.get(id)
}

// LinkSSO links a user to an account of the provider, in place of the one before
// it. What was signed in by that one is over.
type LinkSSO struct {
	By       Caller
	User     store.Handle
	Identity Identity
	Salt     [32]byte
}

func (c LinkSSO) decide(s State, now store.Millis) (Decision, error) {
	actor, err := s.administrator(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	u, err := s.personByHandle(c.User)
	if err != nil {
		return Decision{}, err
	}
	if err := c.Identity.check(); err != nil {
		return Decision{}, err
	}
	if other, ok := s.UserBySSO(c.Identity); ok {
		return Decision{}, &Refusal{
			Kind: Conflict, Message: fmt.Sprintf("that account of the provider is %s's already", other.Handle), Hint: "check the subject on the provider's own page of the account",
		}
	}
	e, opening := link(u.ID, c.Identity, c.Salt)
	return Decision{Actor: actor, Events: []store.Event{e}, Openings: []store.Opening{opening}}, nil
}

func link(user store.UserID, i Identity, salt [32]byte) (*store.SSOLinked, store.Opening) {
	opening := store.Opening{Owner: user, Field: store.FieldSSO, Salt: salt, Text: i.text()}
	return &store.SSOLinked{User: user, Identity: opening.Commit()}, opening
}

// A GroupSync is what the company's mapping makes of a person's claims: Managed are
// all groups that it names, Wanted those of them that the person is to belong to.
type GroupSync struct {
	Managed []store.GroupName
	Wanted  []store.GroupName
}

// GroupChanges are what a GroupSync would change for a user.
type GroupChanges struct {
	Add     []Group
	Remove  []Group
	Missing []store.GroupName // that the mapping names, and that are not there
}

// Changes returns what makes a user belong to the wanted groups and to no other
// managed one. A group that is not there is not made, and one that the mapping does
// not name is left alone. Roles are no groups, so that no claim gives one.
func (s State) Changes(g GroupSync, user store.UserID) GroupChanges {
	var c GroupChanges
	managed := slices.Clone(g.Managed)
	slices.Sort(managed)
	for _, name := range slices.Compact(managed) {
		group, ok := s.GroupByName(name)
		if !ok {
			c.Missing = append(c.Missing, name)
			continue
		}
		_, in := s.Member(group.Entry, user)
		switch wanted := slices.Contains(g.Wanted, name); {
		case wanted && !in:
			c.Add = append(c.Add, group)
		case !wanted && in:
			c.Remove = append(c.Remove, group)
		}
	}
	return c
}

func (c GroupChanges) events(user store.UserID) []store.Event {
	var events []store.Event
	for _, g := range c.Add {
		events = append(events, &store.MemberAdded{Group: g.Entry, User: user})
	}
	for _, g := range c.Remove {
		events = append(events, &store.MemberRemoved{Group: g.Entry, User: user})
	}
	return events
}

// SignInWithSSO opens a sign-in session for whom the provider vouched. The caller
// has verified its ID token. Of Assertion, Step and Counts one says what the second
// factor was: a passkey of the person's, the time step of a code that they typed,
// or the provider's own, where the company's mapping lets that count.
//
// User is whom the provider's account belongs to. Where none is linked to it yet,
// User is who is said to own it: showing their own factor here links the two.
type SignInWithSSO struct {
	Identity  Identity
	SID       store.Hash // SIDHash, or zero
	User      store.UserID
	Assertion *Assertion
	Step      uint64
	Counts    bool
	Groups    GroupSync
	LinkSalt  [32]byte
	Holder    Holder
}

func (c SignInWithSSO) decide(s State, now store.Millis) (Decision, error) {
	u, linked, err := s.ssoUser(c.Identity, c.User)
	if err != nil {
		return Decision{}, err
	}
	var shown store.SignInSucceeded
	if refused, err := c.prove(s, u, linked, &shown); err != nil {
		return refused, err
	}
	session, openings, err := s.open(u, c.Holder, now)
	if err != nil {
		return Decision{}, err
	}
	d := Decision{Actor: store.Actor{User: u.ID}, Openings: openings}
	session.Factor, session.Kind, session.Step, session.Counter = shown.Factor, shown.Kind, shown.Step, shown.Counter
	session.SSO, session.SID = u.SSO, c.SID
	if !linked {
		e, opening := link(u.ID, c.Identity, c.LinkSalt)
		session.SSO = s.next // the first of these events
		d.Events, d.Openings = append(d.Events, e), append(d.Openings, opening)
	}
	d.Events = append(append(d.Events, s.Changes(c.Groups, u.ID).events(u.ID)...), session)
	return d, nil
}

// prove fills in what the second factor was.
func (c SignInWithSSO) prove(s State, u User, linked bool, session *store.SignInSucceeded) (Decision, error) {
	switch {
	case c.Assertion != nil:
		if c.Assertion.User != u.ID {
			return Decision{}, ErrPasskey
		}
		_, f, d, err := s.assert(*c.Assertion)
		session.Factor, session.Kind, session.Counter = f.Entry, f.Kind, c.Assertion.Counter
		return d, err
	case c.Step != 0:
		f, ok := u.TOTP()
		if !ok || c.Step <= f.LastStep {
			return Decision{}, ErrSecondLook
		}
		session.Factor, session.Kind, session.Step = f.Entry, f.Kind, c.Step
		return Decision{}, nil
	case c.Counts && linked:
		session.Factor, session.Kind = u.SSO, store.FactorSSO
		return Decision{}, nil
	}
	return Decision{}, ErrSecondFactor
}

// SSOUser returns whom an account of the provider belongs to, and whether it is
// linked already; or the user whom its claims call by that handle, who may link it
// by showing a factor of their own. Nobody is ever added by a provider.
func (s State) SSOUser(i Identity, handle store.Handle) (u User, linked bool, err error) {
	named, _ := s.UserByHandle(handle)
	if u, linked, err = s.ssoUser(i, named.ID); linked {
		return u, linked, err
	}
	switch {
	case err != nil:
		return User{}, false, err
	case !u.Enrolled():
		return User{}, false, &Refusal{
			Kind: Forbidden, Message: fmt.Sprintf("%s has no passkey and no authenticator app here yet, so that nothing shows whose this account is", u.Handle),
			Hint: "use your invitation first, or ask an administrator: vaultpam admin user sso HANDLE",
		}
	}
	return u, false, nil
}

func (s State) ssoUser(i Identity, otherwise store.UserID) (User, bool, error) {
	if err := i.check(); err != nil {
		return User{}, false, err
	}
	if u, ok := s.UserBySSO(i); ok {
		return u, true, nil // what the provider calls the account now is no matter
	}
	u, ok := s.users.get(otherwise)
	if !ok || u.Bot || u.SSO != 0 {
		// One answer, so that nobody learns by it who is here.
		return User{}, false, ErrSSOUnknown
	}
	return u, false, nil
}

// ErrSSOUnknown answers an account of the provider that is nobody's here.
var ErrSSOUnknown = &Refusal{
	Kind:    Forbidden,
	Message: "the provider knows you, and this server does not: no user is linked to that account",
	Hint:    "ask an administrator to add you, or to link the account: vaultpam admin user sso HANDLE",
}

// ErrSecondFactor answers whom the provider's word alone does not sign in.
var ErrSecondFactor = &Refusal{
	Kind:    Unauthenticated,
	Message: "the provider's word is not enough here: a passkey or a code of your authenticator app is asked for too",
	Hint:    "show one on the same page",
}

// EndSSO ends the sign-in sessions that came from an account of the provider, or
// from one of the provider's sessions, or both where both are named: the provider
// says that its person signed out (OpenID Connect Back-Channel Logout 1.0).
type EndSSO struct {
	Identity Identity   // its Subject may be empty
	SID      store.Hash // or zero
}

func (c EndSSO) decide(s State, now store.Millis) (Decision, error) {
	u, known := s.UserBySSO(c.Identity)
	var d Decision
	for _, x := range s.signIns.all() {
		switch {
		case x.SSO == 0 || x.over(now),
			c.Identity.Subject != "" && (!known || x.User != u.ID),
			c.SID != store.Hash{} && x.SID != c.SID,
			c.Identity.Subject == "" && c.SID == store.Hash{}:
			continue
		}
		d.Events = append(d.Events, &store.SignInEnded{User: x.User, SignIn: x.Entry})
	}
	if len(d.Events) == 0 {
		return Decision{}, ErrNoSSO
	}
	return d, nil
}

// ErrNoSSO answers a sign-out of whom nobody is signed in.
var ErrNoSSO = &Refusal{Kind: NotFound, Message: "no sign-in session came from there, or it is over already"}
