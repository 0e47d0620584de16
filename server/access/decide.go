package access

import (
	"fmt"
	"strings"
	"time"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/store"
)

// A Command is a wish. It carries every text, nonce and random ID that deciding
// it needs, and who utters it. The commands are the structs of this package.
type Command interface {
	decide(s State, now store.Millis) (Decision, error)
}

// A Decision is what becomes of a command that the rules allow: the events to
// append and, beside them, what must not stand in an entry.
type Decision struct {
	Actor  store.Actor
	Events []store.Event
	// Openings belong to the commitments in Events.
	Openings []store.Opening
	// Certificate is built and linted; its event is among Events. It may be
	// signed once they are durable.
	Certificate *ca.Unsigned
}

const (
	// MaxClockBehind is how far the clock may be behind the last entry.
	MaxClockBehind = 2 * time.Second
	// refusalWindow is how long repetitions of a refusal make one entry.
	refusalWindow = store.Millis(time.Minute / time.Millisecond)
)

// Decide returns what becomes of a command in a state: events, or a *Refusal.
// A refusal may come with events too, where the refusal itself is one.
//
// The moment of the decision is now, or the last entry's where that is at most
// MaxClockBehind later: no entry is dated before the one before it.
func Decide(s State, c Command, now time.Time) (Decision, store.Millis, error) {
	at := store.At(now)
	if accept, ok := c.(AcceptClock); ok {
		d, err := accept.decide(s, at)
		return d, max(at, s.time), err
	}
	if s.time-at > store.Millis(MaxClockBehind/time.Millisecond) {
		return Decision{}, 0, &Refusal{
			Kind:    Clock,
			Message: fmt.Sprintf("the server's clock is at %s, before its last entry at %s, so nothing is decided", second(at), second(s.time)),
			Hint:    "set the server's clock right; if it is right and the ledger is not: vaultpamd clock accept",
		}
	}
	at = max(at, s.time)
	if s.next != 0 && (s.rules == 0 || s.rules > Rules) {
		return Decision{}, 0, &Refusal{
			Kind:    Clock,
			Message: fmt.Sprintf("the ledger's rules are version %d, and this program knows them up to %d", s.rules, Rules),
			Hint:    "run a newer vaultpamd",
		}
	}
	d, err := c.decide(s, at)
	return d, at, err
}

// A Caller is how somebody shows who they are: by the hash of a sign-in
// session's token and the key that signed the call, or by coming from the
// server's own machine. It is resolved
// where the command is decided, so that a sign-in that ended meanwhile counts
// for nothing.
type Caller struct {
	Token store.Hash
	// Key is the public key whose signature over the call was verified. A token
	// without the key that its session was opened with counts for nothing.
	Key   store.ClientKey
	Local bool
	// Timetable is the server itself, by its own timetable. It may look at
	// targets, remind of reviews and end those that are due, and counts for nothing
	// else.
	Timetable bool
}

// ErrNotSignedIn answers who is nobody.
var ErrNotSignedIn = &Refusal{
	Kind:    Unauthenticated,
	Message: "you are not signed in, or your sign-in has ended",
	Hint:    "vaultpam login",
}

var errOtherKey = &Refusal{
	Kind:    Unauthenticated,
	Message: "this call is not signed with the key of its sign-in session",
	Hint:    "sign in on this machine: vaultpam login",
}

// Knows reports whether a token stands for an open sign-in session, whoever shows
// it. It admits nobody.
func (s State) Knows(token store.Hash, now store.Millis) bool {
	entry, ok := s.tokens.get(token)
	if !ok || token == (store.Hash{}) {
		return false
	}
	_, ok = s.SignIn(entry, now)
	return ok
}

// Caller returns the user and the sign-in session that a caller stands for.
func (s State) Caller(c Caller, now store.Millis) (User, SignIn, error) {
	entry, ok := s.tokens.get(c.Token)
	if !ok || c.Token == (store.Hash{}) {
		return User{}, SignIn{}, ErrNotSignedIn
	}
	x, ok := s.signIns.get(entry)
	if !ok || x.over(now) {
		return User{}, SignIn{}, ErrNotSignedIn
	}
	if c.Key != x.Key || c.Key.IsZero() {
		return User{}, SignIn{}, errOtherKey
	}
	u, ok := s.users.get(x.User)
	if !ok {
		return User{}, SignIn{}, ErrNotSignedIn
	}
	return u, x, nil
}

// Authorize returns the actor behind a person who holds one of the roles.
// Coming from the server's own machine counts as administrator.
func (s State) Authorize(c Caller, now store.Millis, roles ...store.Role) (store.Actor, error) {
	if c.Local {
		for _, r := range roles {
			if r == store.RoleAdministrator {
				return store.Actor{Local: true}, nil
			}
		}
		return store.Actor{}, &Refusal{Kind: Forbidden, Message: fmt.Sprintf("this takes %s, held by a person who signed in", oneOf(roles)), Hint: "vaultpam login"}
	}
	u, _, err := s.Person(c, now)
	if err != nil {
		return store.Actor{}, err
	}
	if len(roles) > 0 && !u.Has(roles...) {
		return store.Actor{}, &Refusal{
			Kind:    Forbidden,
			Message: fmt.Sprintf("this takes %s, which %s does not hold", oneOf(roles), u.Handle),
			Hint:    "ask an administrator",
		}
	}
	return store.Actor{User: u.ID}, nil
}

// oneOf names roles of which one is enough.
func oneOf(roles []store.Role) string {
	words := make([]string, len(roles))
	for i, r := range roles {
		words[i] = string(r)
	}
	return "the role " + strings.Join(words, " or ")
}

func (s State) administrator(c Caller, now store.Millis) (store.Actor, error) {
	return s.Authorize(c, now, store.RoleAdministrator)
}

// second is how refusals name a moment where seconds count.
func second(m store.Millis) string { return m.Time().Format(time.DateTime + " MST") }

func invalid(err error) error { return &Refusal{Kind: Invalid, Message: err.Error()} }
