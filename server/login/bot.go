package login

import (
	"context"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// A BotProof is what a bot shows to sign in: a signature, by Key, of what
// api.BotMessage says about the challenge.
type BotProof struct {
	Handle    string
	Key       ssh.PublicKey
	Challenge []byte
	Signature []byte // in SSH wire format
}

// ChallengeBot returns what a bot is to sign, and until when. Whoever asks for a
// handle that no bot has gets one too, which nothing answers.
func (l *Login) ChallengeBot(handle string, client Client) ([]byte, time.Time, error) {
	if client.Key.IsZero() {
		return nil, time.Time{}, &access.Refusal{Kind: access.Invalid, Message: "a sign-in session needs a key that its calls are signed with", Hint: "use a newer vaultpam"}
	}
	who, _ := l.challenged(handle, client)
	return l.challenge(who)
}

func (l *Login) challenged(handle string, client Client) (challenged, access.User) {
	u, _ := l.Ledger.State().UserByHandle(store.Handle(handle))
	if !u.Bot {
		u = access.User{}
	}
	return challenged{handle: handle, bot: u.ID, client: client.Key}, u
}

// SignInBot opens a bot's sign-in session. Every failure has the same answer but
// for those that say to wait, and takes as long: the signature is verified with the
// key that was shown, whoever's it is.
//
// What others got wrong does not stand in the way of a good signature, which nobody
// can guess: failures are counted and held back by themselves.
func (l *Login) SignInBot(ctx context.Context, p BotProof, client Client) (Session, error) {
	who, u := l.challenged(p.Handle, client)
	signed := verifies(p.Key, api.BotMessage(l.Ledger.State().Name(), p.Handle, p.Challenge, client.Key), p.Signature)
	drawn := l.challenges.good(who, p.Challenge, l.Now())
	var shown string // put together for whoever asks, known or not
	if p.Key != nil {
		shown = string(p.Key.Marshal())
	}
	holds := shown != "" && slices.ContainsFunc(u.Factors, func(f access.Factor) bool {
		return f.Kind == store.FactorKey && string(f.Key) == shown
	})
	if !signed || !drawn || !holds || !l.challenges.use(p.Challenge, l.Now()) {
		return Session{}, l.failedBot(ctx, p.Handle, u, client)
	}
	token, holder, err := l.holder(client)
	if err != nil {
		return Session{}, err
	}
	r, err := l.Ledger.Do(ctx, access.SignInWithKey{User: u.ID, Key: p.Key.Marshal(), Holder: holder})
	if err != nil {
		return Session{}, err
	}
	e := r.Events[len(r.Events)-1].(*store.SignInSucceeded)
	return Session{Token: token, User: u, Kind: e.Kind, Expires: e.Expires.Time()}, nil
}

// failedBot counts a failure, for a handle that no bot has as for one that has.
func (l *Login) failedBot(ctx context.Context, handle string, u access.User, client Client) error {
	who := account{l.Sealer.nobody(handle), u.Bot}
	if u.Bot {
		who.id = u.ID
	}
	attempt, wait, err := l.attempts.begin(ctx, who, way{source: prefix(client.Source), signed: true}, l.Now())
	if err != nil {
		return err
	}
	if attempt == nil {
		return &access.Refusal{
			Kind: access.Limited, Message: "too many sign-ins of this bot failed from here, so this one is not looked at closer",
			Hint: access.ErrBotSignIn.Hint, RetryAfter: wait,
		}
	}
	defer attempt.end()
	if err := attempt.failed(ctx, l.Now()); err != nil {
		return err
	}
	return access.ErrBotSignIn
}

// JoinBot uses a join token up for a key, if the signature shows that who brings it
// holds the private key: a key of somebody else's would be theirs to sign in with.
func (l *Login) JoinBot(ctx context.Context, token []byte, key ssh.PublicKey, signature []byte, machine string) (access.User, error) {
	s, hash := l.Ledger.State(), TokenHash(token)
	if len(token) != tokenSize || !s.Joins(hash, store.At(l.Now())) {
		return access.User{}, access.ErrJoin
	}
	if key == nil || !verifies(key, api.JoinMessage(s.Name(), [tokenSize]byte(token), key.Marshal()), signature) {
		return access.User{}, &access.Refusal{
			Kind: access.Invalid, Message: "the key that would join did not sign for it", Hint: "vaultpam bot join makes a key and signs with it",
		}
	}
	join := access.JoinBot{Token: hash, Key: access.BotKey{Key: key, Name: machine}}
	if err := l.draw(join.Key.Salt[:]); err != nil {
		return access.User{}, err
	}
	r, err := l.Ledger.Do(ctx, join)
	if err != nil {
		return access.User{}, err
	}
	u, ok := l.Ledger.State().User(r.Events[0].(*store.FactorEnrolled).User)
	if !ok { // removed in the same moment
		return access.User{}, access.ErrJoin
	}
	return u, nil
}

// verifies reports whether a signature in SSH wire format is a key's. Keys of a kind
// that no bot has verify nothing.
func verifies(key ssh.PublicKey, message, signature []byte) bool {
	if key == nil || key.Type() != ssh.KeyAlgoED25519 && key.Type() != ssh.KeyAlgoECDSA256 {
		return false
	}
	var s ssh.Signature
	if err := ssh.Unmarshal(signature, &s); err != nil || len(s.Rest) > 0 || s.Format != key.Type() {
		return false
	}
	return key.Verify(message, &s) == nil
}
