package server

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

// endEvery is how often the last entry of a session is tried again.
const endEvery = 2 * time.Second

// errUnproved is returned while a recording has no end marker, because its disk
// had no room for one: session.ended could name no hash that it can be held
// against, for ever.
var errUnproved = errors.New("the recording has no end marker yet")

// unended are the sessions that are over and whose session.ended could not be
// written: the ledger had no room, or the recording had none for its end marker.
// It is tried again until there is room. What a process that dies leaves here,
// the next start ends as interrupted.
type unended struct {
	mu       sync.Mutex // guards sessions
	sessions map[store.SessionID]access.EndSession
}

func (u *unended) put(e access.EndSession) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.sessions == nil {
		u.sessions = map[store.SessionID]access.EndSession{}
	}
	u.sessions[e.Session] = e
}

func (u *unended) drop(id store.SessionID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.sessions, id)
}

func (u *unended) all() map[store.SessionID]access.EndSession {
	u.mu.Lock()
	defer u.mu.Unlock()
	return maps.Clone(u.sessions)
}

// endSession makes session.ended durable, with the hashes of a recording that is
// closed.
func (n *Node) endSession(ctx context.Context, e access.EndSession) error {
	if len(e.Files) == 0 {
		s, err := n.closedRecording(ctx, e.Session)
		if err != nil {
			return err
		}
		e.Files = relay.Files(s)
	}
	_, err := n.ledger.Do(ctx, e)
	return err
}

// closedRecording returns what is to be said of a recording whose session is
// over, closing it first where that did not work before. Where there never was a
// recording the summary is empty.
func (n *Node) closedRecording(ctx context.Context, id store.SessionID) (recording.Summary, error) {
	s, there := n.summaryOf(id)
	if !there || s.SHA256 != (recording.Hash{}) {
		return s, nil
	}
	if err := n.recordings.RecoverSession(ctx, id, n.Now()); err != nil {
		return s, err
	}
	if s, _ = n.summaryOf(id); s.SHA256 == (recording.Hash{}) {
		return s, errUnproved
	}
	return s, nil
}

// endUnended tries again until ctx is done.
func (n *Node) endUnended(ctx context.Context) error {
	tick := time.NewTicker(endEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for id, e := range n.unended.all() {
			err := n.endSession(ctx, e)
			var refused *access.Refusal
			if err == nil || errors.As(err, &refused) && refused.Kind == access.NotFound {
				n.unended.drop(id)
				n.Log.Info("a session was ended belatedly", "session", id.String())
			}
		}
	}
}
