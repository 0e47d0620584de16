package access

import (
	"bytes"
	"fmt"
	"iter"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
)

const (
	// DefaultJoinLife is how long a join token can be used where nobody says.
	DefaultJoinLife = 24 * time.Hour
	// MinJoinLife and MaxJoinLife bound it.
	MinJoinLife = time.Minute
	MaxJoinLife = 7 * 24 * time.Hour
	// MaxBotSignIns is how many sign-in sessions of one bot are open at a time.
	// Nobody has to touch anything for one, so that a program gone wrong, or a thief,
	// could open as many as the disk holds.
	MaxBotSignIns = 1000
)

// Bots yields all bots in the order of their handles.
func (s State) Bots() iter.Seq[User] {
	return func(yield func(User) bool) {
		for _, id := range s.handles.all() {
			if u, ok := s.users.get(id); ok && u.Bot && !yield(u) {
				return
			}
		}
	}
}

// Join returns when the join token that waits for a bot expires, and false where
// none does.
func (s State) Join(bot store.UserID, now store.Millis) (store.Millis, bool) {
	u, _ := s.users.get(bot)
	j, ok := s.joins.get(u.join)
	return j.Expires, ok && now < j.Expires
}

// Joins reports whether a join token can be used. It names no bot.
func (s State) Joins(token store.Hash, now store.Millis) bool {
	j, ok := s.joins.get(token)
	return ok && now < j.Expires
}

// Person is Caller for what a person alone may do: whatever takes a role, an
// approval, or a proof that somebody is there. Every command but those that a bot
// lives by goes through it.
func (s State) Person(c Caller, now store.Millis) (User, SignIn, error) {
	u, x, err := s.Caller(c, now)
	if err == nil && u.Bot {
		err = notForBots(u)
	}
	if err != nil {
		return User{}, SignIn{}, err
	}
	return u, x, nil
}

func notForBots(u User) error {
	return &Refusal{Kind: Forbidden, Message: fmt.Sprintf("this takes a person, and %s is a bot", u.Handle), Hint: "a person has to sign in for it: vaultpam login"}
}

// personByHandle returns a person, for what is done with people alone.
func (s State) personByHandle(h store.Handle) (User, error) {
	u, ok := s.UserByHandle(h)
	switch {
	case !ok:
		return User{}, noUser(h)
	case u.Bot:
		return User{}, &Refusal{Kind: Conflict, Message: fmt.Sprintf("%s is a bot, and this is for people", h), Hint: "vaultpam help admin bot"}
	}
	return u, nil
}

// botByHandle returns a bot, for what is done with bots alone.
func (s State) botByHandle(h store.Handle) (User, error) {
	u, ok := s.UserByHandle(h)
	switch {
	case !ok:
		return User{}, &Refusal{Kind: NotFound, Message: fmt.Sprintf("there is no bot %s", h), Hint: "vaultpam admin bot ls"}
	case !u.Bot:
		return User{}, &Refusal{Kind: Conflict, Message: fmt.Sprintf("%s is a person, and this is for bots", h), Hint: "vaultpam help admin user"}
	}
	return u, nil
}

// freeHandle parses a handle that nobody has, be it a person or a bot.
func (s State) freeHandle(text string) (store.Handle, error) {
	handle, err := store.ParseHandle(text)
	if err != nil {
		return "", invalid(err)
	}
	switch u, taken := s.UserByHandle(handle); {
	case taken && u.Bot:
		return "", &Refusal{Kind: Conflict, Message: fmt.Sprintf("there is a bot %s already", handle), Hint: "vaultpam admin bot ls"}
	case taken:
		return "", &Refusal{Kind: Conflict, Message: fmt.Sprintf("there is a user %s already", handle), Hint: "vaultpam admin user ls"}
	}
	return handle, nil
}

// A JoinToken is what lets a bot enrol its first key: the SHA-256 hash of 256
// random bits, and how long it can be used, DefaultJoinLife where Life is 0.
type JoinToken struct {
	Token store.Hash
	Life  time.Duration
}

func (j JoinToken) event(s State, bot store.UserID, now store.Millis) (*store.JoinCreated, error) {
	if j.Life == 0 {
		j.Life = DefaultJoinLife
	}
	if j.Token == (store.Hash{}) || j.Life < MinJoinLife || j.Life > MaxJoinLife {
		return nil, &Refusal{Kind: Invalid, Message: "a join token is drawn at random, and lasts from a minute to seven days"}
	}
	_, joins := s.joins.get(j.Token)
	_, invites := s.invitations.get(j.Token)
	if joins || invites {
		return nil, &Refusal{Kind: Conflict, Message: "the join token is taken", Hint: "try again"}
	}
	return &store.JoinCreated{User: bot, Token: j.Token, Expires: now + store.Millis(j.Life/time.Millisecond)}, nil
}

// A BotKey is a public key that a bot is to sign in with. Name is what it is
// called, or empty. The caller has verified that who brings it holds the private
// key, or that an administrator named it.
type BotKey struct {
	Key  ssh.PublicKey
	Name string
	Salt [32]byte
}

// event enrols the key for a bot.
func (k BotKey) event(s State, bot User) (*store.FactorEnrolled, []store.Opening, error) {
	if err := s.mayHold(k.Key); err != nil {
		return nil, nil, err
	}
	if len(bot.Factors) >= store.MaxFactors {
		return nil, nil, &Refusal{
			Kind: Conflict, Message: fmt.Sprintf("%s has %d keys, and no bot has more", bot.Handle, len(bot.Factors)),
			Hint: fmt.Sprintf("vaultpam admin bot key rm %s ID", bot.Handle),
		}
	}
	e := &store.FactorEnrolled{User: bot.ID, Kind: store.FactorKey, Key: k.Key.Marshal()}
	if k.Name == "" {
		return e, nil, nil
	}
	name, openings, err := nameFactor(bot, k.Name, k.Salt)
	e.Name = name
	return e, openings, err
}

// mayHold refuses keys that no bot may sign in with: of another kind, an
// authority's, and one that some bot has already, so that a key names one bot.
func (s State) mayHold(key ssh.PublicKey) error {
	if key == nil || key.Type() != ssh.KeyAlgoED25519 && key.Type() != ssh.KeyAlgoECDSA256 {
		return &Refusal{
			Kind: Invalid, Message: "a bot's key is Ed25519, or ECDSA on P-256, and no certificate", Hint: "ssh-keygen -t ed25519 -N '' -f bot_key",
		}
	}
	wire := key.Marshal()
	for _, authority := range []ssh.PublicKey{s.userCA, s.targetCA} {
		if authority != nil && bytes.Equal(authority.Marshal(), wire) {
			return &Refusal{Kind: Invalid, Message: "this is a key of VaultPAM's own", Hint: "make one for the bot: ssh-keygen -t ed25519 -N '' -f bot_key"}
		}
	}
	for _, u := range s.users.all() {
		if _, ok := u.key(wire); ok {
			return &Refusal{Kind: Conflict, Message: fmt.Sprintf("this key is %s's already", u.Handle), Hint: "make one for each bot: ssh-keygen -t ed25519 -N '' -f bot_key"}
		}
	}
	return nil
}

// key returns the factor that a public key in SSH wire format is.
func (u User) key(wire []byte) (Factor, bool) {
	for _, f := range u.Factors {
		if f.Kind == store.FactorKey && len(wire) > 0 && bytes.Equal(f.Key, wire) {
			return f, true
		}
	}
	return Factor{}, false
}
