package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/vaultpam/vaultpam/store"
)

// keptKey is where the head (0) or a piece (from 1 on) of a snapshot of the past
// lies.
func keptKey(size, n uint64) []byte { return binary.BigEndian.AppendUint64(key64(size), n) }

// KeepSnapshot implements store.Backend.
func (b *Backend) KeepSnapshot(ctx context.Context, s store.Snapshot) error {
	err := b.update(ctx, func(tx *bbolt.Tx) error {
		bucket, err := tx.CreateBucketIfNotExists([]byte(bucketKept))
		if err != nil {
			return err
		}
		if err := dropKept(bucket, s.Size); err != nil {
			return err
		}
		if err := bucket.Put(keptKey(s.Size, 0), encodeSnapshotHead(s)); err != nil {
			return err
		}
		return writePieces(s.Data, func(n uint64, piece []byte) error { return bucket.Put(keptKey(s.Size, n+1), piece) })
	})
	if err != nil {
		return fmt.Errorf("keeping a snapshot: %w", err)
	}
	return nil
}

// dropKept deletes all that there is of a size, also of what is damaged.
func dropKept(bucket *bbolt.Bucket, size uint64) error {
	prefix := key64(size)
	c := bucket.Cursor()
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Seek(prefix) {
		if err := c.Delete(); err != nil {
			return err
		}
	}
	return nil
}

// KeptSnapshot implements store.Backend.
func (b *Backend) KeptSnapshot(ctx context.Context, size uint64) (store.Snapshot, error) {
	var s store.Snapshot
	err := b.view(ctx, func(tx *bbolt.Tx) (err error) {
		bucket := tx.Bucket([]byte(bucketKept))
		if bucket == nil {
			return store.ErrNotFound
		}
		head := bucket.Get(keptKey(size, 0))
		if head == nil {
			return store.ErrNotFound
		}
		s, err = readPieces(head, func(n uint64) []byte { return bucket.Get(keptKey(size, n+1)) })
		if err == nil && s.Size != size {
			err = fmt.Errorf("%w: it is of %d entries", store.ErrCorrupt, s.Size)
		}
		return err
	})
	if err != nil {
		return store.Snapshot{}, fmt.Errorf("reading the snapshot at %d: %w", size, err)
	}
	return s, nil
}

// KeptSnapshots implements store.Backend.
func (b *Backend) KeptSnapshots(ctx context.Context) ([]store.Snapshot, error) {
	var kept []store.Snapshot
	err := b.view(ctx, func(tx *bbolt.Tx) error {
		bucket := tx.Bucket([]byte(bucketKept))
		if bucket == nil {
			return nil
		}
		c := bucket.Cursor()
		for k, v := c.First(); len(k) == 16; {
			size := binary.BigEndian.Uint64(k)
			if s, _, ok := decodeSnapshotHead(v); ok && s.Size == size && bytes.Equal(k, keptKey(size, 0)) {
				kept = append(kept, s)
			}
			if size++; size == 0 {
				break
			}
			k, v = c.Seek(keptKey(size, 0))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing the snapshots of the past: %w", err)
	}
	return kept, nil
}
