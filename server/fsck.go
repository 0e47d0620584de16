package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// A Severity says what a finding takes.
type Severity int

const (
	// Repairable: the next start of the server mends it.
	Repairable Severity = iota + 1
	// Damage: somebody has to do something, and Do says what.
	Damage
)

// A Finding is one thing that is wrong with a data directory, and what can be
// done about it.
type Finding struct {
	Severity Severity
	What, Do string
}

func (f Finding) String() string { return f.What + ": " + f.Do }

// What can be done.
const (
	doStart    = "start the server, which mends it"
	doRestore  = "restore from a backup"
	doKeys     = "put the keys back from their backup"
	doOwnPair  = "ask whoever renews it, or set tls.mode in vaultpam.yaml to self-signed until it is there"
	doChmod    = "let nobody else reach it, and ask who could have read it: chmod %04o %s"
	doIndex    = "the entries are not touched by it: take a backup and restore it, which makes the lists anew"
	doTree     = "the checkpoint proves that the entries are whole: take a backup and restore it, or where none can be taken, restore from the last"
	doForensic = "keep a copy of the directory to find out how it came about, and restore from a backup"
)

// Fsck looks at everything in a data directory and calls found with each thing
// that is wrong. It changes nothing. A directory that a server holds is a
// *HeldError; other errors mean that it could not look.
func Fsck(ctx context.Context, env Environment, d Dir, found func(Finding)) error {
	if err := env.check(); err != nil {
		return err
	}
	if found == nil {
		return errors.New("checking: nobody to tell")
	}
	c := &check{env: env, dir: d, found: found, texts: map[store.Commitment]string{}, sessions: map[store.SessionID]sessionSeen{}}
	if err := c.run(ctx); err != nil {
		return fmt.Errorf("checking %s: %w", d, err)
	}
	return nil
}

// A check is a Fsck under way.
type check struct {
	env     Environment
	dir     Dir
	found   func(Finding)
	config  Config
	secret  []byte   // nil where it can't be read
	keys    *keyring // nil where not all can be used
	backend store.Backend
	size    uint64
	birth   *store.LedgerCreated

	state    access.State
	folded   error // why folding stopped
	texts    map[store.Commitment]string
	owners   map[store.UserID]bool // everybody who was ever a user
	sessions map[store.SessionID]sessionSeen
	whole    bool // the entries are those of the checkpoint, and add up
}

// sessionSeen is what the ledger says of a session.
type sessionSeen byte

const (
	sessionStarted sessionSeen = iota + 1
	// sessionHeld: it ended, and its recording is held to the entry of its end.
	sessionHeld
)

func (c *check) damage(do, format string, args ...any) {
	c.found(Finding{Damage, fmt.Sprintf(format, args...), do})
}

func (c *check) repairable(format string, args ...any) {
	c.found(Finding{Repairable, fmt.Sprintf(format, args...), doStart})
}

func (c *check) run(ctx context.Context) error {
	info, err := os.Stat(string(c.dir))
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("there is no such directory")
	} else if err != nil {
		return err
	}
	if !info.IsDir() {
		return errors.New("it is not a directory")
	}
	// The ledger first: whoever holds it may be changing everything else.
	err = c.openLedger()
	var held *HeldError
	if errors.As(err, &held) {
		return err
	}
	if err == nil {
		defer c.backend.Close() // nothing was written
	}
	missing := errors.Is(err, fs.ErrNotExist)
	if ok, initErr := c.dir.initialised(); initErr != nil {
		return initErr
	} else if !ok && missing {
		return errors.New("it is not a data directory: run vaultpamd init, or vaultpamd restore")
	}
	c.checkFiles()
	switch {
	case missing:
		c.damage(doRestore, "the ledger %s is not there", c.dir.ledger())
	case err != nil:
		c.damage(doForensic, "%v", err)
	default:
		if err := c.checkLedger(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (c *check) openLedger() error {
	path := c.dir.ledger()
	if _, err := os.Lstat(path); err != nil {
		return err
	}
	b, err := c.env.OpenBackend(path)
	if errors.Is(err, store.ErrHeld) {
		return &HeldError{Dir: c.dir, Holder: c.dir.holder()}
	}
	c.backend = b
	return err
}

// checkLedger looks at the ledger and at all that hangs on it.
func (c *check) checkLedger(ctx context.Context) error {
	head, err := c.backend.Head(ctx)
	if err != nil {
		return c.unless(err, "the ledger's head")
	}
	c.size = head.Size
	if ok, err := c.readBirth(ctx); err != nil || !ok {
		return err
	}
	for _, step := range []func(context.Context) error{c.checkSide, c.checkEntries, c.checkRecordings} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// unless makes a finding of an error that says that what is stored is wrong, and
// returns any other.
func (c *check) unless(err error, what string) error {
	if errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrMalformed) || errors.Is(err, store.ErrUnknownEvent) {
		c.damage(doForensic, "%s: %v", what, err)
		return nil
	}
	return err
}
