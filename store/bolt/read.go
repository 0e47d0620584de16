package bolt

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/vaultpam/vaultpam/store"
)

// Head implements store.Backend.
func (b *Backend) Head(ctx context.Context) (store.Head, error) {
	var head store.Head
	err := b.view(ctx, func(tx *bbolt.Tx) (err error) {
		head, err = readHead(tx)
		return err
	})
	if err != nil {
		return store.Head{}, fmt.Errorf("reading the ledger's head: %w", err)
	}
	return head, nil
}

func readHead(tx *bbolt.Tx) (store.Head, error) {
	return decodeHead(tx.Bucket([]byte(bucketMeta)).Get([]byte(keyHead)))
}

// readSize is readHead where nobody needs the checkpoint.
func readSize(tx *bbolt.Tx) (uint64, error) {
	v := tx.Bucket([]byte(bucketMeta)).Get([]byte(keyHead))
	if v == nil {
		return 0, nil
	}
	if len(v) <= 8 {
		return 0, fmt.Errorf("%w: head of %d bytes", store.ErrCorrupt, len(v))
	}
	return binary.BigEndian.Uint64(v), nil
}

// Records implements store.Backend.
func (b *Backend) Records(ctx context.Context, from store.Index, limit int) ([][]byte, error) {
	var records [][]byte
	err := b.view(ctx, func(tx *bbolt.Tx) error {
		size, err := readSize(tx)
		if err != nil {
			return err
		}
		if limit <= 0 || uint64(from) >= size {
			return nil
		}
		n := min(uint64(limit), size-uint64(from))
		records = make([][]byte, 0, n)
		c := tx.Bucket([]byte(bucketEntries)).Cursor()
		for k, v := c.Seek(key64(uint64(from))); uint64(len(records)) < n; k, v = c.Next() {
			want := uint64(from) + uint64(len(records))
			if len(k) != 8 || binary.BigEndian.Uint64(k) != want {
				return fmt.Errorf("%w: entry %d is missing", store.ErrCorrupt, want)
			}
			records = append(records, slices.Clone(v))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading entries: %w", err)
	}
	return records, nil
}

// ReadHashes implements store.Backend.
func (b *Backend) ReadHashes(ctx context.Context, indexes []int64) ([]store.Hash, error) {
	hashes := make([]store.Hash, len(indexes))
	err := b.view(ctx, func(tx *bbolt.Tx) error {
		size, err := readSize(tx)
		if err != nil {
			return err
		}
		count := store.StoredHashCount(size)
		bucket := tx.Bucket([]byte(bucketHashes))
		for i, x := range indexes {
			if x < 0 || uint64(x) >= count {
				return fmt.Errorf("stored hash %d: %w", x, store.ErrNotFound)
			}
			chunk := bucket.Get(key64(uint64(x) / hashesPerChunk))
			at := int(uint64(x)%hashesPerChunk) * len(store.Hash{})
			if len(chunk) < at+len(store.Hash{}) {
				return fmt.Errorf("%w: stored hash %d is missing", store.ErrCorrupt, x)
			}
			copy(hashes[i][:], chunk[at:])
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the tree's hashes: %w", err)
	}
	return hashes, nil
}
