package access

import (
	"fmt"

	"github.com/vaultpam/vaultpam/store"
)

// AddBot adds a machine identity, with a key or with a token to enrol one. It has
// no role, and no command gives it any. ID and Salt are random.
type AddBot struct {
	By     Caller
	ID     store.UserID
	Handle string
	Salt   [32]byte
	// Key or Join, and not both.
	Key  *BotKey
	Join *JoinToken
}

func (c AddBot) decide(s State, now store.Millis) (Decision, error) {
	actor, err := s.administrator(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	handle, err := s.freeHandle(c.Handle)
	if err != nil {
		return Decision{}, err
	}
	if _, ok := s.users.get(c.ID); ok || c.ID.IsZero() {
		return Decision{}, &Refusal{Kind: Conflict, Message: "the new bot's ID is taken", Hint: "try again"}
	}
	if (c.Key == nil) == (c.Join == nil) {
		return Decision{}, &Refusal{Kind: Invalid, Message: "a bot begins with a key or with a join token"}
	}
	opening := store.Opening{Owner: c.ID, Field: store.FieldHandle, Salt: c.Salt, Text: string(handle)}
	d := Decision{
		Actor:    actor,
		Events:   []store.Event{&store.BotAdded{User: c.ID, Handle: opening.Commit()}},
		Openings: []store.Opening{opening},
	}
	if c.Join != nil {
		e, err := c.Join.event(s, c.ID, now)
		if err != nil {
			return Decision{}, err
		}
		d.Events = append(d.Events, e)
		return d, nil
	}
	e, openings, err := c.Key.event(s, User{ID: c.ID, Handle: handle, Bot: true})
	if err != nil {
		return Decision{}, err
	}
	d.Events, d.Openings = append(d.Events, e), append(d.Openings, openings...)
	return d, nil
}

// botThatGets returns the bot that an administrator gives a key or a token to, which
// none gets that is locked.
func (s State) botThatGets(by Caller, handle store.Handle, now store.Millis) (store.Actor, User, error) {
	actor, err := s.administrator(by, now)
	if err != nil {
		return store.Actor{}, User{}, err
	}
	bot, err := s.botByHandle(handle)
	if err != nil {
		return store.Actor{}, User{}, err
	}
	return actor, bot, s.whileLocked(bot)
}

// CreateJoin gives a bot a token to enrol another key with; its earlier token is
// void, its keys stay.
type CreateJoin struct {
	By     Caller
	Handle store.Handle
	Join   JoinToken
}

func (c CreateJoin) decide(s State, now store.Millis) (Decision, error) {
	actor, bot, err := s.botThatGets(c.By, c.Handle, now)
	if err != nil {
		return Decision{}, err
	}
	e, err := c.Join.event(s, bot.ID, now)
	if err != nil {
		return Decision{}, err
	}
	return Decision{Actor: actor, Events: []store.Event{e}}, nil
}

// AddBotKey lets a bot sign in with another key, beside those it has.
type AddBotKey struct {
	By     Caller
	Handle store.Handle
	Key    BotKey
}

func (c AddBotKey) decide(s State, now store.Millis) (Decision, error) {
	actor, bot, err := s.botThatGets(c.By, c.Handle, now)
	if err != nil {
		return Decision{}, err
	}
	e, openings, err := c.Key.event(s, bot)
	if err != nil {
		return Decision{}, err
	}
	return Decision{Actor: actor, Events: []store.Event{e}, Openings: openings}, nil
}

// RemoveBotKey takes a key from a bot. What was signed in with it is over. It may
// be the last: the bot then waits for another.
type RemoveBotKey struct {
	By     Caller
	Handle store.Handle
	Factor store.Index
}

func (c RemoveBotKey) decide(s State, now store.Millis) (Decision, error) {
	actor, err := s.administrator(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	bot, err := s.botByHandle(c.Handle)
	if err != nil {
		return Decision{}, err
	}
	if _, ok := bot.Factor(c.Factor); !ok {
		return Decision{}, &Refusal{Kind: NotFound, Message: fmt.Sprintf("%s has no key %d", bot.Handle, c.Factor), Hint: "vaultpam admin bot ls"}
	}
	return Decision{Actor: actor, Events: []store.Event{&store.FactorRemoved{User: bot.ID, Factor: c.Factor}}}, nil
}

// RemoveBot ends everything that a bot can do.
type RemoveBot struct {
	By     Caller
	Handle store.Handle
}

func (c RemoveBot) decide(s State, now store.Millis) (Decision, error) {
	actor, err := s.administrator(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	bot, err := s.botByHandle(c.Handle)
	if err != nil {
		return Decision{}, err
	}
	return Decision{Actor: actor, Events: []store.Event{&store.UserRemoved{User: bot.ID}}}, nil
}

// JoinBot uses a join token up to enrol a key. The caller has verified that who
// shows the token holds the private key. Of all who show one token at once the
// first is let in.
type JoinBot struct {
	Token store.Hash
	Key   BotKey
}

func (c JoinBot) decide(s State, now store.Millis) (Decision, error) {
	j, ok := s.joins.get(c.Token)
	bot, there := s.users.get(j.User)
	if !ok || !there || j.Expires <= now {
		return Decision{}, ErrJoin
	}
	e, openings, err := c.Key.event(s, bot)
	if err != nil {
		return Decision{}, err
	}
	e.Join = j.Entry
	return Decision{Actor: store.Actor{User: bot.ID}, Events: []store.Event{e}, Openings: openings}, nil
}

// SignInWithKey opens a bot's sign-in session. The caller has verified that the
// client signed, with the private key of Key, a challenge that was drawn for this
// bot and the holder's key and was never used before. Whether the key is the bot's
// is decided here.
type SignInWithKey struct {
	User   store.UserID
	Key    []byte // in SSH wire format
	Holder Holder
}

func (c SignInWithKey) decide(s State, now store.Millis) (Decision, error) {
	u, _ := s.users.get(c.User)
	f, ok := u.key(c.Key)
	if !ok { // people have none
		return Decision{}, ErrBotSignIn
	}
	if len(s.SignInsOf(u.ID, now)) >= MaxBotSignIns {
		return Decision{}, &Refusal{
			Kind: Limited, Message: fmt.Sprintf("%s has %d sign-in sessions open, and no bot has more", u.Handle, MaxBotSignIns),
			Hint: "let jobs end theirs: vaultpam logout; or shorten them all: vaultpamd setting bot-sign-in-life 10m",
		}
	}
	e, openings, err := s.open(u, c.Holder, now)
	if err != nil {
		return Decision{}, err
	}
	e.Factor, e.Kind = f.Entry, f.Kind
	return Decision{Actor: store.Actor{User: u.ID}, Events: []store.Event{e}, Openings: openings}, nil
}

// ErrJoin answers every join token that can't be used.
var ErrJoin = &Refusal{
	Kind:    NotFound,
	Message: "this join token was used, replaced, or has expired",
	Hint:    "ask an administrator for a new one: vaultpam admin bot token HANDLE",
}

// ErrBotSignIn answers every sign-in of a bot that fails, so that a stranger
// learns neither whether a bot exists nor which keys it has.
var ErrBotSignIn = &Refusal{
	Kind:    Unauthenticated,
	Message: "that bot and key don't fit, or what was signed is too old or was used already",
	Hint:    "ask an administrator which keys the bot has: vaultpam admin bot ls",
}
