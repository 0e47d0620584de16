package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

// A Config is what a Relay is made of. Everything but Limits is required.
type Config struct {
	Gate       Gate
	Recordings *recording.Store
	Name       string // the relay's own host name
	Suffix     string // behind target names, without a dot: "pam"
	Log        *slog.Logger
	Now        func() time.Time
	Rand       io.Reader // for the keys of target certificates; cryptographic
	Limits     Limits
}

// A Relay serves SSH connections. It may serve several listeners.
type Relay struct {
	gate       Gate
	recordings *recording.Store
	name       string
	suffix     string
	log        *slog.Logger
	now        func() time.Time
	rand       io.Reader
	limits     Limits
	waiting    *waitingRoom
}

// New returns a relay, or an error that names what is missing.
func New(c Config) (*Relay, error) {
	for _, part := range []struct {
		name    string
		missing bool
	}{
		{"gate", c.Gate == nil},
		{"recordings", c.Recordings == nil},
		{"name", c.Name == ""},
		{"log", c.Log == nil},
		{"clock", c.Now == nil},
		{"randomness", c.Rand == nil},
	} {
		if part.missing {
			return nil, fmt.Errorf("making a relay: no %s was given", part.name)
		}
	}
	if _, err := store.ParseTargetName(c.Suffix); err != nil {
		return nil, fmt.Errorf("making a relay: suffix: %w", err)
	}
	limits := c.Limits.withDefaults()
	return &Relay{
		gate: c.Gate, recordings: c.Recordings, name: c.Name, suffix: c.Suffix,
		log: c.Log, now: c.Now, rand: c.Rand, limits: limits, waiting: newWaitingRoom(limits),
	}, nil
}

// Serve accepts connections until ctx is done. It then closes the listener, ends
// every session with the reason relay-stopped, and returns nil when all of them
// have ended; Limits.Farewell and Limits.Stop bound how long that takes. It
// returns an error if the listener fails for good.
func (r *Relay) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var conns sync.WaitGroup
	err := r.accept(ctx, l, &conns)
	cancel()
	conns.Wait()
	return err
}

// accept hands out connections until the listener is closed. Running out of
// file descriptors is not the end: sessions that close give some back.
func (r *Relay) accept(ctx context.Context, l net.Listener, conns *sync.WaitGroup) error {
	const longest = time.Second
	pause := 5 * time.Millisecond
	for {
		raw, err := l.Accept()
		if err == nil {
			pause = 5 * time.Millisecond
			conns.Go(func() { r.receive(ctx, raw) }) // ends with the connection, or soon after ctx
			continue
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end that was asked for
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("accepting connections: %w", err)
		}
		r.log.Warn("accepting a connection", "error", err.Error())
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
			pause = min(2*pause, longest)
		}
	}
}

// receive serves one TCP connection to its end.
func (r *Relay) receive(ctx context.Context, raw net.Conn) {
	defer raw.Close()
	address, ok := raw.RemoteAddr().(*net.TCPAddr)
	if !ok {
		r.log.Warn("refusing a connection that is not TCP")
		return
	}
	source := address.AddrPort()
	source = netip.AddrPortFrom(source.Addr().Unmap(), source.Port())
	leave := r.waiting.enter(source.Addr())
	if leave == nil {
		// A server may send lines before its version (RFC 4253, section 4.2).
		// A stranger need not read them.
		stop := time.AfterFunc(r.limits.Farewell, func() { raw.Close() })
		defer stop.Stop()
		_, _ = io.WriteString(raw, strings.ReplaceAll(crowdedText(), "\n", "\r\n"))
		return
	}
	defer leave()
	deadline := time.AfterFunc(r.limits.Handshake, func() { raw.Close() })
	defer deadline.Stop()
	// Sessions end by themselves, with a word to their users; a handshake does
	// not.
	unhook := context.AfterFunc(ctx, func() { raw.Close() })
	defer unhook()
	greeted, target, err := greet(&prompt{Conn: raw})
	if err != nil {
		r.log.Debug("no SSH handshake", "error", err.Error())
		return
	}
	c := &conn{
		relay: r, raw: raw, ssh: greeted, source: source, target: target,
		deadline: deadline, unhook: unhook, leave: leave, way: store.WayName,
	}
	if target != "" {
		c.way = store.WayProxy
	}
	c.serve(ctx)
}
