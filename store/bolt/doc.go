// Package bolt keeps a ledger, its side table and its snapshots in one bbolt
// file, and beside it what was written last in a journal.
//
// A batch is durable when Append returns nil, and visible as a whole or not at
// all, also after a power cut. A full disk refuses new batches with
// store.ErrFull, keeps what is there and goes on when there is room. After any
// other failed write the Backend answers every call with an error, mostly
// store.ErrUncertain, until the file is opened anew. One process holds the file
// at a time.
//
// The package does not understand what it keeps: it checks no hash, no
// signature and no entry. Values deleted from the side table stay readable in
// free pages of the file, and in the journal, until later writes reuse those
// pages.
//
// # Writing
//
// A batch is acknowledged when it is in the journal: one write and one sync. What
// the journal holds is brought into the bbolt file later, many batches in one
// transaction, when a quarter of a half of the journal is full or nothing was
// written for a tenth of a second. Until then it is in an open transaction that
// readers of this process read from. The journal is written over only where the
// bbolt file has, durably, what it held. The next process finds the rest in it.
// Who only reads changes neither file.
//
// A snapshot, and a batch that is longer than half a journal, goes into the bbolt
// file directly, behind everything in the journal.
//
// # Layout
//
// The ledger has the journal while it is written to, and after a process that
// died; the last to close it brings everything into the bbolt file and removes
// the journal. Where meta names a journal and it is not there, or does not go on
// where the bbolt file ends, the ledger is damaged.
//
// Integers are big-endian, so that the order of keys is the order of numbers.
// Pages have 4096 bytes whatever the machine. The file has these buckets:
//
//   - meta: "format" is the text of formatVersion, or of formatJournal where there
//     is a journal; "head" is the size (8 bytes) and the signed checkpoint, and is
//     missing in an empty ledger; "journal" is the ID of the journal (16 bytes) and
//     the number of the last write (8 bytes) that is in the bbolt file, and is
//     missing where there is no journal.
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
//   - kept: snapshots of the past, each under its size (8 bytes) and a number
//     (8 bytes): 0 is what "head" is in the bucket before, the pieces of the data
//     follow from 1 on. A ledger for which none was ever kept has no such bucket.
//
// The journal has the name of the bbolt file with ".journal" behind it, and
// always journalSize bytes: a page with journalMagic and the journal's ID, which
// is random, and two halves of segmentSize bytes that are filled in turns. Writes
// are numbered, from 1 on. One begins at a page, takes whole pages, and is
//
//   - the SHA-256 (32 bytes) of the journal's ID and of what follows here,
//   - its number (8 bytes) and the length of the payload (4 bytes),
//   - the payload, and zeros up to the end of its last page.
//
// The payload is a batch: the ledger's size before it, the records, the hashes,
// the checkpoint and the writes to the side table. Numbers and lengths are
// unsigned varints; a list begins with its length, and so does a text. A record is
// data, type, user (16 bytes) and target; a write to the side table is the table
// (1 byte), the key, and 0, or 1 and the value. A batch of side writes alone has
// no record, hash or checkpoint.
//
// Of all writes with a right checksum those count whose number is greater than
// the one in meta. They must follow it without a gap. One that was not finished
// has no right checksum and can only be the last, because the next one is written
// after it is synced; so a gap is damage. A last write that was damaged after it
// was acknowledged can't be told from one that was not finished, nor can bbolt's
// own last page: whoever saw the checkpoint notices.
package bolt
