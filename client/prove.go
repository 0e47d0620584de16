package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// A BadEntryError names an entry of the ledger that does not verify.
type BadEntryError struct {
	Index uint64
	Why   string
}

func (e *BadEntryError) Error() string {
	return fmt.Sprintf("entry %d of the ledger does not verify: %s", e.Index, e.Why)
}

// A ProvedEntry is an entry whose stored bytes were proved to be in the ledger.
type ProvedEntry struct {
	// Shown is the entry as the server tells it. Its index, time and type were
	// held against the stored bytes; the names of people in it are the
	// server's word, because the ledger holds commitments to them.
	Shown api.Entry
	// Entry is what the stored bytes say, nil where this program does not know
	// the type.
	Entry *store.Entry
	// Data are the stored bytes.
	Data []byte
	// At is the checkpoint that the proof leads to.
	At store.Checkpoint
}

// maxTries is how often an entry is asked for where the server proves it at
// another size than it was asked to.
const maxTries = 5

// Entry follows the ledger, fetches one entry and verifies that its stored
// bytes are in it.
func (l *Ledger) Entry(ctx context.Context, index store.Index) (ProvedEntry, error) {
	for range maxTries {
		at, err := l.Follow(ctx)
		if err != nil {
			return ProvedEntry{}, err
		}
		if uint64(index) >= at.Size {
			return ProvedEntry{}, api.NewError(api.KindNotFound, "", "there is no entry %d: the ledger has %d", index, at.Size)
		}
		resp, err := l.client.entry(ctx, uint64(index), at.Size)
		if err != nil {
			return ProvedEntry{}, err
		}
		err = l.proves(resp, at, index)
		if err == nil {
			return readEntry(resp, at, index)
		}
		other, oerr := store.OpenCheckpoint(resp.Checkpoint, l.origin, l.key)
		if oerr != nil {
			return ProvedEntry{}, oerr
		}
		if other.Size == at.Size {
			return ProvedEntry{}, &BadEntryError{Index: uint64(index), Why: "its proof does not lead to the signed root"}
		}
		// The ledger grew between the two questions; the answer is right for a
		// ledger that was not followed yet.
	}
	return ProvedEntry{}, api.NewError(api.KindUnavailable, "try again", "the ledger grows too fast to prove entry %d", index)
}

func (l *Ledger) proves(resp api.EntryResponse, at store.Checkpoint, index store.Index) error {
	proof, err := proofOf(resp.Proof)
	if err != nil {
		return err
	}
	return store.CheckInclusion(proof, at.Size, at.Root, index, resp.Data)
}

// readEntry holds what the server tells of an entry against its proved bytes.
func readEntry(resp api.EntryResponse, at store.Checkpoint, index store.Index) (ProvedEntry, error) {
	bad := func(why string) (ProvedEntry, error) {
		return ProvedEntry{}, &BadEntryError{Index: uint64(index), Why: why}
	}
	entry, err := store.DecodeEntry(resp.Data)
	if errors.Is(err, store.ErrUnknownEvent) {
		return ProvedEntry{Shown: resp.Entry, Data: resp.Data, At: at}, nil
	}
	switch shown := resp.Entry; {
	case err != nil:
		return bad(Clean(err.Error()))
	case entry.Index != index || shown.Index != uint64(index):
		return bad("it says that it is another one")
	case shown.Type != string(entry.Event.EventType()):
		return bad("the server tells another type than was stored")
	case !shown.Time.Equal(entry.Time.Time()):
		return bad("the server tells another time than was stored")
	}
	return ProvedEntry{Shown: resp.Entry, Entry: entry, Data: resp.Data, At: at}, nil
}
