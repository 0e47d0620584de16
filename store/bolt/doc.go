// Package bolt keeps a ledger, its side table and its snapshot in one bbolt
// file.
//
// A batch is durable when Append returns nil, and visible as a whole or not at
// all, also after a power cut. A full disk refuses new batches with
// store.ErrFull, keeps what is there and goes on when there is room. After any
// other failed write the Backend answers every call with store.ErrUncertain
// until the file is opened anew. One process holds the file at a time.
//
// The package does not understand what it keeps: it checks no hash, no
// signature and no entry. Values deleted from the side table stay readable in
// free pages of the file until later writes reuse those pages.
//
// # Layout
//
// Integers are big-endian, so that the order of keys is the order of numbers.
// Pages have 4096 bytes whatever the machine. The file has these buckets:
//
//   - meta: "format" is the text of formatVersion; "head" is the size (8 bytes)
//     and the signed checkpoint, and is missing in an empty ledger.
//   - entries: index (8 bytes) to the stored bytes of the entry.
//   - hashes: number of the chunk (8 bytes) to its hashes, hashesPerChunk of
//     them in the order of their stored indexes, fewer in the last.
//   - types: name of an event type to its code (2 bytes), given in the order of
//     first use.
//   - lists: the entries' indexes, sorted into one list for each type, each
//     user and type, each target and type, and each user, target and type. A
//     question without a type merges the lists of all types. A list is kept in
//     chunks. The key is the list's name, which is user (16 bytes), target
//     (8 bytes) and code of the type, and the first index (8 bytes); the user or
//     target is zero where the list is of all. The value holds the distances to
//     the following indexes as unsigned varints (encoding/binary), at most
//     maxChunk bytes of them.
//   - side: table (1 byte) and key to value.
//   - snapshot: "head" is version, size, length of the data (8 bytes each) and
//     root hash; the data lie under the number of their piece (8 bytes),
//     snapshotPiece bytes each.
package bolt
