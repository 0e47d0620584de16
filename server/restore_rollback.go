package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/vaultpam/vaultpam/store"
)

// A RollbackError says why a restore is refused that is not known to lose
// nothing: users who were removed would be back, and serials could be given out
// twice.
type RollbackError struct {
	// Backup is the ledger in the backup.
	Backup store.Checkpoint
	// Shown is the ledger that the backup falls behind or contradicts; zero where
	// none was shown.
	Shown store.Checkpoint
	Why   string
}

func (e *RollbackError) Error() string { return e.Why }

// loss compares the restored entries with the checkpoint that was shown, and
// returns nil where nothing is lost: the checkpoint is that of the backup.
func (in *restored) loss(ctx context.Context, env Environment, d Dir, shown []byte) (*RollbackError, error) {
	backup := store.Checkpoint{Origin: store.Origin(in.birth.Name), Size: in.tree.Size(), Root: in.tree.Root()}
	if shown == nil {
		return &RollbackError{Backup: backup, Why: fmt.Sprintf(
			"the backup ends behind entry %d, and nothing shows that no entry came after it: show the largest checkpoint that a client remembers, or accept that entries may be lost", backup.Size-1)}, nil
	}
	c, err := store.OpenCheckpoint(shown, backup.Origin, in.birth.LogKey)
	if err != nil {
		return nil, fmt.Errorf("the checkpoint that is shown is not one of this ledger: %w", err)
	}
	switch {
	case c == backup:
		return nil, nil //nolint:nilnil // nothing is lost, and that is the answer
	case c.Size > backup.Size:
		return &RollbackError{Backup: backup, Shown: c, Why: fmt.Sprintf(
			"the backup has %d entries and the checkpoint that is shown %d: entries %d to %d would be lost", backup.Size, c.Size, backup.Size, c.Size-1)}, nil
	}
	root, err := in.rootAt(ctx, env, d, c.Size)
	if err != nil {
		return nil, err
	}
	if root != c.Root {
		return &RollbackError{Backup: backup, Shown: c, Why: fmt.Sprintf(
			"the backup's first %d entries are not those of the checkpoint that is shown: one of the two is of a ledger that was restored before", c.Size)}, nil
	}
	return &RollbackError{Backup: backup, Why: fmt.Sprintf(
		"the checkpoint that is shown is of %d entries, fewer than the backup's %d, and does not show that no entry came after these: show a larger one, or accept that entries may be lost", c.Size, backup.Size)}, nil
}

// rootAt returns the root of the first size entries that were restored.
func (in *restored) rootAt(ctx context.Context, env Environment, d Dir, size uint64) (store.Hash, error) {
	b, err := env.OpenBackend(d.ledger())
	if err != nil {
		return store.Hash{}, err
	}
	tree, err := store.OpenTree(size, store.Hashes(ctx, b))
	if err = errors.Join(err, b.Close()); err != nil {
		return store.Hash{}, err
	}
	return tree.Root(), nil
}
