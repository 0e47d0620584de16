package client

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/zalando/go-keyring"
)

// A Keyring is the operating system's store of secrets. Its methods may wait
// for a person or for a daemon that hangs; the caller bounds them.
type Keyring interface {
	Set(service, user, secret string) error
	Get(service, user string) (string, error)
	Delete(service, user string) error
}

// SystemKeyring is the keyring of the user's desktop: the Secret Service on
// Linux, the Keychain on macOS, the Credential Manager on Windows.
type SystemKeyring struct{}

var _ Keyring = SystemKeyring{}

// Set keeps a secret.
func (SystemKeyring) Set(service, user, secret string) error {
	return keyring.Set(service, user, secret)
}

// Get returns a secret.
func (SystemKeyring) Get(service, user string) (string, error) { return keyring.Get(service, user) }

// Delete removes a secret.
func (SystemKeyring) Delete(service, user string) error { return keyring.Delete(service, user) }

const (
	sessionFile    = "session"
	keyringService = "vaultpam"
	// keyringPatience is how long a keyring may take. A desktop that asks for a
	// password needs a person; one without a session bus hangs.
	keyringPatience = 3 * time.Second
)

// savedSession is the session file. Exactly one of its fields is set.
type savedSession struct {
	Session []byte `json:"session,omitempty"` // the token, then the seed of the key
	Keyring string `json:"keyring,omitempty"` // the entry's user name there
}

// secretSize is a token and a key's seed (RFC 8032, section 5.1.5).
const secretSize = tokenSize + ed25519.SeedSize

// SaveSession keeps a sign-in session: in the keyring where there
// is one that answers, in a 0600 file otherwise. Reports where it lies.
func (h *Home) SaveSession(ctx context.Context, s Session) (place string, err error) {
	if err := s.check(); err != nil {
		return "", err
	}
	held := slices.Concat(s.Token, s.Key.Seed())
	saved, place := savedSession{Session: held}, h.path(sessionFile)
	if h.ring != nil {
		// Before the file says so: a process that dies in between leaves the
		// earlier session, or none, and an entry in the keyring that the next
		// sign-in overwrites.
		secret := base64.StdEncoding.EncodeToString(held)
		if h.bounded(ctx, func() error { return h.ring.Set(keyringService, h.dir, secret) }) == nil {
			saved, place = savedSession{Keyring: h.dir}, "the keyring"
		}
	}
	data, err := json.Marshal(saved)
	if err != nil {
		return "", fmt.Errorf("saving the sign-in: %w", err)
	}
	return place, h.write(sessionFile, append(data, '\n'))
}

// Session returns the sign-in session. It is ErrNotSignedIn where there is none.
func (h *Home) Session(ctx context.Context) (Session, error) {
	data, err := h.read(sessionFile)
	if errors.Is(err, fs.ErrNotExist) {
		return Session{}, ErrNotSignedIn
	}
	if err != nil {
		return Session{}, fmt.Errorf("reading the sign-in: %w", err)
	}
	var saved savedSession
	if err := decode(data, &saved); err != nil {
		return Session{}, fmt.Errorf("%w: %s is damaged", ErrNotSignedIn, h.path(sessionFile))
	}
	if saved.Keyring != "" {
		if saved.Session, err = h.fromKeyring(ctx, saved.Keyring); err != nil {
			return Session{}, fmt.Errorf("%w: the keyring has no sign-in to give: %w", ErrNotSignedIn, err)
		}
	}
	if len(saved.Session) != secretSize {
		return Session{}, fmt.Errorf("%w: %s is damaged", ErrNotSignedIn, h.path(sessionFile))
	}
	return Session{Token: saved.Session[:tokenSize], Key: ed25519.NewKeyFromSeed(saved.Session[tokenSize:])}, nil
}

func (h *Home) fromKeyring(ctx context.Context, user string) ([]byte, error) {
	if h.ring == nil {
		return nil, errors.New("it is switched off")
	}
	answer := make(chan string, 1)
	err := h.bounded(ctx, func() error {
		secret, err := h.ring.Get(keyringService, user)
		answer <- secret
		return err
	})
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(<-answer)
}

// ForgetSession takes the token away. The file goes first: without it nothing
// of the keyring is read.
func (h *Home) ForgetSession(ctx context.Context) error {
	var saved savedSession
	if data, err := h.read(sessionFile); err == nil {
		_ = decode(data, &saved) // a damaged file names nothing in the keyring
	}
	if err := h.remove(sessionFile); err != nil {
		return fmt.Errorf("forgetting the sign-in: %w", err)
	}
	if saved.Keyring == "" || h.ring == nil {
		return nil
	}
	if err := h.bounded(ctx, func() error { return h.ring.Delete(keyringService, saved.Keyring) }); err != nil {
		return fmt.Errorf("taking the sign-in out of the keyring: %w", err)
	}
	return nil
}

// bounded runs a keyring's call. One that outlasts its time is left behind: its
// goroutine ends when the daemon answers or the process ends, and nobody reads
// what it brings.
func (h *Home) bounded(ctx context.Context, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	timer := time.NewTimer(keyringPatience)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return errors.New("it did not answer")
	case <-ctx.Done():
		return ctx.Err()
	}
}
