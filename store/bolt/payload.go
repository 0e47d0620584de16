package bolt

import (
	"encoding/binary"
	"fmt"

	"github.com/vaultpam/vaultpam/store"
)

// encodeBatch returns a batch as the journal has it. Of the expected head it
// keeps the size.
func encodeBatch(batch store.Batch) []byte {
	b := make([]byte, 0, batchSize(batch))
	b = binary.AppendUvarint(b, batch.Expect.Size)
	b = binary.AppendUvarint(b, uint64(len(batch.Records)))
	for _, r := range batch.Records {
		b = appendBytes(b, r.Data)
		b = appendBytes(b, []byte(r.Type))
		b = append(b, r.User[:]...)
		b = binary.AppendUvarint(b, uint64(r.Target))
	}
	b = binary.AppendUvarint(b, uint64(len(batch.Hashes)))
	for _, h := range batch.Hashes {
		b = append(b, h[:]...)
	}
	b = appendBytes(b, batch.Checkpoint)
	b = binary.AppendUvarint(b, uint64(len(batch.Side)))
	for _, w := range batch.Side {
		b = append(b, byte(w.Table))
		b = appendBytes(b, w.Key)
		if w.Value == nil {
			b = append(b, 0)
		} else {
			b = appendBytes(append(b, 1), w.Value)
		}
	}
	return b
}

// batchSize is about what encodeBatch makes.
func batchSize(batch store.Batch) int {
	n := 64 + len(batch.Hashes)*len(store.Hash{}) + len(batch.Checkpoint)
	for _, r := range batch.Records {
		n += len(r.Data) + len(r.Type) + len(r.User) + 16
	}
	for _, w := range batch.Side {
		n += len(w.Key) + len(w.Value) + 8
	}
	return n
}

func appendBytes(b, field []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(field))), field...)
}

// decodeBatch is the reverse of encodeBatch. What it returns shares its memory
// with b.
func decodeBatch(b []byte) (store.Batch, error) {
	d := decoder{rest: b}
	var batch store.Batch
	batch.Expect.Size = d.number()
	for range d.count() {
		r := store.Record{Data: d.bytes(), Type: store.EventType(d.bytes())}
		copy(r.User[:], d.take(uint64(len(r.User))))
		r.Target = store.Index(d.number())
		batch.Records = append(batch.Records, r)
	}
	for range d.count() {
		var h store.Hash
		copy(h[:], d.take(uint64(len(h))))
		batch.Hashes = append(batch.Hashes, h)
	}
	batch.Checkpoint = d.bytes()
	for range d.count() {
		var w store.SideWrite
		if t := d.take(1); t != nil {
			w.Table = store.SideTable(t[0])
		}
		w.Key = d.bytes()
		switch d.number() {
		case 0:
		case 1:
			w.Value = d.bytes()
		default:
			d.bad = true
		}
		batch.Side = append(batch.Side, w)
	}
	if d.bad || len(d.rest) > 0 {
		return store.Batch{}, fmt.Errorf("%w: a write in the journal that can't be read", store.ErrCorrupt)
	}
	return batch, nil
}

// A decoder takes fields off the front of rest. After the first one that is not
// there it is bad, and returns zeros.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) number() uint64 {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 {
		d.rest, d.bad = nil, true
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

// count is a number of things that take a byte each at least.
func (d *decoder) count() uint64 {
	n := d.number()
	if n > uint64(len(d.rest)) {
		d.rest, d.bad = nil, true
		return 0
	}
	return n
}

// take returns the next n bytes, not nil where they are there.
func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.rest)) {
		d.rest, d.bad = nil, true
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) bytes() []byte { return d.take(d.number()) }

// join makes one batch of records that follow each other, so that what several of
// them change is changed once.
func join(records []record) (store.Batch, error) {
	var all store.Batch
	for _, r := range records {
		batch, err := decodeBatch(r.payload)
		if err != nil {
			return store.Batch{}, err
		}
		all.Side = append(all.Side, batch.Side...)
		if len(batch.Records) == 0 {
			continue // it changes the side table alone
		}
		if len(all.Records) == 0 {
			all.Expect.Size = batch.Expect.Size
		}
		if want := all.Expect.Size + uint64(len(all.Records)); batch.Expect.Size != want {
			return store.Batch{}, fmt.Errorf("%w: write %d of the journal goes behind entry %d of %d", store.ErrCorrupt, r.sequence, batch.Expect.Size, want)
		}
		all.Records = append(all.Records, batch.Records...)
		all.Hashes = append(all.Hashes, batch.Hashes...)
		all.Checkpoint = batch.Checkpoint
	}
	return all, nil
}
