package server

import (
	"context"
	"fmt"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

// recover closes what a process that died left open: recordings without an end
// marker, and sessions without session.ended. It runs before anything is served
// and may itself be interrupted: what it did then stays done.
func (n *Node) recover(ctx context.Context) error {
	found, err := n.recordings.Recover(ctx, n.Now())
	if err != nil {
		return fmt.Errorf("recovering recordings: %w", err)
	}
	summaries := make(map[store.SessionID]recording.Summary, len(found))
	for _, s := range found {
		summaries[s.Head.Session] = s
	}
	for session := range n.ledger.State().Sessions() {
		end := access.EndSession{
			Session: session.ID, Reason: store.EndedInterrupted,
			Duration: max(0, int64(store.At(n.Now())-session.Started)),
		}
		s, ok := summaries[session.ID]
		if !ok {
			// The recording was closed, and the process died before the entry.
			s, ok = n.summaryOf(session.ID)
		}
		if ok {
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

func (n *Node) summaryOf(id store.SessionID) (recording.Summary, bool) {
	s, err := n.recordings.OpenSession(id)
	if err != nil {
		return recording.Summary{}, false // the process died before there was one
	}
	defer s.Close()
	return s.Summary(), true
}
