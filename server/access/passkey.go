package access

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/vaultpam/vaultpam/store"
)

// FreshLook is how long a proof of identity is fresh: long enough to finish what
// it was made for, and too short for who finds the session later.
const FreshLook = 5 * time.Minute

const freshLook = store.Millis(FreshLook / time.Millisecond)

// An Assertion is what a passkey signed. The caller has verified the signature
// with the factor's public key over a challenge that was drawn for this and never
// used before, for this server's name and origin, with user verification. What
// the counter says is decided here.
type Assertion struct {
	User    store.UserID
	Factor  store.Index
	Counter uint64
	// Last is the factor's counter in the state that the assertion was verified
	// against. One that exceeded it is no copy's, though another may have been
	// decided since.
	Last uint64
}

// ErrPasskey answers every passkey that proves nothing here.
var ErrPasskey = &Refusal{
	Kind:    Unauthenticated,
	Message: "this passkey proves nothing here: it was removed, or it belongs to somebody else",
	Hint:    "use another passkey of yours; or ask an administrator for an invitation",
}

// ErrCloned answers a passkey of which there is a copy.
var ErrCloned = &Refusal{
	Kind:    Forbidden,
	Message: "the counter of this security key went back, so somebody may hold a copy of it: it is not accepted any more",
	Hint:    "use another factor of yours, and tell an administrator",
}

// ErrOvertaken answers an assertion after which its passkey was used again.
var ErrOvertaken = &Refusal{
	Kind:    Conflict,
	Message: "this passkey was used for something else in the meantime",
	Hint:    "begin again",
}

// assert returns the factor behind an assertion, or the refusal; where there is a
// copy of it the refusal comes with the entry that says so.
func (s State) assert(a Assertion) (User, Factor, Decision, error) {
	u, _ := s.users.get(a.User)
	f, ok := u.Factor(a.Factor)
	if !ok || f.Kind != store.FactorPasskey || a.Counter > math.MaxUint32 {
		return u, f, Decision{}, ErrPasskey
	}
	if f.Cloned {
		return u, f, Decision{}, ErrCloned
	}
	// A passkey that does not count always says 0 (WebAuthn Level 3, section 7.2,
	// step 22).
	if (a.Counter != 0 || f.Passkey.Counter != 0) && a.Counter <= f.Passkey.Counter {
		// Two programs may wait at once, and fetch their sessions in another order
		// than that of the touches.
		if a.Last < a.Counter && a.Counter < f.Passkey.Counter {
			return u, f, Decision{}, ErrOvertaken
		}
		return u, f, Decision{
			Events: []store.Event{&store.FactorCloned{User: u.ID, Factor: f.Entry, Counter: a.Counter, Last: f.Passkey.Counter}},
		}, ErrCloned
	}
	return u, f, Decision{}, nil
}

// SignInWithPasskey opens a sign-in session.
type SignInWithPasskey struct {
	Assertion Assertion
	Holder    Holder
}

func (c SignInWithPasskey) decide(s State, now store.Millis) (Decision, error) {
	u, f, d, err := s.assert(c.Assertion)
	if err != nil {
		return d, err
	}
	e, openings, err := s.open(u, c.Holder, now)
	if err != nil {
		return Decision{}, err
	}
	e.Factor, e.Kind, e.Counter = f.Entry, f.Kind, c.Assertion.Counter
	return Decision{Actor: store.Actor{User: u.ID}, Events: []store.Event{e}, Openings: openings}, nil
}

// ConfirmWithPasskey says that the person of a sign-in session touched a passkey
// of theirs just now.
type ConfirmWithPasskey struct {
	SignIn    store.Index
	Assertion Assertion
	Source    string
	Salt      [32]byte
}

func (c ConfirmWithPasskey) decide(s State, now store.Millis) (Decision, error) {
	x, ok := s.SignIn(c.SignIn, now)
	if !ok {
		return Decision{}, ErrNotSignedIn
	}
	if x.User != c.Assertion.User {
		return Decision{}, ErrPasskey
	}
	_, f, d, err := s.assert(c.Assertion)
	if err != nil {
		return d, err
	}
	return s.confirm(x, &store.SignInConfirmed{Factor: f.Entry, Kind: f.Kind, Counter: c.Assertion.Counter}, c.Source, c.Salt), nil
}

// ConfirmWithTOTP is ConfirmWithPasskey for who has no passkey: the time step is
// that of a code that was typed for it.
type ConfirmWithTOTP struct {
	By     Caller
	Step   uint64
	Source string
	Salt   [32]byte
}

func (c ConfirmWithTOTP) decide(s State, now store.Millis) (Decision, error) {
	u, x, err := s.Person(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	f, ok := u.TOTP()
	if !ok || c.Step <= f.LastStep {
		return Decision{}, ErrSecondLook
	}
	return s.confirm(x, &store.SignInConfirmed{Factor: f.Entry, Kind: f.Kind, Step: c.Step}, c.Source, c.Salt), nil
}

func (s State) confirm(x SignIn, e *store.SignInConfirmed, source string, salt [32]byte) Decision {
	opening := store.Opening{Owner: x.User, Field: store.FieldSource, Salt: salt, Text: source}
	e.User, e.SignIn, e.Source = x.User, x.Entry, opening.Commit()
	return Decision{Actor: store.Actor{User: x.User}, Events: []store.Event{e}, Openings: []store.Opening{opening}}
}

// ErrNotFresh answers what takes a proof of identity that was made just now.
var ErrNotFresh = &Refusal{
	Kind:    Forbidden,
	Message: "this takes a proof of who you are that is at most 5 minutes old",
	Hint:    "vaultpam confirm, then the same again",
}

// A NewFactor is a factor as it is enrolled: TOTP with the time step of the code
// that proved it, or a passkey that was verified with its attestation as far as
// it has one. Name may be empty.
type NewFactor struct {
	Step    uint64
	Passkey *store.Passkey
	Name    string
	Salt    [32]byte
}

// event returns what enrols a factor for a user.
func (s State) enrol(u User, f NewFactor) (*store.FactorEnrolled, []store.Opening, error) {
	e := &store.FactorEnrolled{User: u.ID, Kind: store.FactorTOTP, Step: f.Step}
	if f.Passkey != nil {
		e.Kind, e.Step, e.Passkey = store.FactorPasskey, 0, f.Passkey
		if err := s.mayEnrol(f.Passkey); err != nil {
			return nil, nil, err
		}
	}
	if f.Name == "" {
		return e, nil, nil
	}
	name, opening, err := nameFactor(u, f.Name, f.Salt)
	e.Name = name
	return e, opening, err
}

// mayEnrol refuses models that the company does not allow, and a credential that
// somebody has enrolled (WebAuthn Level 3, section 7.1, step 26).
func (s State) mayEnrol(p *store.Passkey) error {
	allowed, err := s.Authenticators()
	if err != nil {
		return invalid(err)
	}
	if allowed != nil && !slices.Contains(allowed, p.AAGUID) {
		return &Refusal{
			Kind:    Forbidden,
			Message: fmt.Sprintf("this server accepts other models of authenticators, not %s", p.AAGUID),
			Hint:    "use one that your company gives out, or ask an administrator",
		}
	}
	for _, u := range s.users.all() {
		for _, f := range u.Factors {
			if f.Kind == store.FactorPasskey && bytes.Equal(f.Passkey.Credential, p.Credential) {
				return &Refusal{Kind: Conflict, Message: "this passkey is enrolled already", Hint: "use another one"}
			}
		}
	}
	return nil
}

func nameFactor(u User, name string, salt [32]byte) (store.Commitment, []store.Opening, error) {
	title, err := store.ParseTitle(name)
	if err != nil {
		return store.Commitment{}, nil, invalid(err)
	}
	opening := store.Opening{Owner: u.ID, Field: store.FieldFactor, Salt: salt, Text: title}
	return opening.Commit(), []store.Opening{opening}, nil
}

// AddFactor enrols another factor beside those that the person of a sign-in
// session has. It takes a fresh proof, because who finds an open session must not
// be able to make a way in that outlives it.
type AddFactor struct {
	SignIn store.Index
	Factor NewFactor
}

func (c AddFactor) decide(s State, now store.Millis) (Decision, error) {
	x, ok := s.SignIn(c.SignIn, now)
	if !ok {
		return Decision{}, ErrNotSignedIn
	}
	if !x.Fresh(now) {
		return Decision{}, ErrNotFresh
	}
	u, _ := s.users.get(x.User)
	if len(u.Factors) >= store.MaxFactors {
		return Decision{}, &Refusal{Kind: Conflict, Message: fmt.Sprintf("you have %d factors, and nobody has more", len(u.Factors)), Hint: "vaultpam factor rm"}
	}
	e, openings, err := s.enrol(u, c.Factor)
	if err != nil {
		return Decision{}, err
	}
	e.SignIn = x.Entry
	return Decision{Actor: store.Actor{User: u.ID}, Events: []store.Event{e}, Openings: openings}, nil
}

// RemoveFactor takes one of the caller's factors away, but never the last that
// proves anything.
type RemoveFactor struct {
	By     Caller
	Factor store.Index
}

func (c RemoveFactor) decide(s State, now store.Millis) (Decision, error) {
	u, x, err := s.Person(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	f, ok := u.Factor(c.Factor)
	if !ok {
		return Decision{}, noFactor(c.Factor)
	}
	if !x.Fresh(now) {
		return Decision{}, ErrNotFresh
	}
	if !slices.ContainsFunc(u.Factors, func(o Factor) bool { return o.Entry != f.Entry && !o.Cloned }) {
		return Decision{}, &Refusal{
			Kind:    Conflict,
			Message: "this is the last factor that signs you in, so it can't be removed",
			Hint:    "first add another one: vaultpam factor add",
		}
	}
	return Decision{Actor: store.Actor{User: u.ID}, Events: []store.Event{&store.FactorRemoved{User: u.ID, Factor: f.Entry}}}, nil
}

// NameFactor gives one of the caller's factors another name.
type NameFactor struct {
	By     Caller
	Factor store.Index
	Name   string
	Salt   [32]byte
}

func (c NameFactor) decide(s State, now store.Millis) (Decision, error) {
	u, _, err := s.Person(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	f, ok := u.Factor(c.Factor)
	if !ok {
		return Decision{}, noFactor(c.Factor)
	}
	name, openings, err := nameFactor(u, c.Name, c.Salt)
	if err != nil {
		return Decision{}, err
	}
	return Decision{
		Actor:    store.Actor{User: u.ID},
		Events:   []store.Event{&store.FactorNamed{User: u.ID, Factor: f.Entry, Name: name}},
		Openings: openings,
	}, nil
}

func noFactor(entry store.Index) error {
	return &Refusal{Kind: NotFound, Message: fmt.Sprintf("you have no factor %d", entry), Hint: "vaultpam factor ls"}
}
