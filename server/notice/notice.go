package notice

import (
	"context"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/sync/errgroup"

	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/store"
)

// A Config is what Notices are made of. Every field is needed but Log, and one of
// Mail and Hook is enough.
type Config struct {
	Ledger *ledger.Ledger
	// Name is the server's.
	Name string
	Mail *Mail
	Hook *Hook
	// Key is 32 secret bytes that are not in the back end; links of invitations
	// are sealed with a key that is derived from it.
	Key    []byte
	Now    func() time.Time
	Random io.Reader
	Log    *slog.Logger
}

// Notices follow a ledger and send what it has to tell.
type Notices struct {
	Config
	seal     cipher.AEAD
	backend  store.Backend
	channels []*channel
	retry    retry

	// Of the follower's goroutine alone, once it runs.
	cursor store.Index // entries before it were looked at
	saved  store.Index // the cursor as it is in the side table
}

// New opens what waits to be sent. Where nothing was kept the next entry is the
// first that counts.
func New(ctx context.Context, c Config) (*Notices, error) {
	if c.Ledger == nil || c.Name == "" || c.Mail == nil && c.Hook == nil || c.Now == nil || c.Random == nil {
		return nil, errors.New("notices: ledger, name, a way to send, clock and randomness are needed")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	n := &Notices{Config: c, backend: c.Ledger.Backend, retry: defaultRetry()}
	key, err := hkdf.Key(sha256.New, c.Key, nil, "vaultpam invitation links in notices", chacha20poly1305.KeySize)
	if err != nil || len(c.Key) != 32 {
		return nil, errors.New("notices: want a key of 32 bytes")
	}
	if n.seal, err = chacha20poly1305.NewX(key); err != nil {
		return nil, fmt.Errorf("notices: %w", err)
	}
	if c.Mail != nil {
		n.channels = append(n.channels, newChannel(byMail, n.mail))
	}
	if c.Hook != nil {
		n.channels = append(n.channels, newChannel(byHook, n.hook))
	}
	if err := n.load(ctx); err != nil {
		return nil, fmt.Errorf("opening the notices: %w", err)
	}
	return n, nil
}

// Run follows the ledger and sends until ctx is done. What waits then is sent by
// the next run.
func (n *Notices) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return n.follow(ctx) })
	for _, c := range n.channels {
		group.Go(func() error { return n.deliver(ctx, c) })
	}
	return group.Wait()
}

// Forget removes what is kept about notices: where none are configured nobody
// would send it, and whoever turns them on again must not hear of the past.
func Forget(ctx context.Context, b store.Backend) error {
	var writes []store.SideWrite
	for row, err := range b.SideAll(ctx, store.SideNotices, nil) {
		if err != nil {
			return fmt.Errorf("forgetting notices: %w", err)
		}
		writes = append(writes, store.SideWrite{Table: store.SideNotices, Key: row.Key})
	}
	if len(writes) == 0 {
		return nil
	}
	if err := b.WriteSide(ctx, writes); err != nil {
		return fmt.Errorf("forgetting notices: %w", err)
	}
	return nil
}
