package bolt

import (
	"encoding/binary"
	"fmt"

	"github.com/vaultpam/vaultpam/store"
)

const (
	bucketMeta     = "meta"
	bucketEntries  = "entries"
	bucketHashes   = "hashes"
	bucketTypes    = "types"
	bucketLists    = "lists"
	bucketSide     = "side"
	bucketSnapshot = "snapshot"
	// bucketKept is made when it is needed: ledgers are older than it.
	bucketKept = "kept"

	keyFormat  = "format"
	keyHead    = "head"
	keyJournal = "journal"

	// formatVersion is what this program reads and writes, and nothing else.
	formatVersion = "vaultpam ledger 1"
	// formatJournal is the same with a journal that belongs to it.
	formatJournal = "vaultpam ledger 1, journal 1"

	// pageSize is fixed so that a file can be moved between machines.
	pageSize = 4096
	// hashesPerChunk makes four chunks fill a page: a page has 16 bytes of
	// header, a key and its place 24.
	hashesPerChunk = 31
	// maxChunk bounds the bytes that finding a place in a list decodes.
	maxChunk = 256
	// snapshotPiece is small enough for the gaps that freed pages leave.
	snapshotPiece = 64 << 10
)

func buckets() []string {
	return []string{bucketMeta, bucketEntries, bucketHashes, bucketTypes, bucketLists, bucketSide, bucketSnapshot}
}

func key64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// A typeCode stands for an event type in the names of lists.
type typeCode uint16

// listName returns the name of the list of entries with this type and, unless
// they are zero, this user and this target. The lists of one user lie side by
// side, because an append often adds to several of them.
func listName(user store.UserID, target store.Index, code typeCode) []byte {
	name := append(make([]byte, 0, len(user)+8+2), user[:]...)
	name = binary.BigEndian.AppendUint64(name, uint64(target))
	return binary.BigEndian.AppendUint16(name, uint16(code))
}

func encodeHead(h store.Head) []byte { return append(key64(h.Size), h.Checkpoint...) }

func decodeHead(v []byte) (store.Head, error) {
	if v == nil {
		return store.Head{}, nil
	}
	if len(v) <= 8 {
		return store.Head{}, fmt.Errorf("%w: head of %d bytes", store.ErrCorrupt, len(v))
	}
	return store.Head{Size: binary.BigEndian.Uint64(v), Checkpoint: append([]byte(nil), v[8:]...)}, nil
}
