package login

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
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
	// Browser is nil where there are no pages; then there are no passkeys.
	Browser *Browser
	// SSO is the company's OpenID provider, or nil.
	SSO *SSO
}

// A Login enrols and signs in. Its methods may be called concurrently.
type Login struct {
	Config
	attempts   *attempts
	decoy      decoys
	ceremonies *ceremonies
	passkeys   *passkeys // nil where there are none
	provider   *provider // nil where there is none
	logouts    *logouts
	challenges *challenges
}

// New returns a Login.
func New(c Config) (*Login, error) {
	if c.Ledger == nil || c.Sealer == nil || c.Now == nil || c.Random == nil {
		return nil, errors.New("login: ledger, sealer, clock and randomness are needed")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	l := &Login{
		Config: c, attempts: &attempts{backend: c.Ledger.Backend, pending: map[string]uint64{}}, ceremonies: newCeremonies(c.Now),
	}
	if c.SSO != nil {
		l.provider, l.logouts = newProvider(*c.SSO, c.Now), newLogouts()
	}
	var err error
	if c.Browser != nil {
		if l.passkeys, err = newPasskeys(c.Ledger.State().Name(), *c.Browser); err != nil {
			return nil, err
		}
	}
	if l.decoy, err = l.makeDecoys(); err != nil {
		return nil, err
	}
	if l.challenges, err = l.newChallenges(); err != nil {
		return nil, err
	}
	return l, nil
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
// arrived in an authenticator, gives its user recovery codes, and signs them in
// where the client has a key for that. Whatever machines the user had signed in on
// before are strangers from then on.
func (l *Login) FinishEnrolment(ctx context.Context, invitation []byte, code string, client Client) (Session, error) {
	u, _, ok := l.Ledger.State().Invited(TokenHash(invitation), store.At(l.Now()))
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
	return l.enrol(ctx, u, invitation, access.NewFactor{Step: at}, client, store.SideWrite{Table: store.SideSecrets, Key: u.ID[:], Value: sealed})
}

// enrol uses an invitation to enrol a factor that was verified.
func (l *Login) enrol(ctx context.Context, u access.User, invitation []byte, f access.NewFactor, client Client, side ...store.SideWrite) (Session, error) {
	codes, record, err := l.drawCodes(u.ID)
	if err != nil {
		return Session{}, err
	}
	side = append(side, codesWrite(u.ID, record))
	enroll := access.Enroll{Invitation: TokenHash(invitation), Codes: sha256.Sum256(record), Factor: f}
	s := Session{User: u}
	if client.Key.IsZero() {
		side = append(side, store.SideWrite{Table: store.SideSecrets, Key: secretKey(u.ID, devicesSuffix)})
		_, err = l.Ledger.Do(ctx, enroll, side...)
	} else {
		s, err = l.open(ctx, u, entrance{client: client}, func(h access.Holder) access.Command {
			enroll.Holder = &h
			return enroll
		}, side...)
	}
	if err != nil {
		return Session{}, err
	}
	s.Codes = codes
	return s, l.attempts.enrolled(ctx, account{u.ID, true})
}

// holder draws a sign-in session's token, and says who will hold it.
func (l *Login) holder(c Client) ([]byte, access.Holder, error) {
	token := make([]byte, tokenSize)
	h := access.Holder{Key: c.Key, Source: c.address(), Machine: c.Machine}
	err := l.draw(token, h.Salt[:], h.MachineSalt[:])
	h.Token = TokenHash(token)
	return token, h, err
}

// draw fills every part with random bytes.
func (l *Login) draw(parts ...[]byte) error {
	for _, p := range parts {
		if _, err := io.ReadFull(l.Random, p); err != nil {
			return fmt.Errorf("drawing random bytes: %w", err)
		}
	}
	return nil
}

// NoteFailures appends what failed since it was last called: one entry an
// account and source, and one for an account that strangers are shut out of. The
// server calls it every minute.
func (l *Login) NoteFailures(ctx context.Context) error {
	rows, err := l.attempts.untold(ctx, l.Now(), func(id store.UserID) bool {
		_, ok := l.Ledger.State().User(id)
		return ok
	})
	if err != nil {
		return err
	}
	for _, r := range rows {
		note, err := l.note(r)
		if err != nil {
			return err
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

// note is the command that tells of a counter.
func (l *Login) note(r row) (access.Command, error) {
	if r.stops() {
		return access.NoteStop{User: r.user(), Count: r.Untold}, nil
	}
	note := access.NoteFailures{User: r.user(), Count: r.Untold, Source: r.Source}
	return note, l.draw(note.Salt[:])
}
