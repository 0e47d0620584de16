package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/server/notice"
	"github.com/vaultpam/vaultpam/server/pages"
	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

// Options are what a node is made of. Every field is needed but Ready and Log.
type Options struct {
	Environment
	Dir     Dir
	Version string
	// Roots are the authorities that browsers are taken to know; nil is the
	// system's.
	Roots *x509.CertPool
	Log   *slog.Logger
	// Ready is called once the node serves, with the addresses it listens on.
	Ready func(https, ssh net.Addr)
}

// A Node is an opened data directory: everything is verified and nothing is
// served yet.
type Node struct {
	Options
	config     Config
	keys       *keyring
	tls        tlsSource
	pin        []byte // nil where clients go by their system's roots
	backend    store.Backend
	ledger     *ledger.Ledger
	login      *login.Login
	recordings *recording.Store
	hosts      *hostKeys
	relay      *relay.Relay
	mail       *notice.Mail    // nil where none is sent
	hook       *notice.Hook    // nil where there is none
	notices    *notice.Notices // nil where none are configured, and before Run
	unended    unended
	pages      *pages.Pages
	errands    *errands
	release    func()
}

// HeldError says that another process has the data directory open.
type HeldError struct {
	Dir    Dir
	Holder string
}

func (e *HeldError) Error() string { return fmt.Sprintf("%s is held by %s", e.Dir, e.Holder) }

// Open opens a data directory and verifies it: the configuration, the keys, the
// ledger and that they belong together. Close lets it go.
func Open(ctx context.Context, o Options) (*Node, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	page, err := pages.New()
	if err != nil {
		return nil, err
	}
	n := &Node{Options: o, errands: newErrands(), pages: page}
	if err := n.open(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *Node) open(ctx context.Context) error {
	if ok, err := n.Dir.initialised(); err != nil {
		return err
	} else if !ok {
		return fmt.Errorf("%s is not a data directory: run vaultpamd init", n.Dir)
	}
	var err error
	if n.config, err = ReadConfig(n.Dir.Config(), n.Getenv); err != nil {
		return err
	}
	if n.mail, n.hook, err = n.config.notices(n.Environment); err != nil {
		return err
	}
	if n.keys, err = openKeys(n.Dir); err != nil {
		return err
	}
	if err := n.openTLS(); err != nil {
		return err
	}
	if err := n.openLedger(ctx); err != nil {
		return err
	}
	sealer, err := login.NewSealer(n.keys.seal, n.Random)
	if err != nil {
		return err
	}
	browser, err := n.browsers()
	if err != nil {
		return err
	}
	sso, err := n.sso()
	if err != nil {
		return err
	}
	n.login, err = login.New(login.Config{
		Ledger: n.ledger, Sealer: sealer, Now: n.Now, Random: n.Random, Log: n.Log, Browser: browser, SSO: sso,
	})
	if err != nil {
		return err
	}
	return n.openRelay()
}

func (n *Node) openLedger(ctx context.Context) error {
	backend, err := n.OpenBackend(n.Dir.ledger())
	if errors.Is(err, store.ErrHeld) {
		return &HeldError{Dir: n.Dir, Holder: n.Dir.holder()}
	} else if err != nil {
		return fmt.Errorf("opening the ledger: %w", err)
	}
	n.backend = backend
	if n.release, err = n.Dir.hold(); err != nil {
		return err
	}
	n.ledger, err = ledger.Open(ctx, ledger.Config{
		Backend: backend, LogKey: n.keys.log, SnapshotKey: n.keys.snapshot,
		UserCA: n.keys.user, TargetCA: n.keys.target, Now: n.Now, Uptime: n.Uptime, Log: n.Log,
	})
	if err != nil {
		return err
	}
	if err := n.checkBirth(ctx); err != nil {
		return err
	}
	return n.Dir.inUse()
}

// checkBirth holds configuration and keys to the ledger's first entry: a server
// under another name, or with other keys, must not go on writing it.
func (n *Node) checkBirth(ctx context.Context) error {
	e, _, err := n.ledger.Entry(ctx, 0)
	if err != nil {
		return err
	}
	birth, ok := e.Event.(*store.LedgerCreated)
	if !ok {
		return fmt.Errorf("entry 0: %w", store.ErrCorrupt)
	}
	if birth.Name != n.config.Name {
		return fmt.Errorf("the configuration names the server %s, the ledger %s: the name is permanent", n.config.Name, birth.Name)
	}
	inLedger, err := ssh.ParsePublicKey(birth.EmergencyCA)
	if err != nil {
		return fmt.Errorf("entry 0: emergency CA: %w", store.ErrCorrupt)
	}
	// Its file may lie in a safe; where it is here, it is the one that hosts trust.
	n.keys.emergency, err = readPublic(n.Dir.EmergencyKey() + ".pub")
	if errors.Is(err, fs.ErrNotExist) {
		n.keys.emergency = inLedger
	} else if err != nil {
		return err
	}
	if name := n.keys.foreign(birth); name != "" {
		return fmt.Errorf("the key %s is not the one in the ledger's first entry", name)
	}
	return n.keys.distinct()
}

func (n *Node) openRelay() error {
	var err error
	n.recordings, err = recording.Open(n.Dir.recordings(), recording.Options{Now: n.Now, Log: n.Log})
	if err != nil {
		return err
	}
	if n.hosts, err = newHostKeys(n.keys.host, n.Now, n.Random); err != nil {
		return err
	}
	n.relay, err = relay.New(relay.Config{
		Gate: &gate{n}, Recordings: n.recordings, Name: n.config.Name, Suffix: n.config.Suffix,
		Log: n.Log, Now: n.Now, Rand: n.Random,
	})
	return err
}

// Close lets go of what Open opened.
func (n *Node) Close() error {
	var errs []error
	if n.ledger != nil {
		errs = append(errs, n.ledger.Close())
	}
	if n.recordings != nil {
		errs = append(errs, n.recordings.Close())
	}
	if n.backend != nil {
		errs = append(errs, n.backend.Close())
	}
	if n.release != nil {
		n.release()
	}
	return errors.Join(errs...)
}

// Run serves until ctx is done, then ends the live sessions, lets running
// batches finish and returns nil. It returns an error when a part fails, or when
// the ledger's writer stops: a node that can't write must not linger.
func (n *Node) Run(ctx context.Context) error {
	if err := n.recover(ctx); err != nil {
		return err
	}
	if err := n.startNotices(ctx); err != nil {
		return err
	}
	n.doReviews(ctx) // before anybody can use what was due to be revoked
	doors, err := n.listen(ctx)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		<-ctx.Done()
		n.errands.stop()
		return nil
	})
	n.serveHTTP(ctx, group, tls.NewListener(doors.https, askForKeys(n.tls.begin())), n.publicHandler())
	n.serveHTTP(ctx, group, doors.local, n.localHandler())
	group.Go(func() error { return n.tls.tend(ctx) })
	group.Go(func() error { return n.relay.Serve(ctx, doors.ssh) })
	group.Go(func() error { return n.noteFailures(ctx) })
	group.Go(func() error { return n.endUnended(ctx) })
	group.Go(func() error { return n.recoverRecordings(ctx) })
	group.Go(func() error { return n.checkNightly(ctx) })
	group.Go(func() error { return n.tendReviews(ctx) })
	if n.notices != nil {
		group.Go(func() error { return n.notices.Run(ctx) })
	}
	group.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-n.ledger.Stopped():
			return fmt.Errorf("the ledger can't be written: %w", n.ledger.Err())
		}
	})
	if n.Ready != nil {
		n.Ready(doors.https.Addr(), doors.ssh.Addr())
	}
	n.Log.Info("serving", "name", n.config.Name, "https", doors.https.Addr().String(), "ssh", doors.ssh.Addr().String())
	err = group.Wait()
	n.Log.Info("stopped")
	return err
}

// noteFailures has failed sign-ins told to the ledger every minute.
func (n *Node) noteFailures(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := n.login.NoteFailures(ctx); err != nil {
				n.Log.Warn("failed sign-ins were not noted", "error", err)
			}
		}
	}
}

// info is what anybody may know of this server.
func (n *Node) info() api.Info {
	return api.Info{
		Name: n.config.Name, Version: n.Version, Suffix: n.config.Suffix, Relay: n.config.Public.SSH,
		HostCA: authorized(n.keys.host.PublicKey()), LogKey: n.ledger.LogPublicKey(), Origin: n.ledger.Origin(),
		Size: uint64(n.ledger.State().Next()), Factors: n.factorKinds(),
	}
}
