package store

import (
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// A Proof is a list of hashes as RFC 6962, sections 2.1.1 and 2.1.2, orders
// them.
type Proof []Hash

// ErrProof is returned for a proof that does not prove what it is shown for.
var ErrProof = errors.New("proof does not verify")

// ProveInclusion returns the proof that the entry at index is in the tree of
// the first size entries.
func ProveInclusion(size uint64, index Index, r HashReader) (Proof, error) {
	if uint64(index) >= size {
		return nil, fmt.Errorf("proving entry %d in a ledger of %d: out of range", index, size)
	}
	p, err := tlog.ProveRecord(int64(size), int64(index), r)
	if err != nil {
		return nil, fmt.Errorf("proving entry %d in a ledger of %d: %w", index, size, err)
	}
	return proofOf(p), nil
}

// CheckInclusion verifies that data are the stored bytes of the entry at index
// in the tree with this size and root.
func CheckInclusion(p Proof, size uint64, root Hash, index Index, data []byte) error {
	if uint64(index) >= size || size > maxTree {
		return fmt.Errorf("%w: entry %d in a ledger of %d", ErrProof, index, size)
	}
	err := tlog.CheckRecord(tlogProof[tlog.RecordProof](p), int64(size), tlog.Hash(root), int64(index), tlog.RecordHash(data))
	if err != nil {
		return fmt.Errorf("%w: entry %d in a ledger of %d", ErrProof, index, size)
	}
	return nil
}

// ProveConsistency returns the proof that the tree of the first old entries is
// a prefix of the tree of the first size entries.
func ProveConsistency(old, size uint64, r HashReader) (Proof, error) {
	if old == 0 || old > size {
		return nil, fmt.Errorf("proving a ledger of %d from one of %d: out of range", size, old)
	}
	p, err := tlog.ProveTree(int64(size), int64(old), r)
	if err != nil {
		return nil, fmt.Errorf("proving a ledger of %d from one of %d: %w", size, old, err)
	}
	return proofOf(p), nil
}

// CheckConsistency verifies that the ledger of size entries with the given root
// begins with the ledger of old entries and its root.
func CheckConsistency(p Proof, old uint64, oldRoot Hash, size uint64, root Hash) error {
	if old == 0 || old > size || size > maxTree {
		return fmt.Errorf("%w: a ledger of %d from one of %d", ErrProof, size, old)
	}
	err := tlog.CheckTree(tlogProof[tlog.TreeProof](p), int64(size), tlog.Hash(root), int64(old), tlog.Hash(oldRoot))
	if err != nil {
		return fmt.Errorf("%w: a ledger of %d from one of %d", ErrProof, size, old)
	}
	return nil
}

// maxTree bounds sizes from outside so that they fit tlog's integers.
const maxTree = 1 << 60

func proofOf(hashes []tlog.Hash) Proof {
	p := make(Proof, len(hashes))
	for i, h := range hashes {
		p[i] = Hash(h)
	}
	return p
}

func tlogProof[P ~[]tlog.Hash](p Proof) P {
	hashes := make(P, len(p))
	for i, h := range p {
		hashes[i] = tlog.Hash(h)
	}
	return hashes
}
