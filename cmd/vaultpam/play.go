package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

// A playFlags says how a recording is shown.
type playFlags struct {
	speed float64
	text  bool
}

func (a *app) playCommand() *cobra.Command {
	var flags playFlags
	cmd := &cobra.Command{
		Use:   "play SESSION|INDEX",
		Short: "replay a session",
		Long: `play shows what a session showed, in its own time. The session is named by its ID
or by the index of an entry that belongs to it. The recording is held against
the hashes in the ledger first. Whatever could act on your terminal is left out.

With --text, or where standard output is no terminal, the text is printed at
once.`,
		Args: wantArgs("SESSION"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.play(cmd.Context(), args[0], flags) },
	}
	cmd.Flags().Float64Var(&flags.speed, "speed", 1, "`TIMES` as fast")
	cmd.Flags().BoolVar(&flags.text, "text", false, "print the text, without the time it took")
	return cmd
}

func (a *app) play(ctx context.Context, what string, flags playFlags) error {
	if !(flags.speed > 0 && flags.speed <= 1000) {
		return &usageError{command: "vaultpam play", why: "--speed: want more than 0, at most 1000"}
	}
	n, err := a.signedIn(ctx)
	if err != nil {
		return err
	}
	id, err := a.sessionID(ctx, n, what)
	if err != nil {
		return err
	}
	rec, err := n.ledger.Recording(ctx, id)
	switch {
	case errors.Is(err, client.ErrRunning):
		a.warn(err)
	case err != nil:
		return err
	default:
		a.say("session %s: verified against the ledger", id)
	}
	if len(rec.Channels) == 0 {
		a.say("the session showed nothing")
	}
	for _, c := range rec.Channels {
		if err := a.playChannel(ctx, c, len(rec.Channels), flags); err != nil {
			return err
		}
	}
	return nil
}

// sessionID reads a session's ID, or looks it up in an entry, whose proof is
// verified.
func (a *app) sessionID(ctx context.Context, n *node, what string) (store.SessionID, error) {
	if id, err := store.ParseSessionID(what); err == nil {
		return id, nil
	}
	index, err := parseIndex("vaultpam play", what)
	if err != nil {
		return store.SessionID{}, withHint(&usageError{command: "vaultpam play",
			why: fmt.Sprintf("%q is neither a session's ID nor an index", client.Clean(what))},
			"vaultpam audit ls --type session.ended")
	}
	proved, err := n.ledger.Entry(ctx, index)
	if err != nil {
		return store.SessionID{}, err
	}
	if proved.Entry != nil {
		if id := sessionOf(proved.Entry.Event); !id.IsZero() {
			return id, nil
		}
	}
	return store.SessionID{}, refuse("vaultpam audit ls --type session.started", "entry %d belongs to no session", index)
}

func sessionOf(e store.Event) store.SessionID {
	switch e := e.(type) {
	case *store.SessionStarted:
		return e.Session
	case *store.SessionEnded:
		return e.Session
	case *store.CertificateIssued:
		return e.Session
	}
	return store.SessionID{}
}

func (a *app) playChannel(ctx context.Context, c client.Channel, of int, flags playFlags) error {
	r, err := recording.NewReader(bytes.NewReader(c.Data))
	if err != nil {
		return fmt.Errorf("reading channel %d: %w", c.Number, err)
	}
	if of > 1 {
		a.say("channel %d", c.Number)
	}
	if flags.text || !isTerminal(a.Stdout) {
		err = recording.Plain(a.Stdout, r.Events())
	} else {
		err = recording.Replay(ctx, a.Stdout, r.Events(), flags.speed, waitAtMost(3*time.Second))
	}
	if errors.Is(err, recording.ErrUnfinished) {
		a.say("the recording goes no further")
		return nil
	}
	return err
}

// waitAtMost waits for the next event of a recording, but not through the
// pauses in which its user was away.
func waitAtMost(longest time.Duration) func(context.Context, time.Duration) error {
	return func(ctx context.Context, d time.Duration) error {
		timer := time.NewTimer(min(d, longest))
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
