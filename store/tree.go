package store

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// A Tree is the Merkle tree (RFC 6962, section 2.1) over the stored bytes of
// the first Size entries. It keeps no more than the right edge, so that
// appending reads nothing back.
type Tree struct {
	size int64
	edge map[int64]tlog.Hash // stored hashes that later roots are made from, by stored index
	root tlog.Hash
}

// A HashReader returns the stored hashes at the given stored indexes, in the
// order of golang.org/x/mod/sumdb/tlog.StoredHashIndex.
type HashReader = tlog.HashReader

// OpenTree returns the tree of the first size entries, reading its right edge.
func OpenTree(size uint64, r HashReader) (*Tree, error) {
	t := &Tree{size: int64(size), edge: map[int64]tlog.Hash{}}
	recording := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes, err := r.ReadHashes(indexes)
		if err != nil {
			return nil, err
		}
		for i, x := range indexes {
			t.edge[x] = hashes[i]
		}
		return hashes, nil
	})
	root, err := tlog.TreeHash(t.size, recording)
	if err != nil {
		return nil, fmt.Errorf("reading the tree's right edge: %w", err)
	}
	t.root = root
	return t, nil
}

// Size returns the number of entries in the tree.
func (t *Tree) Size() uint64 { return uint64(t.size) }

// Root returns the root hash.
func (t *Tree) Root() Hash { return Hash(t.root) }

// Append returns the tree with the leaves added, and the new stored hashes in
// the order in which a back end keeps them. t itself stays as it was, so that a
// failed append costs nothing.
func (t *Tree) Append(leaves [][]byte) (*Tree, []Hash, error) {
	next := &Tree{size: t.size, edge: make(map[int64]tlog.Hash, len(t.edge)+2*len(leaves))}
	for i, h := range t.edge {
		next.edge[i] = h
	}
	var added []Hash
	for _, leaf := range leaves {
		hashes, err := tlog.StoredHashes(next.size, leaf, next)
		if err != nil {
			return nil, nil, fmt.Errorf("hashing entry %d: %w", next.size, err)
		}
		first := tlog.StoredHashIndex(0, next.size)
		for i, h := range hashes {
			next.edge[first+int64(i)] = h
			added = append(added, Hash(h))
		}
		next.size++
	}
	root, err := tlog.TreeHash(next.size, next)
	if err != nil {
		return nil, nil, fmt.Errorf("hashing the root of %d entries: %w", next.size, err)
	}
	next.root = root
	next.trim()
	return next, added, nil
}

// ReadHashes makes the edge a HashReader.
func (t *Tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		h, ok := t.edge[x]
		if !ok {
			return nil, fmt.Errorf("stored hash %d is not on the right edge", x)
		}
		hashes[i] = h
	}
	return hashes, nil
}

// trim forgets what no later append reads: all but the roots of the complete
// subtrees whose sizes are the binary digits of the tree's size.
func (t *Tree) trim() {
	keep := make(map[int64]tlog.Hash)
	var start int64
	for level := 62; level >= 0; level-- {
		if t.size&(1<<level) == 0 {
			continue
		}
		i := tlog.StoredHashIndex(level, start>>level)
		keep[i] = t.edge[i]
		start += 1 << level
	}
	t.edge = keep
}

// StoredHashCount returns how many hashes a back end keeps for size entries.
func StoredHashCount(size uint64) uint64 {
	return uint64(tlog.StoredHashCount(int64(size)))
}
