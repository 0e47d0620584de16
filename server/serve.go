package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

// listeners are the node's three doors.
type listeners struct {
	https, ssh, local net.Listener
}

func (l listeners) close() {
	for _, x := range []net.Listener{l.https, l.ssh, l.local} {
		if x != nil {
			_ = x.Close() // nothing was accepted on it
		}
	}
}

func (n *Node) listen(ctx context.Context) (listeners, error) {
	var l listeners
	var lc net.ListenConfig
	var err error
	if l.https, err = lc.Listen(ctx, "tcp", n.config.Listen.HTTPS); err != nil {
		return l, fmt.Errorf("listening for HTTPS: %w", err)
	}
	if l.ssh, err = lc.Listen(ctx, "tcp", n.config.Listen.SSH); err != nil {
		l.close()
		return l, fmt.Errorf("listening for SSH: %w", err)
	}
	if l.local, err = n.Dir.listenLocal(ctx); err != nil {
		l.close()
		return l, err
	}
	return l, nil
}

// listenLocal opens the unix socket. The ledger's lock is ours, so a socket that
// is there was left by a process that died.
func (d Dir) listenLocal(ctx context.Context) (net.Listener, error) {
	path := d.Socket()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("opening the local socket: %w", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("opening the local socket %s: %w", filepath.Base(path), err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close() // nothing was accepted on it
		return nil, fmt.Errorf("opening the local socket: %w", err)
	}
	return l, nil
}

// The API's deadlines and bounds (R11): headers come at once or not at all.
const (
	headerTimeout = 10 * time.Second
	bodyTimeout   = 30 * time.Second
	answerTimeout = 2 * time.Minute
	idleTimeout   = 2 * time.Minute
	maxHeader     = 16 << 10
	graceTimeout  = 10 * time.Second
)

// serveHTTP adds the server of one listener to the group; it is shut down when
// ctx is done.
func (n *Node) serveHTTP(ctx context.Context, group *errgroup.Group, l net.Listener, h http.Handler) {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(n.Log.Handler(), slog.LevelDebug),
	}
	group.Go(func() error {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving %s: %w", l.Addr(), err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), graceTimeout)
		defer cancel()
		if err := s.Shutdown(grace); err != nil {
			return s.Close()
		}
		return nil
	})
}
