package store_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/vaultpam/vaultpam/store"
)

const proofSizes = 130

// roots returns the root of every tree from 0 to proofSizes entries, and the
// stored hashes of the last.
func roots(t testing.TB) ([]store.Hash, stored) {
	t.Helper()
	all := make([]store.Hash, proofSizes+1)
	for n := range all {
		all[n], _ = fromScratch(t, n)
	}
	_, hashes := buildTree(t, proofSizes)
	return all, hashes
}

// TestInclusion proves every entry in every tree, and checks that the proof is
// good for nothing else.
func TestInclusion(t *testing.T) {
	root, hashes := roots(t)
	for size := 1; size <= proofSizes; size++ {
		for i := range size {
			p, err := store.ProveInclusion(uint64(size), store.Index(i), hashes)
			if err != nil {
				t.Fatal(err)
			}
			if err := store.CheckInclusion(p, uint64(size), root[size], store.Index(i), leaf(i)); err != nil {
				t.Fatal(err)
			}
			refused := map[string]error{
				"other data": store.CheckInclusion(p, uint64(size), root[size], store.Index(i), leaf(i+1)),
				"other root": store.CheckInclusion(p, uint64(size), root[size-1], store.Index(i), leaf(i)),
				"beyond":     store.CheckInclusion(p, uint64(size), root[size], store.Index(size), leaf(i)),
				"longer":     store.CheckInclusion(append(slices.Clone(p), store.Hash{}), uint64(size), root[size], store.Index(i), leaf(i)),
			}
			if size > 1 {
				refused["other index"] = store.CheckInclusion(p, uint64(size), root[size], store.Index((i+1)%size), leaf(i))
				refused["shorter"] = store.CheckInclusion(p[:len(p)-1], uint64(size), root[size], store.Index(i), leaf(i))
			}
			for name, err := range refused {
				if !errors.Is(err, store.ErrProof) {
					t.Fatalf("entry %d of %d, %s: error %v, want ErrProof", i, size, name, err)
				}
			}
		}
	}
}

func TestConsistency(t *testing.T) {
	root, hashes := roots(t)
	for size := 1; size <= proofSizes; size++ {
		for old := 1; old <= size; old++ {
			p, err := store.ProveConsistency(uint64(old), uint64(size), hashes)
			if err != nil {
				t.Fatal(err)
			}
			if err := store.CheckConsistency(p, uint64(old), root[old], uint64(size), root[size]); err != nil {
				t.Fatal(err)
			}
			refused := map[string]error{
				"old root": store.CheckConsistency(p, uint64(old), root[old-1], uint64(size), root[size]),
				"new root": store.CheckConsistency(p, uint64(old), root[old], uint64(size), root[size-1]),
				"longer":   store.CheckConsistency(append(slices.Clone(p), store.Hash{}), uint64(old), root[old], uint64(size), root[size]),
			}
			if old < size {
				refused["shorter"] = store.CheckConsistency(p[:len(p)-1], uint64(old), root[old], uint64(size), root[size])
			}
			for name, err := range refused {
				if !errors.Is(err, store.ErrProof) {
					t.Fatalf("%d from %d, %s: error %v, want ErrProof", size, old, name, err)
				}
			}
		}
	}
}

func TestProofsOutOfRange(t *testing.T) {
	_, hashes := buildTree(t, 5)
	const huge = 1 << 63
	if p, err := store.ProveInclusion(5, 5, hashes); err == nil {
		t.Errorf("entry 5 of 5: proof %x", p)
	}
	if p, err := store.ProveInclusion(huge+5, huge, hashes); err == nil {
		t.Errorf("entry beyond all ledgers: proof %x", p)
	}
	for _, sizes := range [][2]uint64{{0, 5}, {6, 5}, {5, 6}, {huge, huge + 1}} {
		if p, err := store.ProveConsistency(sizes[0], sizes[1], hashes); err == nil {
			t.Errorf("%d from %d: proof %x", sizes[1], sizes[0], p)
		}
		if err := store.CheckConsistency(nil, sizes[0], store.Hash{}, sizes[1], store.Hash{}); !errors.Is(err, store.ErrProof) {
			t.Errorf("%d from %d: error %v, want ErrProof", sizes[1], sizes[0], err)
		}
	}
	if err := store.CheckInclusion(nil, huge+1, store.Hash{}, huge, nil); !errors.Is(err, store.ErrProof) {
		t.Errorf("entry beyond all ledgers: error %v, want ErrProof", err)
	}
}

// change flips bits in one hash of a proof, or swaps, drops and adds hashes.
func change(p store.Proof, how, at, flip byte) store.Proof {
	p = slices.Clone(p)
	if len(p) == 0 {
		return append(p, store.Hash{flip})
	}
	i := int(at) % len(p)
	switch how % 4 {
	case 0:
		p[i][int(flip)%32] ^= flip | 1
	case 1:
		return slices.Delete(p, i, i+1)
	case 2:
		return slices.Insert(p, i, store.Hash{flip})
	case 3:
		p[i], p[(i+1)%len(p)] = p[(i+1)%len(p)], p[i]
	}
	return p
}

// FuzzInclusion: no change to a proof, an index, an entry, a size or a root
// verifies.
func FuzzInclusion(f *testing.F) {
	root, hashes := roots(f)
	for how := range byte(8) {
		f.Add(byte(100), byte(77), byte(100), byte(77), []byte(nil), how, byte(3), byte(5))
		f.Add(byte(129), byte(128), byte(129), byte(128), []byte("x"), how, byte(0), byte(0))
		f.Add(byte(1), byte(0), byte(2), byte(1), []byte(nil), how, byte(0), byte(9))
	}
	f.Fuzz(func(t *testing.T, size, index, otherSize, otherIndex byte, otherData []byte, how, at, flip byte) {
		size = 1 + size%proofSizes
		index %= size
		p, err := store.ProveInclusion(uint64(size), store.Index(index), hashes)
		if err != nil {
			t.Fatal(err)
		}
		data := leaf(int(index))
		if changed := change(p, how, at, flip); !slices.Equal(changed, p) {
			if store.CheckInclusion(changed, uint64(size), root[size], store.Index(index), data) == nil {
				t.Fatal("a changed proof verifies")
			}
		}
		if !bytes.Equal(otherData, data) && store.CheckInclusion(p, uint64(size), root[size], store.Index(index), otherData) == nil {
			t.Fatal("other data verify")
		}
		if otherIndex != index && store.CheckInclusion(p, uint64(size), root[size], store.Index(otherIndex), data) == nil {
			t.Fatal("another index verifies")
		}
		otherSize %= proofSizes + 1
		if otherSize != size && store.CheckInclusion(p, uint64(size), root[otherSize], store.Index(index), data) == nil {
			t.Fatal("another root verifies")
		}
	})
}

func FuzzConsistency(f *testing.F) {
	root, hashes := roots(f)
	for how := range byte(8) {
		f.Add(byte(100), byte(77), byte(78), how, byte(3), byte(5))
		f.Add(byte(128), byte(64), byte(0), how, byte(0), byte(0))
		f.Add(byte(6), byte(6), byte(5), how, byte(1), byte(9))
	}
	f.Fuzz(func(t *testing.T, size, old, other, how, at, flip byte) {
		size = 1 + size%proofSizes
		old = 1 + old%size
		other %= proofSizes + 1
		p, err := store.ProveConsistency(uint64(old), uint64(size), hashes)
		if err != nil {
			t.Fatal(err)
		}
		if changed := change(p, how, at, flip); !slices.Equal(changed, p) {
			if store.CheckConsistency(changed, uint64(old), root[old], uint64(size), root[size]) == nil {
				t.Fatal("a changed proof verifies")
			}
		}
		if other != old && store.CheckConsistency(p, uint64(old), root[other], uint64(size), root[size]) == nil {
			t.Fatal("another old root verifies")
		}
		if other != size && store.CheckConsistency(p, uint64(old), root[old], uint64(size), root[other]) == nil {
			t.Fatal("another root verifies")
		}
	})
}
