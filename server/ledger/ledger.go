package ledger

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// ErrStopped is returned by everything that would write once the writer has
// stopped, be it closed or because it no longer knows what is durable.
var ErrStopped = errors.New("the ledger's writer has stopped")

// A Config is what a Ledger is made of. Every field is needed but Log.
type Config struct {
	Backend store.Backend
	// LogKey signs checkpoints.
	LogKey ed25519.PrivateKey
	// SnapshotKey authenticates snapshots, which hold what entries add up to but
	// are not covered by the tree: 32 secret bytes that are not in the back end.
	SnapshotKey []byte
	UserCA      *ca.Authority
	TargetCA    *ca.Authority
	Now         func() time.Time // may be called concurrently
	// Uptime is a second clock that nobody can set: the time since some fixed
	// moment, through suspension too. Without it, it is the monotonic reading of
	// Now.
	Uptime func() time.Duration
	Log    *slog.Logger

	// What a test may set; 0: the constants of these names.
	keepEvery   store.Index
	longestRest time.Duration
}

func (c Config) check() error {
	switch {
	case c.Backend == nil:
		return errors.New("ledger: no back end")
	case len(c.LogKey) != ed25519.PrivateKeySize:
		return errors.New("ledger: no log key")
	case len(c.SnapshotKey) != 32:
		return errors.New("ledger: no snapshot key")
	case c.UserCA == nil || c.UserCA.Kind() != ca.User:
		return errors.New("ledger: no user CA")
	case c.TargetCA == nil || c.TargetCA.Kind() != ca.Target:
		return errors.New("ledger: no target CA")
	case c.Now == nil:
		return errors.New("ledger: no clock")
	}
	return nil
}

// checkAuthorities refuses authorities other than those the ledger names: with
// them every certificate would be found unsignable after its entry is durable.
func (c Config) checkAuthorities(user, target ssh.PublicKey) error {
	if user == nil || !bytes.Equal(c.UserCA.PublicKey().Marshal(), user.Marshal()) {
		return errors.New("the user CA's key is not the one that the ledger names")
	}
	if target == nil || !bytes.Equal(c.TargetCA.PublicKey().Marshal(), target.Marshal()) {
		return errors.New("the target CA's key is not the one that the ledger names")
	}
	return nil
}

// A Ledger is the running writer and the state it has reached. Its methods may
// be called concurrently.
type Ledger struct {
	Config
	signer *store.CheckpointSigner
	names  *names
	texts  *texts
	keeper *keeper
	now    atomic.Pointer[view] // what is durable

	wake    chan struct{} // holds one token while queue is not empty
	stopped chan struct{} // closed when the writer has ended

	mu      sync.Mutex // guards the fields below
	queue   []*request
	closing bool
	failure error         // why the writer stopped, if not by Close
	changed chan struct{} // closed at the next change of the view

	// Of the writer's goroutine alone.
	clock    *clock
	snapshot store.Index   // size of the last snapshot, or of the one being saved
	every    store.Index   // snapshotEvery
	saved    chan struct{} // closed when no snapshot is being saved
	unsaved  bool          // the last could not be saved; valid once saved is closed
}

// A view is one durable moment of the ledger; it never changes.
type view struct {
	state      access.State
	tree       *store.Tree
	checkpoint []byte
}

// Create begins the ledger in an empty back end with the given command.
func Create(ctx context.Context, c Config, birth access.CreateLedger) error {
	if err := c.check(); err != nil {
		return err
	}
	if !bytes.Equal(birth.LogKey, c.LogKey.Public().(ed25519.PublicKey)) {
		return errors.New("beginning the ledger: it names another log key")
	}
	if err := c.checkAuthorities(birth.UserCA, birth.TargetCA); err != nil {
		return fmt.Errorf("beginning the ledger: %w", err)
	}
	head, err := c.Backend.Head(ctx)
	if err != nil {
		return fmt.Errorf("beginning the ledger: %w", err)
	}
	if head.Size != 0 {
		return errors.New("beginning the ledger: it has begun already")
	}
	l, err := start(c, birth.Name, access.New(), nil)
	if err != nil {
		return err
	}
	_, err = l.Do(ctx, birth)
	return errors.Join(err, l.Close())
}

// Open starts the writer on a ledger that has begun, after verifying that its
// checkpoint, its tree and its entries agree.
func Open(ctx context.Context, c Config) (*Ledger, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	loaded, err := load(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("opening the ledger: %w", err)
	}
	return start(c, loaded.state.Name(), loaded.state, loaded)
}

func start(c Config, name string, s access.State, loaded *loaded) (*Ledger, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	signer, err := store.NewCheckpointSigner(store.Origin(name), c.LogKey)
	if err != nil {
		return nil, fmt.Errorf("opening the ledger: %w", err)
	}
	l := &Ledger{
		Config:  c,
		signer:  signer,
		names:   newNames(),
		wake:    make(chan struct{}, 1),
		stopped: make(chan struct{}),
		changed: make(chan struct{}),
		texts:   &texts{known: map[store.Commitment]string{}},
		clock:   newClock(c.Now, c.Uptime),
	}
	v := &view{state: s}
	if loaded == nil {
		if v.tree, err = store.OpenTree(0, nil); err != nil {
			return nil, err
		}
	} else {
		v.tree, v.checkpoint = loaded.tree, loaded.checkpoint
		l.snapshot = loaded.snapshot
		l.texts.replace(loaded.texts)
	}
	l.now.Store(v)
	l.every, l.saved = snapshotEvery, make(chan struct{})
	close(l.saved)
	l.keeper = newKeeper(l)
	l.keeper.begin() // ended by the writer
	go l.write()     // ended by Close, or by an append that is uncertain
	return l, nil
}

// State returns what is durable now.
func (l *Ledger) State() access.State { return l.now.Load().state }

// Changed returns a channel that is closed when the state is another one than
// at some moment after this call began.
func (l *Ledger) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// Checkpoint returns the last signed checkpoint.
func (l *Ledger) Checkpoint() []byte { return l.now.Load().checkpoint }

// Origin returns the origin of the ledger's checkpoints.
func (l *Ledger) Origin() string { return l.signer.Name() }

// LogPublicKey returns the key that checkpoints verify with.
func (l *Ledger) LogPublicKey() ed25519.PublicKey {
	return l.LogKey.Public().(ed25519.PublicKey)
}

// Stopped returns a channel that is closed when the writer has ended, and Err
// then says why.
func (l *Ledger) Stopped() <-chan struct{} { return l.stopped }

// Err returns why the writer stopped; nil while it runs and after Close.
func (l *Ledger) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failure
}

// Close lets the commands that wait be answered, saves a snapshot and ends the
// writer. It does not close the back end.
func (l *Ledger) Close() error {
	l.mu.Lock()
	l.closing = true
	l.mu.Unlock()
	l.signal()
	<-l.stopped
	return l.Err()
}

func (l *Ledger) signal() {
	select {
	case l.wake <- struct{}{}:
	default: // the writer will look anyway
	}
}
