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
	return readPieces(head, func(n uint64) []byte { return bucket.Get(key64(n)) })
}

// readPieces puts a snapshot together from its head and its pieces, which are
// numbered from 0 on.
func readPieces(head []byte, piece func(n uint64) []byte) (store.Snapshot, error) {
	s, length, ok := decodeSnapshotHead(head)
	if !ok {
		return store.Snapshot{}, fmt.Errorf("%w: snapshot head of %d bytes", store.ErrCorrupt, len(head))
	}
	s.Data = []byte{}
	for n := uint64(0); uint64(len(s.Data)) < length; n++ {
		v := piece(n)
		if len(v) == 0 {
			return store.Snapshot{}, fmt.Errorf("%w: piece %d of the snapshot is missing", store.ErrCorrupt, n)
		}
		s.Data = append(s.Data, v...)
	}
	if uint64(len(s.Data)) != length {
		return store.Snapshot{}, fmt.Errorf("%w: snapshot of %d bytes, want %d", store.ErrCorrupt, len(s.Data), length)
	}
	return s, nil
}

// writePieces is the reverse of readPieces.
func writePieces(data []byte, put func(n uint64, piece []byte) error) error {
	for n := uint64(0); len(data) > 0; n++ {
		size := min(len(data), snapshotPiece)
		if err := put(n, data[:size]); err != nil {
			return err
		}
		data = data[size:]
	}
	return nil
}

func encodeSnapshotHead(s store.Snapshot) []byte {
	return append(append(append(key64(s.Version), key64(s.Size)...), key64(uint64(len(s.Data)))...), s.Root[:]...)
}

// decodeSnapshotHead returns a snapshot without its data, and their length.
func decodeSnapshotHead(head []byte) (s store.Snapshot, length uint64, ok bool) {
	if len(head) != snapshotHead {
		return store.Snapshot{}, 0, false
	}
	s = store.Snapshot{
		Version: binary.BigEndian.Uint64(head),
		Size:    binary.BigEndian.Uint64(head[8:]),
		Root:    store.Hash(head[24:]),
	}
	return s, binary.BigEndian.Uint64(head[16:]), true
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
		if err := bucket.Put([]byte(keyHead), encodeSnapshotHead(s)); err != nil {
			return err
		}
		return writePieces(s.Data, func(n uint64, piece []byte) error { return bucket.Put(key64(n), piece) })
	})
	if err != nil {
		return fmt.Errorf("saving the snapshot: %w", err)
	}
	return nil
}
