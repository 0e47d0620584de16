package access

import (
	"time"

	"github.com/vaultpam/vaultpam/store"
)

// SignInLife is how long a sign-in session lasts.
const SignInLife = 10 * time.Hour

const signInLife = store.Millis(SignInLife / time.Millisecond)

// SignInWithTOTP opens a sign-in session. The caller has found the time step that the
// TOTP code belongs to; whether it may still be used is decided here.
type SignInWithTOTP struct {
	User   store.UserID
	Step   uint64
	Token  store.Hash // SHA-256 of the session's random token
	Source string     // address that the user came from
	Salt   [32]byte
}

func (c SignInWithTOTP) decide(s State, now store.Millis) (Decision, error) {
	u, ok := s.users.get(c.User)
	if !ok || u.Factor.Entry == 0 || c.Token == (store.Hash{}) {
		return Decision{}, ErrSignIn
	}
	if c.Step <= u.Factor.LastStep {
		return Decision{}, ErrSignIn // used once already; one answer for all that fails
	}
	if _, ok := s.tokens.get(c.Token); ok {
		return Decision{}, ErrSignIn // a token that was not drawn at random
	}
	source := store.Opening{Owner: u.ID, Field: store.FieldSource, Salt: c.Salt, Text: c.Source}
	return Decision{
		Actor: store.Actor{User: u.ID},
		Events: []store.Event{&store.SignInSucceeded{
			User: u.ID, Factor: u.Factor.Entry, Kind: u.Factor.Kind, Step: c.Step, Token: c.Token,
			Expires: now + signInLife, Source: source.Commit(),
		}},
		Openings: []store.Opening{source},
	}, nil
}

// ErrSignIn answers every sign-in that fails, so that a stranger learns neither
// whether an account exists nor how close a guess was.
var ErrSignIn = &Refusal{
	Kind:    Unauthenticated,
	Message: "that handle and code don't fit, or the code was used already",
	Hint:    "wait for the next code and try again",
}

// NoteStop says that failures at an account were so many in a row that strangers'
// attempts are not checked any more.
type NoteStop struct {
	User  store.UserID
	Count uint64
}

func (c NoteStop) decide(s State, _ store.Millis) (Decision, error) {
	if _, ok := s.users.get(c.User); !ok || c.Count == 0 {
		return Decision{}, &Refusal{Kind: NotFound, Message: "no failures of a known user to note"}
	}
	return Decision{Events: []store.Event{&store.SignInStopped{User: c.User, Count: min(c.Count, store.MaxFailureCount)}}}, nil
}

// NoteFailures appends the sum of failed sign-ins at one account from one
// source prefix.
type NoteFailures struct {
	User   store.UserID
	Count  uint64
	Source string
	Salt   [32]byte
}

func (c NoteFailures) decide(s State, _ store.Millis) (Decision, error) {
	if _, ok := s.users.get(c.User); !ok || c.Count == 0 {
		return Decision{}, &Refusal{Kind: NotFound, Message: "no failures of a known user to note"}
	}
	source := store.Opening{Owner: c.User, Field: store.FieldSource, Salt: c.Salt, Text: c.Source}
	return Decision{
		Events:   []store.Event{&store.SignInFailed{User: c.User, Count: min(c.Count, store.MaxFailureCount), Source: source.Commit()}},
		Openings: []store.Opening{source},
	}, nil
}

// SignOut ends the sign-in session of its caller.
type SignOut struct {
	By Caller
}

func (c SignOut) decide(s State, now store.Millis) (Decision, error) {
	u, x, err := s.Caller(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	return Decision{
		Actor:  store.Actor{User: u.ID},
		Events: []store.Event{&store.SignInEnded{User: u.ID, SignIn: x.Entry}},
	}, nil
}
