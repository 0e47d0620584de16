package store_test

import (
	"fmt"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/store"
)

// stored are the hashes that a back end would keep, as a reader.
type stored []store.Hash

func (s stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x < 0 || x >= int64(len(s)) {
			return nil, fmt.Errorf("stored hash %d: %w", x, store.ErrNotFound)
		}
		hashes[i] = tlog.Hash(s[x])
	}
	return hashes, nil
}

func leaf(i int) []byte { return fmt.Appendf(nil, "entry %d", i) }

func leaves(from, to int) [][]byte {
	var all [][]byte
	for i := from; i < to; i++ {
		all = append(all, leaf(i))
	}
	return all
}

// buildTree returns the tree over so many leaves and its stored hashes.
func buildTree(t testing.TB, size int) (*store.Tree, stored) {
	t.Helper()
	empty, err := store.OpenTree(0, stored(nil))
	if err != nil {
		t.Fatal(err)
	}
	tree, hashes, err := empty.Append(leaves(0, size))
	if err != nil {
		t.Fatal(err)
	}
	return tree, hashes
}

// fromScratch computes root and stored hashes without the package.
func fromScratch(t testing.TB, size int) (store.Hash, stored) {
	t.Helper()
	var all stored
	for i := range size {
		hashes, err := tlog.StoredHashes(int64(i), leaf(i), all)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range hashes {
			all = append(all, store.Hash(h))
		}
	}
	root, err := tlog.TreeHash(int64(size), all)
	if err != nil {
		t.Fatal(err)
	}
	return store.Hash(root), all
}

func TestTreeAppendInAnyBatches(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tree, _ := buildTree(t, 0)
		var all stored
		for range rapid.IntRange(1, 12).Draw(rt, "batches") {
			from := int(tree.Size())
			to := from + rapid.IntRange(0, 40).Draw(rt, "batch")
			before := tree.Root()
			next, hashes, err := tree.Append(leaves(from, to))
			if err != nil {
				rt.Fatal(err)
			}
			if tree.Root() != before || int(tree.Size()) != from {
				rt.Fatal("Append changed the tree before it")
			}
			tree, all = next, append(all, hashes...)
			root, want := fromScratch(t, to)
			if tree.Root() != root || int(tree.Size()) != to || !slices.Equal(all, want) {
				rt.Fatalf("the tree of %d entries is not the one from scratch", to)
			}
		}
	})
}

// TestOpenTree opens the tree at every size and goes on from there.
func TestOpenTree(t *testing.T) {
	const size = 130
	whole, all := buildTree(t, size)
	for n := range size + 1 {
		count := store.StoredHashCount(uint64(n))
		tree, err := store.OpenTree(uint64(n), all[:count])
		if err != nil {
			t.Fatalf("opening at %d: %v", n, err)
		}
		root, _ := fromScratch(t, n)
		if tree.Root() != root || tree.Size() != uint64(n) {
			t.Fatalf("opened at %d: size %d, another root", n, tree.Size())
		}
		rest, hashes, err := tree.Append(leaves(n, size))
		if err != nil {
			t.Fatalf("going on from %d: %v", n, err)
		}
		if rest.Root() != whole.Root() || !slices.Equal(hashes, all[count:]) {
			t.Fatalf("going on from %d ends in another tree", n)
		}
		if n > 0 {
			if _, err := store.OpenTree(uint64(n), all[:count-1]); err == nil {
				t.Fatalf("opened at %d without its last hash", n)
			}
		}
	}
}

// TestTreeKnownRoots are the test vectors of RFC 6962 implementations: the
// empty tree and the tree of one empty leaf.
func TestTreeKnownRoots(t *testing.T) {
	empty, _ := buildTree(t, 0)
	if got, want := fmt.Sprintf("%x", empty.Root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"; got != want {
		t.Errorf("root of nothing %s, want %s", got, want)
	}
	one, _, err := empty.Append([][]byte{{}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprintf("%x", one.Root()), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"; got != want {
		t.Errorf("root of one empty leaf %s, want %s", got, want)
	}
}
