package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/vaultpam/vaultpam/store"
)

// Append implements store.Backend. A batch without records or checkpoint, or
// with another number of hashes than its records make, is refused.
func (b *Backend) Append(ctx context.Context, batch store.Batch) error {
	if err := checkBatch(batch); err != nil {
		return fmt.Errorf("appending to ledger: %w", err)
	}
	if err := b.write(ctx, batch); err != nil {
		return fmt.Errorf("appending to ledger: %w", err)
	}
	return nil
}

func checkBatch(batch store.Batch) error {
	size := batch.Expect.Size
	next := size + uint64(len(batch.Records))
	switch {
	case len(batch.Records) == 0:
		return errors.New("batch without records")
	case len(batch.Checkpoint) == 0:
		return errors.New("batch without a checkpoint")
	case size > math.MaxInt64/4:
		return fmt.Errorf("batch behind %d entries", size)
	}
	if want := store.StoredHashCount(next) - store.StoredHashCount(size); uint64(len(batch.Hashes)) != want {
		return fmt.Errorf("batch with %d hashes, want %d", len(batch.Hashes), want)
	}
	for i, r := range batch.Records {
		if len(r.Data) == 0 || r.Type == "" {
			return fmt.Errorf("record %d of the batch without data or type", i)
		}
		if len(r.Type) > bbolt.MaxKeySize {
			return fmt.Errorf("record %d of the batch with a type of %d bytes", i, len(r.Type))
		}
	}
	return checkSide(batch.Side)
}

// appendBatch puts a batch into a transaction. One that passed checkBatch fails
// only in a damaged file.
func appendBatch(tx *bbolt.Tx, batch store.Batch) error {
	if err := writeSide(tx, batch.Side); err != nil || len(batch.Records) == 0 {
		return err
	}
	size := batch.Expect.Size
	entries := tx.Bucket([]byte(bucketEntries))
	entries.FillPercent = 1 // nothing is ever put between
	for i, r := range batch.Records {
		if err := entries.Put(key64(size+uint64(i)), r.Data); err != nil {
			return err
		}
	}
	if err := appendHashes(tx, store.StoredHashCount(size), batch.Hashes); err != nil {
		return err
	}
	if err := appendLists(tx, size, batch.Records); err != nil {
		return err
	}
	head := store.Head{Size: size + uint64(len(batch.Records)), Checkpoint: batch.Checkpoint}
	return tx.Bucket([]byte(bucketMeta)).Put([]byte(keyHead), encodeHead(head))
}

func appendHashes(tx *bbolt.Tx, count uint64, hashes []store.Hash) error {
	bucket := tx.Bucket([]byte(bucketHashes))
	bucket.FillPercent = 1
	for len(hashes) > 0 {
		number, used := count/hashesPerChunk, int(count%hashesPerChunk)
		chunk := slices.Clone(bucket.Get(key64(number)))
		if len(chunk) != used*len(store.Hash{}) {
			return fmt.Errorf("%w: hash chunk %d has %d bytes", store.ErrCorrupt, number, len(chunk))
		}
		n := min(hashesPerChunk-used, len(hashes))
		for _, h := range hashes[:n] {
			chunk = append(chunk, h[:]...)
		}
		if err := bucket.Put(key64(number), chunk); err != nil {
			return err
		}
		hashes, count = hashes[n:], count+uint64(n)
	}
	return nil
}

// appendLists adds the records to the lists that questions are answered from.
func appendLists(tx *bbolt.Tx, size uint64, records []store.Record) error {
	added := map[string][]store.Index{}
	for i, r := range records {
		code, err := addType(tx, r.Type)
		if err != nil {
			return err
		}
		names := map[string]bool{ // fewer than four where a key is zero
			string(listName(store.UserID{}, 0, code)):        true,
			string(listName(r.User, 0, code)):                true,
			string(listName(store.UserID{}, r.Target, code)): true,
			string(listName(r.User, r.Target, code)):         true,
		}
		for name := range names {
			added[name] = append(added[name], store.Index(size)+store.Index(i))
		}
	}
	bucket := tx.Bucket([]byte(bucketLists))
	bucket.FillPercent = 0.9
	for _, name := range slices.Sorted(maps.Keys(added)) {
		if err := appendList(bucket, []byte(name), added[name]); err != nil {
			return err
		}
	}
	return nil
}

// addType returns the code of a type and gives it one on its first use.
func addType(tx *bbolt.Tx, t store.EventType) (typeCode, error) {
	code, ok, err := findType(tx, t)
	if err != nil || ok {
		return code, err
	}
	bucket := tx.Bucket([]byte(bucketTypes))
	n, err := bucket.NextSequence()
	if err != nil {
		return 0, err
	}
	if n > math.MaxUint16 {
		return 0, errors.New("too many event types")
	}
	return typeCode(n), bucket.Put([]byte(t), binary.BigEndian.AppendUint16(nil, uint16(n)))
}

func findType(tx *bbolt.Tx, t store.EventType) (typeCode, bool, error) {
	v := tx.Bucket([]byte(bucketTypes)).Get([]byte(t))
	switch len(v) {
	case 0:
		return 0, false, nil
	case 2:
		return typeCode(binary.BigEndian.Uint16(v)), true, nil
	}
	return 0, false, fmt.Errorf("%w: code of type %q", store.ErrCorrupt, t)
}
