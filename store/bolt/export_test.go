package bolt

import "github.com/vaultpam/vaultpam/store"

// The places in a journal, for tests that damage it.
const (
	PageSize    = pageSize
	SegmentSize = segmentSize
	JournalSize = journalSize
)

// JournalPath is where the journal of a ledger lies.
func JournalPath(ledger string) string { return journalPath(ledger) }

// Backlog returns how many bytes of the journal are not committed.
func (b *Backend) Backlog() int { return b.backlog() }

// Freeze keeps what is acknowledged out of the bbolt file, and readers from
// reading, until it is called off.
func (b *Backend) Freeze() (thaw func()) {
	b.applying.Lock()
	return b.applying.Unlock
}

// EncodeBatch and DecodeBatch are a batch as the journal has it.
func EncodeBatch(batch store.Batch) []byte { return encodeBatch(batch) }

func DecodeBatch(b []byte) (store.Batch, error) { return decodeBatch(b) }
