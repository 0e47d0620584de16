package server

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"

	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

const doRecordings = "put back what is missing from where recordings are backed up; the ledger alone says what there was until then"

// checkRecordings holds every recording to the entry of its session's end, and
// looks for those that no session is of.
func (c *check) checkRecordings(ctx context.Context) error {
	path := c.dir.recordings()
	if !c.checkPrivate(path, 0o700, "make the folder, and put the recordings back from where they are backed up") {
		return nil
	}
	s, err := recording.Open(path, recording.Options{Now: c.env.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil // others may write to it, which is a finding already
	}
	defer s.Close()
	missing := 0
	err = eachRecorded(ctx, c.backend, c.size, func(_ store.Index, e *store.SessionEnded) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch err := verifyRecording(s, e); {
		case errors.Is(err, fs.ErrNotExist) && !c.recorded(e.Session):
			missing++
		case err != nil:
			c.damage(doRecordings, "%v", err)
		}
		return nil
	})
	if missing > 0 {
		c.damage(doRecordings, "recordings that the ledger names and that are not there: %d", missing)
	}
	if err != nil {
		// The list of ends can't be read, which is a finding already.
		return c.unless(err, "the recordings")
	}
	return c.checkOrphans(s)
}

// recorded reports whether a session has a folder.
func (c *check) recorded(id store.SessionID) bool {
	there, err := exists(c.dir.recordings() + string(os.PathSeparator) + id.String())
	return err != nil || there
}

// checkOrphans looks for folders that no session is of, and for recordings that
// have no end.
func (c *check) checkOrphans(s *recording.Store) error {
	entries, err := os.ReadDir(c.dir.recordings())
	if err != nil {
		return err
	}
	for _, e := range entries {
		id, err := store.ParseSessionID(e.Name())
		switch {
		case err != nil:
			c.damage("move it away", "%.80q among the recordings is none", e.Name())
		case c.sessions[id] == 0 && c.whole:
			c.damage("keep it as evidence of what the ledger does not know: a restore may have lost its session", "recording %s is of no session in the ledger", id)
		case c.sessions[id] == sessionStarted:
			c.checkEnd(s, id)
		}
	}
	return nil
}

func (c *check) checkEnd(s *recording.Store, id store.SessionID) {
	r, err := s.OpenSession(id)
	if errors.Is(err, recording.ErrUnfinished) {
		c.repairable("recording %s has no end marker", id)
		return
	}
	if err != nil {
		return // torn at the start, which Recover mends
	}
	defer r.Close()
	if r.Summary().Reason == "" {
		c.repairable("recording %s has no end marker", id)
	}
}
