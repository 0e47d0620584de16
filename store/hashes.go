package store

import (
	"context"

	"golang.org/x/mod/sumdb/tlog"
)

// Hashes returns the stored hashes of a back end as the reader that OpenTree
// and the proofs take. ctx ends every read through it.
func Hashes(ctx context.Context, b Backend) HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		stored, err := b.ReadHashes(ctx, indexes)
		if err != nil {
			return nil, err
		}
		return tlogProof[[]tlog.Hash](stored), nil
	})
}
