package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/vaultpam/vaultpam/store"
)

// sidePage is how many values of a side table are read in one transaction.
const sidePage = 256

func sideKey(table store.SideTable, key []byte) []byte {
	return append([]byte{byte(table)}, key...)
}

// Side implements store.Backend.
func (b *Backend) Side(ctx context.Context, table store.SideTable, key []byte) ([]byte, error) {
	var value []byte
	err := b.view(ctx, func(tx *bbolt.Tx) error {
		v := tx.Bucket([]byte(bucketSide)).Get(sideKey(table, key))
		if v == nil {
			return store.ErrNotFound
		}
		value = append([]byte{}, v...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading side table %d: %w", table, err)
	}
	return value, nil
}

// SideAll implements store.Backend. It holds no transaction while the caller
// looks at a value, so that the caller may write meanwhile: a key that was
// written or deleted since the iteration began may be yielded or not.
func (b *Backend) SideAll(ctx context.Context, table store.SideTable, prefix []byte) iter.Seq2[store.SideWrite, error] {
	return func(yield func(store.SideWrite, error) bool) {
		all := sideKey(table, prefix)
		for next := all; next != nil; {
			page, following, err := b.sidePage(ctx, all, next)
			if err != nil {
				yield(store.SideWrite{}, fmt.Errorf("reading side table %d: %w", table, err))
				return
			}
			for _, w := range page {
				if !yield(w, nil) {
					return
				}
			}
			next = following
		}
	}
}

// sidePage reads values from a key on, and returns the key where the next page
// begins, nil after the last.
func (b *Backend) sidePage(ctx context.Context, prefix, from []byte) (page []store.SideWrite, next []byte, err error) {
	err = b.view(ctx, func(tx *bbolt.Tx) error {
		c := tx.Bucket([]byte(bucketSide)).Cursor()
		for k, v := c.Seek(from); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
			if len(page) == sidePage {
				next = slices.Clone(k)
				return nil
			}
			page = append(page, store.SideWrite{
				Table: store.SideTable(k[0]),
				Key:   append([]byte{}, k[1:]...),
				Value: append([]byte{}, v...),
			})
		}
		return nil
	})
	return page, next, err
}

// WriteSide implements store.Backend.
func (b *Backend) WriteSide(ctx context.Context, writes []store.SideWrite) error {
	err := checkSide(writes)
	if err == nil {
		err = b.write(ctx, store.Batch{Side: writes})
	}
	if err != nil {
		return fmt.Errorf("writing the side table: %w", err)
	}
	return nil
}

// checkSide finds what could not be written once it is acknowledged.
func checkSide(writes []store.SideWrite) error {
	for _, w := range writes {
		if w.Table == 0 {
			return errors.New("side table 0")
		}
		if len(w.Key) >= bbolt.MaxKeySize {
			return fmt.Errorf("key of %d bytes", len(w.Key))
		}
	}
	return nil
}

func writeSide(tx *bbolt.Tx, writes []store.SideWrite) error {
	bucket := tx.Bucket([]byte(bucketSide))
	for _, w := range writes {
		key := sideKey(w.Table, w.Key)
		var err error
		if w.Value == nil {
			err = bucket.Delete(key)
		} else {
			err = bucket.Put(key, w.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
