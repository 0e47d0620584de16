package store

import (
	"context"
	"errors"
	"iter"
)

// A Backend keeps one ledger, its side table, its latest snapshot and snapshots
// of its past.
//
// Entries are opaque bytes to it: it never decodes them, it indexes them by the
// keys that come with them. Methods may be called concurrently, from several
// processes where the engine allows that; appends are then decided by the
// compare in Append. Bytes that a method returns belong to the caller.
//
// Errors are one of the sentinels below or mean that nothing was changed and
// nothing is known beyond the message.
type Backend interface {
	// Head returns the ledger's size and last signed checkpoint. A new back end
	// has size 0 and no checkpoint.
	Head(ctx context.Context) (Head, error)

	// Append adds a batch behind the head in one transaction: records, hashes,
	// index keys, side table and checkpoint become visible together, and are
	// durable when it returns nil.
	//
	// It returns ErrConflict where the head is not batch.Expect, ErrFull where
	// there was no room; in both cases nothing was changed. It returns
	// ErrUncertain where it can't tell whether the batch is durable: the caller
	// must reopen the back end and look.
	Append(ctx context.Context, batch Batch) error

	// Records returns the stored bytes of up to limit entries from index on, in
	// order; fewer than limit only where the ledger ends.
	Records(ctx context.Context, from Index, limit int) ([][]byte, error)

	// Find returns the indexes of the entries that match, in the query's order.
	Find(ctx context.Context, q Query) ([]Index, error)

	// ReadHashes returns stored hashes by their stored indexes (see HashReader).
	// An index at or beyond StoredHashCount(size) is ErrNotFound.
	ReadHashes(ctx context.Context, indexes []int64) ([]Hash, error)

	// Side returns one value of the side table, or ErrNotFound.
	Side(ctx context.Context, table SideTable, key []byte) ([]byte, error)

	// SideAll yields the keys and values of a side table whose keys begin with
	// prefix, in the order of their keys.
	SideAll(ctx context.Context, table SideTable, prefix []byte) iter.Seq2[SideWrite, error]

	// WriteSide changes the side table alone, durably and all or nothing.
	WriteSide(ctx context.Context, writes []SideWrite) error

	// Snapshot returns the latest snapshot, or ErrNotFound.
	Snapshot(ctx context.Context) (Snapshot, error)

	// SaveSnapshot replaces the latest snapshot, durably.
	SaveSnapshot(ctx context.Context, s Snapshot) error

	// KeepSnapshot adds a snapshot to those of the past, durably, in place of the
	// one of the same size if there is one. The latest snapshot is another thing,
	// whatever its size.
	KeepSnapshot(ctx context.Context, s Snapshot) error

	// KeptSnapshot returns the snapshot of the past of exactly that size, or
	// ErrNotFound.
	KeptSnapshot(ctx context.Context, size uint64) (Snapshot, error)

	// KeptSnapshots returns all snapshots of the past without their data, the
	// smallest first. What is damaged so far that its size can't be told is left
	// out.
	KeptSnapshots(ctx context.Context) ([]Snapshot, error)

	// Close releases what the back end holds. Later calls return ErrClosed.
	Close() error
}

// The sentinel errors of a Backend.
var (
	// ErrConflict: somebody else appended; nothing was changed.
	ErrConflict = errors.New("ledger was appended to by another writer")
	// ErrFull: there is no room; nothing was changed.
	ErrFull = errors.New("no room left")
	// ErrUncertain: it is not known whether the batch is durable.
	ErrUncertain = errors.New("not known whether the append is durable")
	// ErrNotFound: what was asked for is not there.
	ErrNotFound = errors.New("not found")
	// ErrHeld: another process holds the ledger.
	ErrHeld = errors.New("held by another process")
	// ErrCorrupt: what is stored contradicts itself.
	ErrCorrupt = errors.New("store is corrupt")
	// ErrClosed: the back end was closed.
	ErrClosed = errors.New("store is closed")
)

// A Head is where the ledger ends. Two heads are the same if sizes and
// checkpoints are.
type Head struct {
	Size       uint64
	Checkpoint []byte
}

// A Batch is what one Append adds.
type Batch struct {
	Expect     Head
	Records    []Record
	Hashes     []Hash // the new stored hashes, in stored order
	Checkpoint []byte // signed, of the ledger with the batch
	Side       []SideWrite
}

// A Record is an entry's stored bytes and the keys it is found by. User and
// Target are zero where the entry concerns none.
type Record struct {
	Data   []byte
	Type   EventType
	User   UserID
	Target Index
}

// A Query asks for entries by their keys; zero fields don't restrict. From and
// To bound the indexes, To exclusive; To 0 is the end. At most Limit indexes
// are returned (0: all); the newest first if Order is NewestFirst.
type Query struct {
	Type   EventType
	User   UserID
	Target Index
	From   Index
	To     Index
	Limit  int
	Order  Order
}

// An Order is the order of a query's answer.
type Order int

const (
	OldestFirst Order = iota
	NewestFirst
)

// A SideTable is one of the kinds of values beside the ledger: what must be
// erasable, is secret, or is worth nothing tomorrow.
type SideTable byte

const (
	// SideOpenings holds openings of commitments, keyed by owner and commitment.
	SideOpenings SideTable = 1
	// SideSecrets holds what signs a user in, keyed by user and what it is: the
	// sealed secret of their factor under the ID alone, and what package login
	// puts behind it.
	SideSecrets SideTable = 2
	// SideAttempts counts failed sign-ins, keyed by account and source.
	SideAttempts SideTable = 3
	// SideNotices is what package notice keeps: how far it has read, and what it
	// has not sent yet.
	SideNotices SideTable = 4
)

// A SideWrite sets a key of a side table, or deletes it where Value is nil.
type SideWrite struct {
	Table SideTable
	Key   []byte
	Value []byte
}

// A Snapshot is the state after the first Size entries, as the fold with this
// Version encodes it. Root is the ledger's root hash at that size.
type Snapshot struct {
	Version uint64
	Size    uint64
	Root    Hash
	Data    []byte
}
