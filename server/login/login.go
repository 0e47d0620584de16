package login

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/store"
)

// A Config is what a Login is made of. Every field is needed but Log.
type Config struct {
	Ledger *ledger.Ledger
	Sealer *Sealer
	Now    func() time.Time
	Random io.Reader
	Log    *slog.Logger
}

// A Login enrols and signs in. Its methods may be called concurrently.
type Login struct {
	Config
	attempts *attempts
}

// New returns a Login.
func New(c Config) (*Login, error) {
	if c.Ledger == nil || c.Sealer == nil || c.Now == nil || c.Random == nil {
		return nil, errors.New("login: ledger, sealer, clock and randomness are needed")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Login{Config: c, attempts: &attempts{backend: c.Ledger.Backend, pending: map[string]uint64{}}}, nil
}

// An Enrolment is what an invitation is for.
type Enrolment struct {
	Handle  store.Handle
	Secret  string // base32
	URI     string // otpauth
	Expires time.Time
}

// TokenHash is how the ledger knows the tokens of invitations and sign-ins.
func TokenHash(token []byte) store.Hash { return sha256.Sum256(token) }

// BeginEnrolment reads an invitation. It may be read again until it is used.
func (l *Login) BeginEnrolment(token []byte) (Enrolment, error) {
	s, hash := l.Ledger.State(), TokenHash(token)
	u, expires, ok := s.Invited(hash, store.At(l.Now()))
	if !ok {
		return Enrolment{}, access.ErrInvitation
	}
	seed, err := l.Sealer.seed(token)
	if err != nil {
		return Enrolment{}, err
	}
	return Enrolment{
		Handle:  u.Handle,
		Secret:  seedEncoding.EncodeToString(seed),
		URI:     uri(s.Name(), string(u.Handle), seed),
		Expires: expires.Time(),
	}, nil
}

// FinishEnrolment uses an invitation, if the code shows that the secret has
// arrived in an authenticator, and signs its user in.
func (l *Login) FinishEnrolment(ctx context.Context, invitation []byte, code string, source netip.Addr) (Session, error) {
	hash := TokenHash(invitation)
	u, _, ok := l.Ledger.State().Invited(hash, store.At(l.Now()))
	if !ok {
		return Session{}, access.ErrInvitation
	}
	seed, err := l.Sealer.seed(invitation)
	if err != nil {
		return Session{}, err
	}
	at, ok, err := step(seed, code, l.Now())
	if err != nil {
		return Session{}, err
	}
	if !ok {
		return Session{}, &access.Refusal{
			Kind:    access.Unauthenticated,
			Message: "that code doesn't fit the secret",
			Hint:    "check the clock of the phone, wait for the next code and type it again",
		}
	}
	sealed, err := l.Sealer.seal(u.ID, seed)
	if err != nil {
		return Session{}, err
	}
	token, salt, err := l.drawToken()
	if err != nil {
		return Session{}, err
	}
	r, err := l.Ledger.Do(ctx,
		access.Enroll{Invitation: hash, Step: at, Token: TokenHash(token), Source: source.Unmap().String(), Salt: salt},
		store.SideWrite{Table: store.SideSecrets, Key: u.ID[:], Value: sealed})
	if err != nil {
		return Session{}, err
	}
	return newSession(token, u, r.Events[1]), nil
}

// drawToken draws a sign-in session's token, and a salt for its entry.
func (l *Login) drawToken() (token []byte, salt [32]byte, err error) {
	token = make([]byte, 32)
	_, err = io.ReadFull(l.Random, token)
	if err == nil {
		_, err = io.ReadFull(l.Random, salt[:])
	}
	if err != nil {
		return nil, salt, fmt.Errorf("drawing a token: %w", err)
	}
	return token, salt, nil
}

func newSession(token []byte, u access.User, e store.Event) Session {
	return Session{Token: token, User: u, Expires: e.(*store.SignInSucceeded).Expires.Time()}
}

// A Session is a sign-in session that was just opened. Token is its secret.
type Session struct {
	Token   []byte
	User    access.User
	Expires time.Time
}

// SignIn opens a sign-in session for a handle and a TOTP code. Every failure has
// the same answer but for the one that says to wait.
func (l *Login) SignIn(ctx context.Context, handle, code string, source netip.Addr) (Session, error) {
	u, known := l.Ledger.State().UserByHandle(store.Handle(handle))
	who := account{u.ID, known}
	if !known {
		who.id = l.Sealer.nobody(handle)
	}
	attempt, wait, err := l.attempts.begin(ctx, who, prefix(source), l.Now())
	if err != nil {
		return Session{}, err
	}
	if attempt == nil {
		return Session{}, &access.Refusal{
			Kind:    access.Limited,
			Message: fmt.Sprintf("too many failed attempts; the next one is possible in %s", wait.Round(time.Second)),
			Hint:    "wait, or sign in from where you usually do",
		}
	}
	defer attempt.end()
	s, err := l.try(ctx, u, code, source)
	if errors.Is(err, access.ErrSignIn) {
		if err := attempt.failed(ctx, l.Now()); err != nil {
			return Session{}, err
		}
	}
	return s, err
}

// try checks a code and opens a session. The zero user is nobody, for whom it
// does what it does for others, with a seed of nobody's.
func (l *Login) try(ctx context.Context, u access.User, code string, source netip.Addr) (Session, error) {
	seed, err := l.secret(ctx, u)
	if err != nil {
		return Session{}, err
	}
	at, ok, err := step(seed, code, l.Now())
	if err != nil {
		return Session{}, err
	}
	if !ok || u.Factor.Entry == 0 {
		return Session{}, access.ErrSignIn
	}
	return l.open(ctx, u, at, source)
}

// secret returns a user's seed, or for whoever has none a seed that no code
// fits.
func (l *Login) secret(ctx context.Context, u access.User) ([]byte, error) {
	decoy, err := l.Sealer.seed(nil)
	if err != nil {
		return nil, err
	}
	sealed, err := l.Ledger.Backend.Side(ctx, store.SideSecrets, u.ID[:])
	switch {
	case errors.Is(err, store.ErrNotFound):
		if u.Factor.Entry != 0 {
			return nil, fmt.Errorf("the secret of a factor is missing: %w", store.ErrCorrupt)
		}
		return decoy, nil
	case err != nil:
		return nil, fmt.Errorf("reading a factor: %w", err)
	}
	return l.Sealer.open(u.ID, sealed)
}

func (l *Login) open(ctx context.Context, u access.User, at uint64, source netip.Addr) (Session, error) {
	token, salt, err := l.drawToken()
	if err != nil {
		return Session{}, err
	}
	r, err := l.Ledger.Do(ctx, access.SignInWithTOTP{
		User: u.ID, Step: at, Token: TokenHash(token), Source: source.Unmap().String(), Salt: salt,
	})
	if err != nil {
		return Session{}, err
	}
	return newSession(token, u, r.Events[0]), nil
}

// NoteFailures appends what failed since it was last called: one entry an
// account and source. The server calls it every minute.
func (l *Login) NoteFailures(ctx context.Context) error {
	rows, err := l.attempts.untold(ctx, l.Now())
	if err != nil {
		return err
	}
	for _, r := range rows {
		note := access.NoteFailures{User: r.user(), Count: r.Untold, Source: r.Source}
		if _, err := io.ReadFull(l.Random, note.Salt[:]); err != nil {
			return fmt.Errorf("drawing a salt: %w", err)
		}
		// Not found is a user who was removed meanwhile. Whatever else was in the
		// way, the failures are told of when it is gone.
		var refused *access.Refusal
		if _, err := l.Ledger.Do(ctx, note); err != nil && (!errors.As(err, &refused) || refused.Kind != access.NotFound) {
			return err
		}
		// If the process dies here, the failures are told of twice: better than never.
		if err := l.attempts.told(ctx, r); err != nil {
			return err
		}
	}
	return nil
}
