package bolt

import (
	"context"
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/vaultpam/vaultpam/store"
)

const snapshotHead = 8 + 8 + 8 + len(store.Hash{})

// Snapshot implements store.Backend.
func (b *Backend) Snapshot(ctx context.Context) (store.Snapshot, error) {
	var s store.Snapshot
	err := b.view(ctx, func(tx *bbolt.Tx) (err error) {
		s, err = readSnapshot(tx.Bucket([]byte(bucketSnapshot)))
		return err
	})
	if err != nil {
		return store.Snapshot{}, fmt.Errorf("reading the snapshot: %w", err)
	}
	return s, nil
}

func readSnapshot(bucket *bbolt.Bucket) (store.Snapshot, error) {
	head := bucket.Get([]byte(keyHead))
	if head == nil {
		return store.Snapshot{}, store.ErrNotFound
	}
	if len(head) != snapshotHead {
		return store.Snapshot{}, fmt.Errorf("%w: snapshot head of %d bytes", store.ErrCorrupt, len(head))
	}
	s := store.Snapshot{
		Version: binary.BigEndian.Uint64(head),
		Size:    binary.BigEndian.Uint64(head[8:]),
		Root:    store.Hash(head[24:]),
		Data:    []byte{},
	}
	length := binary.BigEndian.Uint64(head[16:])
	for piece := uint64(0); uint64(len(s.Data)) < length; piece++ {
		v := bucket.Get(key64(piece))
		if len(v) == 0 {
			return store.Snapshot{}, fmt.Errorf("%w: piece %d of the snapshot is missing", store.ErrCorrupt, piece)
		}
		s.Data = append(s.Data, v...)
	}
	if uint64(len(s.Data)) != length {
		return store.Snapshot{}, fmt.Errorf("%w: snapshot of %d bytes, want %d", store.ErrCorrupt, len(s.Data), length)
	}
	return s, nil
}

// SaveSnapshot implements store.Backend.
func (b *Backend) SaveSnapshot(ctx context.Context, s store.Snapshot) error {
	err := b.update(ctx, func(tx *bbolt.Tx) error {
		if err := tx.DeleteBucket([]byte(bucketSnapshot)); err != nil {
			return err
		}
		bucket, err := tx.CreateBucket([]byte(bucketSnapshot))
		if err != nil {
			return err
		}
		head := append(append(append(key64(s.Version), key64(s.Size)...), key64(uint64(len(s.Data)))...), s.Root[:]...)
		if err := bucket.Put([]byte(keyHead), head); err != nil {
			return err
		}
		for piece, rest := uint64(0), s.Data; len(rest) > 0; piece++ {
			n := min(len(rest), snapshotPiece)
			if err := bucket.Put(key64(piece), rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("saving the snapshot: %w", err)
	}
	return nil
}
