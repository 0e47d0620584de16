package access

import (
	"bytes"
	"cmp"
	"iter"

	"github.com/benbjohnson/immutable"
)

// A table is an immutable map in the order of its keys: set and delete return
// another table and share what did not change. The zero table is empty and
// usable once it has been given an order by its constructor.
type table[K, V any] struct {
	m *immutable.SortedMap[K, V]
}

// filled returns a table of pairs. It is filled in place, since nobody has seen it
// yet: setting ten thousand keys one by one copies a path of the tree for each.
func filled[K, V any](compare func(a, b K) int, pairs iter.Seq2[K, V]) table[K, V] {
	b := immutable.NewSortedMapBuilder[K, V](order[K](compare))
	for k, v := range pairs {
		b.Set(k, v)
	}
	return table[K, V]{b.Map()}
}

// order compares keys.
type order[K any] func(a, b K) int

func (o order[K]) Compare(a, b K) int { return o(a, b) }

func newTable[K, V any](compare func(a, b K) int) table[K, V] {
	return table[K, V]{immutable.NewSortedMap[K, V](order[K](compare))}
}

// ordered is a table whose keys compare as numbers or strings do.
func ordered[K cmp.Ordered, V any]() table[K, V] { return newTable[K, V](cmp.Compare[K]) }

// byID is a table whose keys are random IDs.
func byID[K ~[16]byte, V any]() table[K, V] {
	return newTable[K, V](func(a, b K) int { return bytes.Compare(a[:], b[:]) })
}

// byHash is a table whose keys are hashes.
func byHash[K ~[32]byte, V any]() table[K, V] {
	return newTable[K, V](func(a, b K) int { return bytes.Compare(a[:], b[:]) })
}

func (t table[K, V]) get(k K) (V, bool)        { return t.m.Get(k) }
func (t table[K, V]) set(k K, v V) table[K, V] { return table[K, V]{t.m.Set(k, v)} }
func (t table[K, V]) drop(k K) table[K, V]     { return table[K, V]{t.m.Delete(k)} }

// all yields the pairs in the order of the keys.
func (t table[K, V]) all() iter.Seq2[K, V] { return t.walk(t.m.Iterator()) }

// from yields the pairs from the first key that is not before k.
func (t table[K, V]) from(k K) iter.Seq2[K, V] {
	it := t.m.Iterator()
	it.Seek(k)
	return t.walk(it)
}

func (t table[K, V]) walk(it *immutable.SortedMapIterator[K, V]) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for !it.Done() {
			k, v, ok := it.Next()
			if !ok || !yield(k, v) {
				return
			}
		}
	}
}
