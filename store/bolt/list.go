package bolt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"go.etcd.io/bbolt"

	"github.com/vaultpam/vaultpam/store"
)

// appendList adds rising indexes behind the last of a list.
func appendList(bucket *bbolt.Bucket, name []byte, indexes []store.Index) error {
	var first, last store.Index
	var chunk []byte
	if k, v := lastBelow(bucket.Cursor(), name, math.MaxUint64); k != nil {
		known, err := decodeChunk(name, k, v)
		if err != nil {
			return err
		}
		first, last = known[0], known[len(known)-1]
		chunk = append(make([]byte, 0, maxChunk), v...)
	} else {
		first, last, indexes = indexes[0], indexes[0], indexes[1:]
	}
	for _, i := range indexes {
		longer := binary.AppendUvarint(chunk, uint64(i-last))
		if len(longer) > maxChunk {
			if err := bucket.Put(chunkKey(name, uint64(first)), chunk); err != nil {
				return err
			}
			first, longer = i, nil
		}
		chunk, last = longer, i
	}
	return bucket.Put(chunkKey(name, uint64(first)), chunk)
}

func chunkKey(name []byte, first uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, len(name)+8), name...), first)
}

// lastBelow moves the cursor to the last chunk of the list that begins below
// bound, and returns a nil key where there is none.
func lastBelow(c *bbolt.Cursor, name []byte, bound uint64) (k, v []byte) {
	if k, _ = c.Seek(chunkKey(name, bound)); k == nil {
		k, v = c.Last()
	} else {
		k, v = c.Prev()
	}
	if !bytes.HasPrefix(k, name) {
		return nil, nil
	}
	return k, v
}

func decodeChunk(name, k, v []byte) ([]store.Index, error) {
	if len(k) != len(name)+8 {
		return nil, fmt.Errorf("%w: list key %x", store.ErrCorrupt, k)
	}
	at := binary.BigEndian.Uint64(k[len(name):])
	chunk := append(make([]store.Index, 0, 1+len(v)), store.Index(at))
	for len(v) > 0 {
		distance, n := binary.Uvarint(v)
		if n <= 0 || distance == 0 || at+distance < at {
			return nil, fmt.Errorf("%w: list chunk %x", store.ErrCorrupt, k)
		}
		at += distance
		chunk = append(chunk, store.Index(at))
		v = v[n:]
	}
	return chunk, nil
}

// A list walks through one list in the order of a query and within its bounds.
type list struct {
	cursor *bbolt.Cursor
	name   []byte
	query  store.Query   // From, To and Order count
	chunk  []store.Index // rest of the current chunk
}

// openList returns a list that is placed on its first index, or nil where it
// has none.
func openList(bucket *bbolt.Bucket, name []byte, q store.Query) (*list, error) {
	l := &list{cursor: bucket.Cursor(), name: name, query: q}
	var k, v []byte
	if q.Order == store.NewestFirst {
		k, v = lastBelow(l.cursor, name, uint64(q.To))
	} else if k, v = lastBelow(l.cursor, name, uint64(q.From)+1); k == nil {
		k, v = l.cursor.Seek(name)
	}
	return l.load(k, v)
}

// head returns the index that the list is placed on.
func (l *list) head() store.Index {
	if l.query.Order == store.NewestFirst {
		return l.chunk[len(l.chunk)-1]
	}
	return l.chunk[0]
}

// next moves on by one index. It returns nil at the end.
func (l *list) next() (*list, error) {
	newest := l.query.Order == store.NewestFirst
	if newest {
		l.chunk = l.chunk[:len(l.chunk)-1]
	} else {
		l.chunk = l.chunk[1:]
	}
	switch {
	case len(l.chunk) > 0:
		return l, nil
	case newest:
		return l.load(l.cursor.Prev())
	default:
		return l.load(l.cursor.Next())
	}
}

// load takes up the chunk under the cursor, without what lies out of bounds. A
// chunk that lies out of bounds as a whole is the end in one direction; in the
// other it can only be the first one, and the next one is taken.
func (l *list) load(k, v []byte) (*list, error) {
	for bytes.HasPrefix(k, l.name) {
		chunk, err := decodeChunk(l.name, k, v)
		if err != nil {
			return nil, err
		}
		if chunk[0] >= l.query.To || (l.query.Order == store.NewestFirst && chunk[len(chunk)-1] < l.query.From) {
			return nil, nil
		}
		for len(chunk) > 0 && chunk[0] < l.query.From {
			chunk = chunk[1:]
		}
		for len(chunk) > 0 && chunk[len(chunk)-1] >= l.query.To {
			chunk = chunk[:len(chunk)-1]
		}
		if len(chunk) > 0 {
			l.chunk = chunk
			return l, nil
		}
		if l.query.Order == store.NewestFirst {
			k, v = l.cursor.Prev()
		} else {
			k, v = l.cursor.Next()
		}
	}
	return nil, nil
}
