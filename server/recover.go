package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

// recover closes what a process that died left open: the sessions without
// session.ended, and their recordings. It runs before anything is served and may
// itself be interrupted: what it did then stays done. It costs what was open and
// not what there is.
func (n *Node) recover(ctx context.Context) error {
	for session := range n.ledger.State().Sessions() {
		err := n.recordings.RecoverSession(ctx, session.ID, n.Now())
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // it may have died before there was one
			return err
		}
		end := access.EndSession{
			Session: session.ID, Reason: store.EndedInterrupted,
			Duration: max(0, int64(store.At(n.Now())-session.Started)),
		}
		if s, ok := n.summaryOf(session.ID); ok {
			end.Files = relay.Files(s)
			for _, c := range s.Channels {
				end.In, end.Out = end.In+c.BytesIn, end.Out+c.BytesOut+c.BytesErr
			}
		}
		if _, err := n.ledger.Do(ctx, end); err != nil {
			return fmt.Errorf("recovering session %s: %w", session.ID, err)
		}
		n.Log.Warn("a session was interrupted when the relay died", "session", session.ID.String())
	}
	return nil
}

// recoverRecordings closes the recordings that have no end marker although their
// sessions have ended: their disk failed then. It looks at every recording there
// is, beside the serving.
func (n *Node) recoverRecordings(ctx context.Context) error {
	closed, err := n.recordings.Recover(ctx, n.Now())
	for _, s := range closed {
		n.Log.Warn("a recording was closed after its session", "session", s.Head.Session.String())
	}
	if err != nil && ctx.Err() == nil {
		n.Log.Error("a recording can't be closed", "error", err)
	}
	return nil
}

func (n *Node) summaryOf(id store.SessionID) (recording.Summary, bool) {
	s, err := n.recordings.OpenSession(id)
	if err != nil {
		return recording.Summary{}, false // the process died before there was one
	}
	defer s.Close()
	return s.Summary(), true
}
