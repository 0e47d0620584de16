package access

import (
	"fmt"
	"time"

	"github.com/vaultpam/vaultpam/store"
)

// A Holder is who will hold a sign-in session: the client that knows the token
// and signs every call with the key. Source is the address that it came from,
// Machine what it calls itself, or empty. The salts are random.
type Holder struct {
	Token       store.Hash // SHA-256 of 256 random bits
	Key         store.ClientKey
	Source      string
	Machine     string
	Salt        [32]byte
	MachineSalt [32]byte
}

// open returns the event of a sign-in session that begins now. It is asked when a
// person has proved who they are: that they are locked is for nobody else.
func (s State) open(u User, h Holder, now store.Millis) (*store.SignInSucceeded, []store.Opening, error) {
	if l, ok := s.LockOfUser(u.ID); ok {
		return nil, nil, s.lockedOut(l)
	}
	// One that was not drawn at random would let its holder into another session.
	if _, taken := s.tokens.get(h.Token); taken || h.Token == (store.Hash{}) {
		return nil, nil, ErrSignIn
	}
	if h.Key.IsZero() {
		return nil, nil, &Refusal{Kind: Invalid, Message: "a sign-in session needs a key that its calls are signed with", Hint: "use a newer vaultpam"}
	}
	source := store.Opening{Owner: u.ID, Field: store.FieldSource, Salt: h.Salt, Text: h.Source}
	openings := []store.Opening{source}
	life := store.SettingSignInLife
	if u.Bot {
		life = store.SettingBotSignInLife
	}
	e := &store.SignInSucceeded{User: u.ID, Token: h.Token, Key: h.Key, Expires: now + s.duration(life), Source: source.Commit()}
	if h.Machine != "" {
		title, err := store.ParseTitle(h.Machine)
		if err != nil {
			return nil, nil, invalid(err)
		}
		machine := store.Opening{Owner: u.ID, Field: store.FieldMachine, Salt: h.MachineSalt, Text: title}
		e.Machine = machine.Commit()
		openings = append(openings, machine)
	}
	return e, openings, nil
}

// duration is the value of a setting that is one.
func (s State) duration(name store.Setting) store.Millis {
	d, err := store.ParseSignInLife(s.Setting(name))
	if err != nil {
		return 0 // no entry holds one; then nothing lasts
	}
	return store.Millis(d / time.Millisecond)
}

// SignInWithTOTP opens a sign-in session. The caller has found the time step that the
// TOTP code belongs to; whether it may still be used is decided here.
type SignInWithTOTP struct {
	User   store.UserID
	Step   uint64
	Holder Holder
}

func (c SignInWithTOTP) decide(s State, now store.Millis) (Decision, error) {
	u, _ := s.users.get(c.User)
	f, ok := u.TOTP()
	if !ok || c.Step <= f.LastStep {
		return Decision{}, ErrSignIn // not there, or used once already; one answer for all that fails
	}
	e, openings, err := s.open(u, c.Holder, now)
	if err != nil {
		return Decision{}, err
	}
	e.Factor, e.Kind, e.Step = f.Entry, f.Kind, c.Step
	return Decision{Actor: store.Actor{User: u.ID}, Events: []store.Event{e}, Openings: openings}, nil
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

// SignOut ends the sign-in session of its caller, or another one of the same
// person's where SignIn names it.
type SignOut struct {
	By     Caller
	SignIn store.Index // 0: the caller's own
}

func (c SignOut) decide(s State, now store.Millis) (Decision, error) {
	u, x, err := s.Caller(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	if c.SignIn != 0 && c.SignIn != x.Entry {
		other, ok := s.SignIn(c.SignIn, now)
		if !ok || other.User != u.ID {
			return Decision{}, &Refusal{
				Kind: NotFound, Message: fmt.Sprintf("you have no sign-in session %d that is open", c.SignIn), Hint: "vaultpam status --all",
			}
		}
		x = other
	}
	return Decision{
		Actor:  store.Actor{User: u.ID},
		Events: []store.Event{&store.SignInEnded{User: u.ID, SignIn: x.Entry}},
	}, nil
}

// SignIn returns a sign-in session that is open at a moment.
func (s State) SignIn(entry store.Index, now store.Millis) (SignIn, bool) {
	x, ok := s.signIns.get(entry)
	if !ok || x.over(now) {
		return SignIn{}, false
	}
	_, there := s.users.get(x.User)
	return x, there
}

// SignInsOf returns a user's sign-in sessions that are open at a moment, oldest
// first.
func (s State) SignInsOf(user store.UserID, now store.Millis) []SignIn {
	u, _ := s.users.get(user)
	var all []SignIn
	for _, entry := range u.signIns {
		if x, ok := s.SignIn(entry, now); ok {
			all = append(all, x)
		}
	}
	return all
}
