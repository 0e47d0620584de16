package server

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/store"
)

// An Environment is what the server takes from outside instead of reaching for
// it. Every field is needed but Getenv and Uptime.
type Environment struct {
	CreateBackend func(path string) (store.Backend, error)
	OpenBackend   func(path string) (store.Backend, error)
	Getenv        func(string) string
	Now           func() time.Time
	// Uptime is a second clock that nobody can set; see ledger.Config.
	Uptime func() time.Duration
	Random io.Reader
}

func (e *Environment) check() error {
	if e.CreateBackend == nil || e.OpenBackend == nil || e.Now == nil || e.Random == nil {
		return errors.New("server: back end, clock and randomness are needed")
	}
	if e.Getenv == nil {
		e.Getenv = func(string) string { return "" }
	}
	return nil
}

// An InitRequest says what to begin.
type InitRequest struct {
	Dir           Dir
	Config        Config
	Administrator string // handle of the first administrator
	SelfGrant     string // the first value of the setting self-grant
}

// An InitResult holds what is shown once and kept nowhere.
type InitResult struct {
	Invitation api.Invitation
	Passphrase string // of the emergency CA
}

// Init makes a data directory. Where it fails, or dies, nothing stays that a
// second try would trip over.
func Init(ctx context.Context, env Environment, r InitRequest) (InitResult, error) {
	if err := env.check(); err != nil {
		return InitResult{}, err
	}
	if err := r.Config.check(); err != nil {
		return InitResult{}, fmt.Errorf("beginning: %w", err)
	}
	if done, err := r.Dir.initialised(); err != nil {
		return InitResult{}, fmt.Errorf("beginning: %w", err)
	} else if done {
		return InitResult{}, fmt.Errorf("beginning: %s is a data directory already", r.Dir)
	}
	if err := r.Dir.sweep(); err != nil {
		return InitResult{}, fmt.Errorf("beginning: %w", err)
	}
	if err := r.Dir.stage(); err != nil {
		return InitResult{}, fmt.Errorf("beginning: %w", err)
	}
	result, err := r.make(ctx, env)
	if err == nil {
		err = r.Dir.settle()
	}
	if err != nil {
		return InitResult{}, errors.Join(fmt.Errorf("beginning: %w", err), r.Dir.sweep())
	}
	return result, nil
}

// make makes everything in the folder that settle moves.
func (r InitRequest) make(ctx context.Context, env Environment) (InitResult, error) {
	d := r.Dir.begun()
	passphrase, err := ca.NewPassphrase(env.Random)
	if err != nil {
		return InitResult{}, err
	}
	if err := makeKeys(d, env.Random, passphrase); err != nil {
		return InitResult{}, err
	}
	if err := makeTLS(d, r.Config.Name, env.Random, env.Now()); err != nil {
		return InitResult{}, err
	}
	if err := os.Mkdir(d.recordings(), 0o700); err != nil {
		return InitResult{}, err
	}
	inv := api.Invitation{Host: r.Config.Public.HTTPS}
	if r.Config.TLS.Mode == TLSSelfSigned {
		own, err := openSelfSigned(d)
		if err != nil {
			return InitResult{}, err
		}
		inv.Pin = own.pin()
	}
	if _, err := io.ReadFull(env.Random, inv.Token[:]); err != nil {
		return InitResult{}, err
	}
	if err := r.begin(ctx, env, inv); err != nil {
		return InitResult{}, err
	}
	text, err := r.Config.encode()
	if err != nil {
		return InitResult{}, err
	}
	return InitResult{Invitation: inv, Passphrase: passphrase}, writeNew(d.Config(), text)
}

// begin writes the ledger's first entries.
func (r InitRequest) begin(ctx context.Context, env Environment, inv api.Invitation) error {
	d := r.Dir.begun()
	keys, err := openKeys(d)
	if err != nil {
		return err
	}
	if keys.emergency, err = readPublic(d.EmergencyKey() + ".pub"); err != nil {
		return err
	}
	if err := keys.distinct(); err != nil {
		return err
	}
	admin := access.AddUser{Handle: r.Administrator, Invite: access.Invite{Token: login.TokenHash(inv.Token[:])}}
	if err := draw(env.Random, admin.ID[:], admin.Salt[:]); err != nil {
		return err
	}
	backend, err := env.CreateBackend(d.ledger())
	if err != nil {
		return err
	}
	err = ledger.Create(ctx, ledger.Config{
		Backend: backend, LogKey: keys.log, SnapshotKey: keys.snapshot,
		UserCA: keys.user, TargetCA: keys.target, Now: env.Now,
	}, access.CreateLedger{
		Name:   r.Config.Name,
		LogKey: keys.log.Public().(ed25519.PublicKey),
		UserCA: keys.user.PublicKey(), TargetCA: keys.target.PublicKey(),
		HostCA: keys.host.PublicKey(), EmergencyCA: keys.emergency,
		SelfGrant:     r.SelfGrant,
		Administrator: admin,
	})
	return errors.Join(err, backend.Close())
}

// draw fills each slice with randomness.
func draw(random io.Reader, into ...[]byte) error {
	for _, b := range into {
		if _, err := io.ReadFull(random, b); err != nil {
			return fmt.Errorf("drawing randomness: %w", err)
		}
	}
	return nil
}

// readPublic reads a public key in authorized_keys form.
func readPublic(path string) (ssh.PublicKey, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading a public key: %w", err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(data)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return key, nil
}
