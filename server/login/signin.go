package login

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// A Session is a sign-in session that was just opened. Token is its secret.
type Session struct {
	Token   []byte
	User    access.User // as the sign-in left them
	Kind    store.FactorKind
	Expires time.Time
	// Device is what the machine keeps, and shows at its next sign-in.
	Device []byte
	// Codes are the recovery codes that came with it, to be shown once.
	Codes []string
}

// A Proof is what somebody shows who wants to sign in. Code is what their
// authenticator shows, or a recovery code; Device what this machine was given
// when they last signed in on it, if they did.
type Proof struct {
	Handle string
	Code   string
	Device []byte
}

// A Client is the program that a sign-in session is for: where it comes from, the
// key that it made for the session and proved to hold, and what it calls its
// machine, or nothing.
type Client struct {
	Source  netip.Addr
	Key     store.ClientKey
	Machine string
}

func (c Client) address() string { return c.Source.Unmap().String() }

// An entrance is how somebody comes in.
type entrance struct {
	client  Client
	device  []byte
	devices []device // all of the user's
	known   bool     // device is one of them
}

// SignIn opens a sign-in session for a handle and a code. Every failure has the
// same answer but for those that say to wait.
func (l *Login) SignIn(ctx context.Context, p Proof, client Client) (Session, error) {
	u, known := l.Ledger.State().UserByHandle(store.Handle(p.Handle))
	if u.Bot { // to whom no code leads: it is as if there were none
		u, known = access.User{}, false
	}
	// Who stands for nobody is computed for somebody too, so that it takes as long.
	who := account{l.Sealer.nobody(p.Handle), known}
	if known {
		who.id = u.ID
	}
	var s Session
	err := l.counted(ctx, who, p, client, func(at entrance) (err error) {
		if code, bad := api.ParseRecoveryCode(p.Code); bad == nil {
			s, err = l.tryRecovery(ctx, u, code, at)
		} else {
			s, err = l.try(ctx, u, p.Code, at)
		}
		return err
	})
	if err != nil {
		return Session{}, err
	}
	return s, nil
}

// counted runs a check of a proof if the limits on failures let it, and counts
// how it ended.
func (l *Login) counted(ctx context.Context, who account, p Proof, client Client, check func(entrance) error) error {
	devices, err := l.devices(ctx, who.id)
	if err != nil {
		return err
	}
	_, notRecovery := api.ParseRecoveryCode(p.Code)
	w := way{source: prefix(client.Source), unguessable: notRecovery == nil}
	if knows(devices, p.Device) {
		w.device = ofDevice(who, sha256.Sum256(p.Device))
	}
	attempt, wait, err := l.attempts.begin(ctx, who, w, l.Now())
	if err != nil {
		return err
	}
	if attempt == nil {
		return limited(wait)
	}
	defer attempt.end()
	err = check(entrance{client: client, device: p.Device, devices: devices, known: attempt.known})
	switch {
	case err == nil:
		return attempt.succeeded(ctx)
	case errors.Is(err, access.ErrSignIn), errors.Is(err, access.ErrSecondLook):
		if err := attempt.failed(ctx, l.Now()); err != nil {
			return err
		}
	}
	return err
}

// limited answers an attempt that was not checked.
func limited(wait time.Duration) error {
	const otherwise = "sign in on a machine where you signed in before, or type one of your recovery codes, or ask an administrator for a new invitation"
	if wait == forEver {
		return &access.Refusal{
			Kind:    access.Limited,
			Message: "too many attempts in a row failed, so this account takes no code from a machine that it does not know",
			Hint:    otherwise,
		}
	}
	return &access.Refusal{
		Kind:       access.Limited,
		Message:    fmt.Sprintf("too many failed attempts; the next one is possible in %s", wait.Round(time.Second)),
		Hint:       "wait; or " + otherwise,
		RetryAfter: wait,
	}
}

// try checks a code of an authenticator and opens a session. The zero user is
// nobody, for whom it does what it does for others, with a seed of nobody's.
func (l *Login) try(ctx context.Context, u access.User, code string, at entrance) (Session, error) {
	seed, err := l.secret(ctx, u)
	if err != nil {
		return Session{}, err
	}
	when, ok, err := step(seed, code, l.Now())
	if err != nil {
		return Session{}, err
	}
	if _, enrolled := u.TOTP(); !ok || !enrolled {
		return Session{}, access.ErrSignIn
	}
	return l.open(ctx, u, at, func(h access.Holder) access.Command {
		return access.SignInWithTOTP{User: u.ID, Step: when, Holder: h}
	})
}

// secret returns a user's seed, or for whoever has none a seed that no code
// fits, which takes as long.
func (l *Login) secret(ctx context.Context, u access.User) ([]byte, error) {
	sealed, err := l.Ledger.Backend.Side(ctx, store.SideSecrets, u.ID[:])
	switch {
	case errors.Is(err, store.ErrNotFound):
		if _, enrolled := u.TOTP(); enrolled {
			return nil, fmt.Errorf("the secret of a factor is missing: %w", store.ErrCorrupt)
		}
		return l.Sealer.open(store.UserID{}, l.decoy.seed)
	case err != nil:
		return nil, fmt.Errorf("reading a factor: %w", err)
	}
	return l.Sealer.open(u.ID, sealed)
}

// open has a sign-in decided, which the command is for, and returns its session.
// What the machine is known by from then on becomes durable with it.
func (l *Login) open(ctx context.Context, u access.User, at entrance, command func(access.Holder) access.Command, side ...store.SideWrite) (Session, error) {
	token, holder, err := l.holder(at.client)
	if err != nil {
		return Session{}, err
	}
	device, write, err := l.remember(u.ID, at)
	if err != nil {
		return Session{}, err
	}
	r, err := l.Ledger.Do(ctx, command(holder), append(side, write)...)
	if err != nil {
		return Session{}, err
	}
	e := r.Events[len(r.Events)-1].(*store.SignInSucceeded)
	s := Session{Token: token, User: u, Kind: e.Kind, Expires: e.Expires.Time(), Device: device}
	if now, ok := l.Ledger.State().User(u.ID); ok {
		s.User = now
	}
	return s, nil
}
