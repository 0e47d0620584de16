package store

import "crypto/ed25519"

// A FaultKind says which part of a ledger contradicts the others.
type FaultKind int

const (
	// FaultEntries: an entry is missing, is not what was appended, or is no entry.
	FaultEntries FaultKind = iota + 1
	// FaultTree: the stored hashes are not those of the entries.
	FaultTree
	// FaultCheckpoint: the checkpoint is not the log key's, or says something else
	// than the entries.
	FaultCheckpoint
	// FaultIndex: the lists that questions are answered from are not those of the
	// entries, which may be whole all the same.
	FaultIndex
)

// A Fault is one thing that is wrong with a ledger.
type Fault struct { //nolint:errname // it is found, and only sometimes returned
	Kind FaultKind
	What string
}

func (f Fault) Error() string { return f.What }

// A Verification says what a ledger is held to.
type Verification struct {
	Origin string
	LogKey ed25519.PublicKey
	// Each is called with every entry that decodes, in the order of the ledger.
	// It may be nil.
	Each func(*Entry)
}
