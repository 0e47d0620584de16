package bolt

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/vaultpam/vaultpam/store"
)

const (
	// journalMagic begins a journal, with its ID behind it.
	journalMagic = "vaultpam journal 1\n"
	// segmentSize is how much of the journal is filled before the other half is.
	segmentSize = 512 << 10
	// journalSize never changes, so that a write in the file needs no room.
	journalSize = pageSize + 2*segmentSize
	// recordHead is checksum, sequence number and length.
	recordHead = sha256.Size + 8 + 4
	// maxPayload is the longest that a journal takes.
	maxPayload = segmentSize - recordHead
)

// journalPath is where the journal of a ledger lies.
func journalPath(ledger string) string { return ledger + ".journal" }

// A journalID ties a journal to its ledger: a checksum that another journal has
// is none here.
type journalID [16]byte

// A record is one write to the ledger as the journal has it.
type record struct {
	sequence uint64
	payload  []byte
}

// size is what the record takes of the journal: whole pages, so that a write
// that is torn takes nothing with it that was acknowledged.
func (r record) size() int { return (recordHead + len(r.payload) + pageSize - 1) / pageSize * pageSize }

func (r record) encode(id journalID) []byte {
	b := make([]byte, sha256.Size, r.size())
	b = binary.BigEndian.AppendUint64(b, r.sequence)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.payload)))
	b = append(b, r.payload...)
	sum := checksum(id, b[sha256.Size:])
	copy(b, sum[:])
	return b[:r.size()]
}

// decodeRecord reads the record that b begins with, if there is one.
func decodeRecord(id journalID, b []byte) (record, bool) {
	if len(b) < recordHead {
		return record{}, false
	}
	length := binary.BigEndian.Uint32(b[recordHead-4:])
	if uint64(length) > uint64(len(b)-recordHead) {
		return record{}, false
	}
	end := recordHead + int(length)
	sum := checksum(id, b[sha256.Size:end])
	if !bytes.Equal(sum[:], b[:sha256.Size]) {
		return record{}, false
	}
	return record{sequence: binary.BigEndian.Uint64(b[sha256.Size:]), payload: b[recordHead:end]}, true
}

func checksum(id journalID, b []byte) store.Hash {
	h := sha256.New()
	h.Write(id[:])
	h.Write(b)
	return store.Hash(h.Sum(nil))
}

// A journal is a file that records are appended to in two halves, in turns. One
// goroutine at a time writes to it.
type journal struct {
	f    *os.File
	id   journalID
	half int       // that is being filled
	used int       // bytes of it
	last [2]uint64 // sequence number of the last record in each half
}

// createJournal makes the journal, in place of one that no ledger knows. It gets
// its name when it is complete and on disk.
func createJournal(path string, id journalID) (*journal, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, journalSize)
	copy(zeros, journalHeader(id))
	_, err = f.Write(zeros)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(f.Name()))
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if f, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
		return nil, err
	}
	return &journal{f: f, id: id}, nil
}

func journalHeader(id journalID) []byte { return append([]byte(journalMagic), id[:]...) }

// openJournal opens a journal and returns its records behind the one with the
// sequence number applied. They are on the disk then, all of them.
//
// A record that the process or the power did not live to finish is the last, and
// was not acknowledged: it is left out. Where a whole record follows what can't be
// read, that was acknowledged and is damaged: store.ErrCorrupt.
func openJournal(path string, id journalID, applied uint64) (*journal, []record, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%w: its journal %s is missing, and with it what was written last", store.ErrCorrupt, path)
	} else if err != nil {
		return nil, nil, err
	}
	records, err := readJournal(f, id, applied)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("reading the journal %s: %w", path, err), f.Close())
	}
	j := &journal{f: f, id: id, used: segmentSize} // full until all of it is applied
	for _, r := range records {
		j.last = [2]uint64{r.sequence, r.sequence}
	}
	return j, records, nil
}

func readJournal(f *os.File, id journalID, applied uint64) ([]record, error) {
	// What another process wrote and did not sync would count here and could be
	// gone tomorrow; what the kernel holds although a sync failed is not there.
	if err := datasync(f); err != nil {
		return nil, err
	}
	dropCache(f)
	data := make([]byte, journalSize+1)
	n, err := io.ReadFull(f, data)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	if n != journalSize || !bytes.HasPrefix(data, journalHeader(id)) {
		return nil, fmt.Errorf("%w: it is not this ledger's", store.ErrCorrupt)
	}
	var records []record
	for half := range 2 {
		from := pageSize + half*segmentSize
		records = append(records, scan(data[from:from+segmentSize], id, applied)...)
	}
	slices.SortFunc(records, func(a, b record) int { return cmp.Compare(a.sequence, b.sequence) })
	for i, r := range records {
		if want := applied + 1 + uint64(i); r.sequence != want {
			return nil, fmt.Errorf("%w: where write %d should be is write %d", store.ErrCorrupt, want, r.sequence)
		}
	}
	return records, nil
}

// scan returns the records in a half that are behind applied. What lies between
// them was applied, was never finished, or is damaged.
func scan(b []byte, id journalID, applied uint64) []record {
	var found []record
	for len(b) > 0 {
		size := pageSize
		if r, ok := decodeRecord(id, b); ok {
			size = min(r.size(), len(b))
			if r.sequence > applied {
				found = append(found, r)
			}
		}
		b = b[size:]
	}
	return found
}

// room reports whether a record fits, and turns to the other half where it does
// there: all records of that must have been applied.
func (j *journal) room(r record, applied uint64) bool {
	if j.used+r.size() <= segmentSize {
		return true
	}
	if other := 1 - j.half; j.last[other] <= applied {
		j.half, j.used = other, 0
		return true
	}
	return false
}

// write makes a record that there is room for durable.
func (j *journal) write(r record) error {
	at := pageSize + j.half*segmentSize + j.used
	if _, err := j.f.WriteAt(r.encode(j.id), int64(at)); err != nil {
		return err
	}
	if err := datasync(j.f); err != nil {
		return err
	}
	j.used += r.size()
	j.last[j.half] = r.sequence
	return nil
}
