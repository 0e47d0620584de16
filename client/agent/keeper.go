package agent

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/crypto/ssh"
)

// A Renewer asks the server for a certificate for key.
type Renewer func(ctx context.Context, key ssh.PublicKey) (*ssh.Certificate, error)

// A Keeper keeps the identity of one directory fresh, among any number of
// processes that do the same (Ansible starts fifty). All fields are needed.
type Keeper struct {
	Dir    string
	Renew  Renewer
	Now    func() time.Time
	Random io.Reader
}

// An Outcome says what Ensure did.
type Outcome int

const (
	// Kept: the certificate on disk is good, or good enough while another
	// process renews it.
	Kept Outcome = iota + 1
	// Renewed: this call got a new certificate and wrote it.
	Renewed
)

// Ensure returns an identity that is valid, renewing it when it needs that. Of
// all that find it wanting at the same time one renews; the others take the
// lock after it, look again, and keep what they find. Where the certificate is
// still valid nobody waits for the one who renews.
//
// When renewing fails while the certificate is still valid, that identity comes
// back together with the error.
//
// The key stays the same as long as its certificates follow each other without
// a gap. ssh reads the certificate when it starts and the private key when it
// signs: a key that was replaced in between would be refused to it.
func (k Keeper) Ensure(ctx context.Context) (Identity, Outcome, error) {
	if err := k.check(); err != nil {
		return Identity{}, 0, err
	}
	id, err := ReadIdentity(k.Dir)
	if err == nil && !NeedsRenewal(id.Cert, k.Now()) {
		return id, Kept, nil
	}
	unlock, err := tryLock(k.Dir)
	if errors.Is(err, errLocked) {
		if validAt(id.Cert, k.Now()) {
			return id, Kept, nil
		}
		unlock, err = Lock(ctx, k.Dir)
	}
	if err != nil {
		return Identity{}, 0, err
	}
	defer unlock()
	id, err = ReadIdentity(k.Dir)
	if err == nil && !NeedsRenewal(id.Cert, k.Now()) {
		return id, Kept, nil
	}
	if err != nil || !validAt(id.Cert, k.Now()) {
		id = Identity{}
	}
	renewed, err := k.renew(ctx, id.Key)
	if err != nil {
		return id, 0, err
	}
	return renewed, Renewed, nil
}

// Replace gets a certificate for a fresh key, whatever is there.
func (k Keeper) Replace(ctx context.Context) (Identity, error) {
	if err := k.check(); err != nil {
		return Identity{}, err
	}
	unlock, err := Lock(ctx, k.Dir)
	if err != nil {
		return Identity{}, err
	}
	defer unlock()
	return k.renew(ctx, nil)
}

// renew gets a certificate for key, or for a fresh one if it is nil, and writes
// it. The caller holds the lock.
func (k Keeper) renew(ctx context.Context, key ed25519.PrivateKey) (Identity, error) {
	if key == nil {
		var err error
		if _, key, err = ed25519.GenerateKey(k.Random); err != nil {
			return Identity{}, fmt.Errorf("making a key: %w", err)
		}
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return Identity{}, fmt.Errorf("making a key: %w", err)
	}
	cert, err := k.Renew(ctx, public)
	if err != nil {
		return Identity{}, fmt.Errorf("renewing the certificate: %w", err)
	}
	id := Identity{Key: key, Cert: cert}
	if err := WriteIdentity(k.Dir, id); err != nil {
		return Identity{}, err
	}
	if now := k.Now(); !validAt(cert, now) {
		return Identity{}, fmt.Errorf("%w: it is %s here, the certificate is for %s to %s", ErrClock,
			now.UTC().Format(time.RFC3339), unixTime(cert.ValidAfter), unixTime(cert.ValidBefore))
	}
	return id, nil
}

func (k Keeper) check() error {
	if k.Dir == "" || k.Renew == nil || k.Now == nil || k.Random == nil {
		return errors.New("keeping the identity: directory, renewer, clock and randomness are all needed")
	}
	return nil
}

func unixTime(seconds uint64) string {
	return time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339)
}
