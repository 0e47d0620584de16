package client

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// A ForkError says that the ledger which the server shows did not grow out of
// the one that this machine saw before: it was rewritten, or rolled back. Both
// checkpoints are signed by the log key, so together they are the proof.
type ForkError struct {
	// Index is the size of the smaller of the two: the entries below it are all
	// that they could have in common.
	Index uint64
	// Remembered is the file of the checkpoint that was believed, Shown that of
	// the other one, which was kept beside it; empty where that did not work.
	Remembered, Shown string
}

func (e *ForkError) Error() string { return fmt.Sprintf("ledger fork at index %d", e.Index) }

// A Ledger is the server's ledger as this machine may believe it: what it shows
// is checked against what it showed before.
type Ledger struct {
	client *Client
	home   *Home
	origin string
	name   string // the server's, which passkeys are bound to
	key    ed25519.PublicKey
}

// NewLedger returns the ledger that the settings name. The client needs a token
// for everything but Follow.
func NewLedger(c *Client, h *Home, s Settings) (*Ledger, error) {
	if c == nil || h == nil {
		return nil, errors.New("a ledger needs a client and a home")
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("opening the ledger: %w", err)
	}
	return &Ledger{client: c, home: h, origin: s.Origin, name: s.Name, key: ed25519.PublicKey(s.LogKey)}, nil
}

// Follow fetches the last checkpoint, verifies that the ledger grew out of the
// one that is remembered, and remembers the new one. The first checkpoint that
// a machine sees is believed. On a ForkError nothing that was remembered
// changes. Any number of processes may follow at the same time.
func (l *Ledger) Follow(ctx context.Context) (store.Checkpoint, error) {
	old, err := l.Remembered()
	if err != nil {
		return store.Checkpoint{}, err
	}
	resp, err := l.client.checkpoint(ctx, old.Size)
	if old.Size > 0 && (IsKind(err, api.KindInvalid) || IsKind(err, api.KindNotFound) || IsKind(err, api.KindConflict)) {
		// A ledger that is now shorter has no proof to give. What it does have
		// says so.
		resp, err = l.client.checkpoint(ctx, 0)
	}
	if err != nil {
		return store.Checkpoint{}, err
	}
	shown, err := store.OpenCheckpoint(resp.Checkpoint, l.origin, l.key)
	if err != nil {
		return store.Checkpoint{}, err
	}
	if err := grewOutOf(old, shown, resp.Proof); err != nil {
		return store.Checkpoint{}, l.forked(old, shown, resp.Checkpoint)
	}
	if shown == old {
		return shown, nil
	}
	return shown, l.remember(shown, resp.Checkpoint)
}

// grewOutOf verifies that the ledger of the shown checkpoint begins with the
// one of the old checkpoint. Every ledger begins with the empty one; none that
// is shorter begins with a longer one, which CheckConsistency says.
func grewOutOf(old, shown store.Checkpoint, hashes [][]byte) error {
	switch {
	case old.Size == 0:
		return nil
	case shown.Size == old.Size:
		if shown.Root != old.Root {
			return store.ErrProof
		}
		return nil
	}
	proof, err := proofOf(hashes)
	if err != nil {
		return err
	}
	return store.CheckConsistency(proof, old.Size, old.Root, shown.Size, shown.Root)
}

// proofOf reads the hashes of a proof. A proof is as long as the tree is high.
func proofOf(hashes [][]byte) (store.Proof, error) {
	if len(hashes) > 128 {
		return nil, fmt.Errorf("%w: %d hashes", store.ErrProof, len(hashes))
	}
	proof := make(store.Proof, len(hashes))
	for i, h := range hashes {
		if len(h) != len(store.Hash{}) {
			return nil, fmt.Errorf("%w: hash of %d bytes", store.ErrProof, len(h))
		}
		proof[i] = store.Hash(h)
	}
	return proof, nil
}
