package store

import (
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// A Tree is the Merkle tree (RFC 6962, section 2.1) over the stored bytes of
// the first Size entries. It keeps no more than the right edge, so that
// appending reads nothing back.
type Tree struct {
	size int64
	// edge holds the roots of the complete subtrees whose sizes are the binary
	// digits of size, the largest first.
	edge []tlog.Hash
	root tlog.Hash
}

// A HashReader returns the stored hashes at the given stored indexes, in the
// order of golang.org/x/mod/sumdb/tlog.StoredHashIndex.
type HashReader = tlog.HashReader

// OpenTree returns the tree of the first size entries, reading its right edge. The
// empty tree needs no reader.
func OpenTree(size uint64, r HashReader) (*Tree, error) {
	t := &Tree{size: int64(size)}
	var indexes []int64
	var start int64
	for level := 62; level >= 0; level-- {
		if t.size&(1<<level) != 0 {
			indexes = append(indexes, tlog.StoredHashIndex(level, start>>level))
			start += 1 << level
		}
	}
	var err error
	if len(indexes) > 0 {
		if t.edge, err = r.ReadHashes(indexes); err == nil && len(t.edge) != len(indexes) {
			err = fmt.Errorf("%d hashes for %d indexes", len(t.edge), len(indexes))
		}
	}
	if err == nil {
		err = t.crown()
	}
	if err != nil {
		return nil, fmt.Errorf("reading the tree's right edge: %w", err)
	}
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
	next := &Tree{size: t.size, edge: slices.Clone(t.edge)}
	added := make([]Hash, 0, 2*len(leaves))
	for _, leaf := range leaves {
		h := tlog.RecordHash(leaf)
		added = append(added, Hash(h))
		// Each complete subtree of the same size to the left becomes one with h:
		// as many as size has ones at its end.
		for n := next.size; n&1 == 1; n >>= 1 {
			last := len(next.edge) - 1
			h = tlog.NodeHash(next.edge[last], h)
			next.edge = next.edge[:last]
			added = append(added, Hash(h))
		}
		next.edge = append(next.edge, h)
		next.size++
	}
	if err := next.crown(); err != nil {
		return nil, nil, fmt.Errorf("hashing the root of %d entries: %w", next.size, err)
	}
	return next, added, nil
}

// crown computes the root: the edge, folded from its right end.
func (t *Tree) crown() error {
	if t.size == 0 {
		var err error
		t.root, err = tlog.TreeHash(0, nil)
		return err
	}
	t.root = t.edge[len(t.edge)-1]
	for _, h := range slices.Backward(t.edge[:len(t.edge)-1]) {
		t.root = tlog.NodeHash(h, t.root)
	}
	return nil
}

// StoredHashCount returns how many hashes a back end keeps for size entries.
func StoredHashCount(size uint64) uint64 {
	return uint64(tlog.StoredHashCount(int64(size)))
}
