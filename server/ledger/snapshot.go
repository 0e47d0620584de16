package ledger

import (
	"context"
	"errors"

	"github.com/vaultpam/vaultpam/store"
)

// CheckSnapshot says why the next start will not use the snapshot of a back end
// and fold the entries instead; nil where it will, or where there is none. A key
// of c other than the snapshot key is not needed.
func CheckSnapshot(ctx context.Context, c Config) error {
	if c.Backend == nil || len(c.SnapshotKey) != 32 {
		return errors.New("checking the snapshot: back end and snapshot key are needed")
	}
	head, err := c.Backend.Head(ctx)
	if err != nil {
		return err
	}
	_, err = openSnapshot(ctx, c, store.Hashes(ctx, c.Backend), head.Size, func(store.Commitment) (string, bool) { return "", false })
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
