package bolt_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.etcd.io/bbolt"

	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/bolt"
	"github.com/vaultpam/vaultpam/store/storetest"
)

// A wreckage is a ledger and its journal as a process left them that died after
// the last of some writes, none of which is in the bbolt file. The folder has
// both.
type wreckage struct {
	path            string
	ledger, journal []byte
	history         *storetest.History
	heads           []store.Head // before the first write, and after each
}

// firstWrite is where the first of them begins in the journal. Those before it are
// in the bbolt file too.
const firstWrite = (1 + 2) * bolt.PageSize

func wreck(t *testing.T, writes int) *wreckage {
	t.Helper()
	dir, h := t.TempDir(), storetest.NewHistory(t)
	b := open(t, dir).(*bolt.Backend)
	appendSome(t, b, h, 2)
	if err := b.SaveSnapshot(t.Context(), store.Snapshot{Version: 1, Size: h.Head().Size}); err != nil {
		t.Fatal(err)
	}
	w := &wreckage{path: filepath.Join(t.TempDir(), "ledger.db"), history: h, heads: []store.Head{h.Head()}}
	thaw := b.Freeze()
	for i := range writes {
		var err error
		if batch := h.Batch(t, 1); i != 1 {
			err = b.Append(t.Context(), batch)
			h.Appended(t, batch)
		} else { // one that no entry behind it would miss
			err = b.WriteSide(t.Context(), []store.SideWrite{{Table: store.SideAttempts, Key: []byte("k"), Value: []byte("v")}})
		}
		if err != nil {
			t.Fatal(err)
		}
		w.heads = append(w.heads, h.Head())
	}
	path := filepath.Join(dir, "ledger.db")
	w.ledger, w.journal = read(t, path), read(t, bolt.JournalPath(path))
	thaw()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.path, w.ledger, 0o600); err != nil {
		t.Fatal(err)
	}
	w.lay(t, w.journal)
	return w
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// lay puts a journal beside the ledger, or none.
func (w *wreckage) lay(t *testing.T, journal []byte) {
	t.Helper()
	path := bolt.JournalPath(w.path)
	err := os.Remove(path)
	if journal != nil {
		err = os.WriteFile(path, journal, 0o600)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

// patch overwrites one page of the journal.
func (w *wreckage) patch(t *testing.T, at int, page []byte) {
	t.Helper()
	f, err := os.OpenFile(bolt.JournalPath(w.path), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(page, int64(at))
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// size opens the ledger and returns how many entries it has. That changes no
// file.
func (w *wreckage) size(t *testing.T) (uint64, error) {
	t.Helper()
	b, err := bolt.Open(w.path)
	if err != nil {
		return 0, err
	}
	head, err := b.Head(t.Context())
	return head.Size, errors.Join(err, b.Close())
}

// TestR1JournalIsTheLedger: what was acknowledged and is not in the bbolt file is
// there for every reader. Reading changes no byte; writing brings it into the
// file, and closing makes one file of it.
func TestR1JournalIsTheLedger(t *testing.T) {
	w := wreck(t, 5)
	b, err := bolt.Open(w.path)
	if err != nil {
		t.Fatal(err)
	}
	if b.Backlog() == 0 {
		t.Fatal("nothing is left to commit")
	}
	head, err := b.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w.history.Head(), head); diff != "" {
		t.Errorf("head (-want +got):\n%s", diff)
	}
	if err := errors.Join(storetest.Check(t.Context(), b, w.history.Origin, w.history.LogKey), b.Close()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read(t, w.path), w.ledger) || !bytes.Equal(read(t, bolt.JournalPath(w.path)), w.journal) {
		t.Error("reading changed a file")
	}
	reopenAndCheck(t, open(t, filepath.Dir(w.path)), filepath.Dir(w.path), w.history)
	wantFiles(t, filepath.Dir(w.path), "ledger.db")
	db, err := bbolt.Open(w.path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.View(func(tx *bbolt.Tx) error {
		meta := tx.Bucket([]byte("meta"))
		if format := string(meta.Get([]byte("format"))); format != "vaultpam ledger 1" || meta.Get([]byte("journal")) != nil {
			t.Errorf("format %q, journal %x", format, meta.Get([]byte("journal")))
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestR3JournalCutAnywhere ends the write of the last batch before and behind
// each of its bytes: what was acknowledged before is there, the batch is there
// whole or not at all, and the ledger goes on.
func TestR3JournalCutAnywhere(t *testing.T) {
	w := wreck(t, 3)
	from := firstWrite + 2*bolt.PageSize
	written := w.journal[from : from+bolt.PageSize]
	whole, cuts := len(bytes.TrimRight(written, "\x00")), 0
	for n := range whole + 2 {
		for with, lost := range map[byte][2]int{0: {n, len(written)}, 0xa5: {0, n}} { // its end is lost, or its beginning
			if with != 0 && n%campaign(16, 1) != 0 {
				continue
			}
			page, want := bytes.Clone(written), w.heads[2].Size
			for i := lost[0]; i < lost[1]; i++ {
				page[i] = with
			}
			if bytes.Equal(page, written) {
				want = w.heads[3].Size
			}
			cuts++
			w.patch(t, from, page)
			if got, err := w.size(t); err != nil || got != want {
				t.Fatalf("bytes %v of %d lost: %d entries, error %v, want %d", lost, whole, got, err, want)
			}
		}
	}
	t.Logf("%d cuts of a write of %d bytes", cuts, whole)
	w.patch(t, from, written[:whole/2])
	w.patch(t, from+whole/2, make([]byte, bolt.PageSize-whole/2))
	b := open(t, filepath.Dir(w.path))
	if err := w.history.Follow(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	reopenAndCheck(t, b, filepath.Dir(w.path), w.history)
}

// TestR3CommitCutAnywhere has a commit of what the journal holds die before its
// last page is written: any of its other pages may have got to the disk, or what
// a torn write leaves. The journal still holds everything.
func TestR3CommitCutAnywhere(t *testing.T) {
	w := wreck(t, 3)
	b, err := bolt.Open(w.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.SaveSnapshot(t.Context(), store.Snapshot{Version: 2, Size: w.heads[3].Size}); err != nil {
		t.Fatal(err)
	}
	committed := read(t, w.path)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	var changed []int
	meta := -1
	for at := 0; at < len(w.ledger); at += bolt.PageSize {
		switch page := committed[at : at+bolt.PageSize]; {
		case bytes.Equal(page, w.ledger[at:at+bolt.PageSize]):
		case at < 2*bolt.PageSize:
			meta = at // the last to be written
		default:
			changed = append(changed, at)
		}
	}
	if len(changed) < 4 || meta < 0 {
		t.Fatalf("the commit changed pages %v, and the first at %d", changed, meta)
	}
	garbage := bytes.Repeat([]byte{0xa5}, bolt.PageSize)
	for round := range 1 << min(len(changed), 5) {
		ledger := bytes.Clone(w.ledger)
		for i, at := range changed {
			switch {
			case round>>(i%8)&1 == 0:
			case (round+i)%3 == 0:
				copy(ledger[at:], garbage)
			default:
				copy(ledger[at:], committed[at:at+bolt.PageSize])
			}
		}
		if round%4 == 3 { // it was being written
			copy(ledger[meta+20:], garbage[:bolt.PageSize-20])
		}
		if err := os.WriteFile(w.path, ledger, 0o600); err != nil {
			t.Fatal(err)
		}
		w.lay(t, w.journal)
		if size, err := w.size(t); err != nil || size != w.heads[3].Size {
			t.Fatalf("round %d: %d entries, error %v, want %d", round, size, err, w.heads[3].Size)
		}
	}
	dir := filepath.Dir(w.path)
	reopenAndCheck(t, open(t, dir), dir, w.history)
}

// TestS40DamagedJournal flips bits and more of writes that others followed: they
// were acknowledged, and the ledger does not open without them. What it no longer
// needs may be damaged.
func TestS40DamagedJournal(t *testing.T) {
	w, bits := wreck(t, 4), 0
	for n := range 3 { // of four
		from := firstWrite + n*bolt.PageSize
		written := w.journal[from : from+bolt.PageSize]
		for at := 0; at < len(bytes.TrimRight(written, "\x00")); at += campaign(7, 1) {
			bits++
			page := bytes.Clone(written)
			page[at] ^= 1 << (at % 8)
			w.patch(t, from, page)
			if _, err := w.size(t); !errors.Is(err, store.ErrCorrupt) {
				t.Fatalf("a bit of byte %d of write %d: error %v, want ErrCorrupt", at, n, err)
			}
		}
		w.patch(t, from, written)
	}
	t.Logf("%d bits", bits)
	page := func(b []byte, n int) []byte { return b[firstWrite+n*bolt.PageSize:][:bolt.PageSize] }
	for name, change := range map[string]func([]byte) []byte{
		"a write gone":           func(b []byte) []byte { clear(page(b, 1)); return b },
		"a write in another's":   func(b []byte) []byte { copy(page(b, 1), page(b, 2)); return b },
		"a write twice":          func(b []byte) []byte { copy(b[len(b)-bolt.PageSize:], page(b, 2)); return b },
		"another magic":          func(b []byte) []byte { b[0]++; return b },
		"another ID":             func(b []byte) []byte { b[25]++; return b },
		"another ledger's":       func([]byte) []byte { return wreck(t, 4).journal },
		"cut short":              func(b []byte) []byte { return b[:len(b)-1] },
		"longer":                 func(b []byte) []byte { return append(b, 0) },
		"empty":                  func([]byte) []byte { return []byte{} },
		"missing":                func([]byte) []byte { return nil },
		"its zeros, not its own": func(b []byte) []byte { return make([]byte, len(b)) },
	} {
		w.lay(t, change(bytes.Clone(w.journal)))
		for range 2 { // the second time it must not be held
			if _, err := w.size(t); !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("%s: error %v, want ErrCorrupt", name, err)
			}
		}
	}
	for name, change := range map[string]func([]byte){
		"writes that are committed": func(b []byte) { clear(b[bolt.PageSize:firstWrite]) },
		"behind the last write":     func(b []byte) { b[len(b)-1] = 1; page(b, 4)[0] = 1 },
	} {
		journal := bytes.Clone(w.journal)
		change(journal)
		w.lay(t, journal)
		if size, err := w.size(t); err != nil || size != w.heads[4].Size {
			t.Errorf("%s: %d entries, error %v, want %d", name, size, err, w.heads[4].Size)
		}
	}
}

// TestJournalOfNobody: a journal that the ledger does not name is not its own.
func TestJournalOfNobody(t *testing.T) {
	w := wreck(t, 2)
	dir, h := t.TempDir(), storetest.NewHistory(t)
	if err := open(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bolt.JournalPath(filepath.Join(dir, "ledger.db")), w.journal, 0o600); err != nil {
		t.Fatal(err)
	}
	reopenAndCheck(t, open(t, dir), dir, h)
	wantFiles(t, dir, "ledger.db")
}

// TestJournalTurns fills the journal many times over, with batches of every size,
// those that it has no place for included, and reads meanwhile.
func TestJournalTurns(t *testing.T) {
	dir, h := t.TempDir(), storetest.NewHistory(t)
	b := open(t, dir)
	key, written := []byte("k"), 0
	for round := range 400 {
		n := 1 + round%7
		if round%100 == 99 {
			n = 2 * bolt.SegmentSize / 300
		}
		batch := h.Batch(t, n)
		batch.Side = []store.SideWrite{{Table: store.SideSecrets, Key: key, Value: fmt.Append(nil, round)}}
		if err := b.Append(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		h.Appended(t, batch)
		written += (len(bolt.EncodeBatch(batch))/bolt.PageSize + 1) * bolt.PageSize
		if round%10 == 0 {
			if v, err := b.Side(t.Context(), store.SideSecrets, key); err != nil || string(v) != fmt.Sprint(round) {
				t.Fatalf("round %d: side table has %q, error %v", round, v, err)
			}
		}
		if err := b.WriteSide(t.Context(), []store.SideWrite{{Table: store.SideAttempts, Key: key, Value: make([]byte, 200*round)}}); err != nil {
			t.Fatal(err)
		}
		written += 200 * round
	}
	if written < 10*bolt.JournalSize {
		t.Errorf("only %d bytes were written", written)
	}
	reopenAndCheck(t, b, dir, h)
}

// FuzzJournalPayload: bytes are no batch, or one that is the same after it was
// written again.
func FuzzJournalPayload(f *testing.F) {
	f.Add([]byte{})
	f.Add(bolt.EncodeBatch(store.Batch{Side: []store.SideWrite{{Table: 1, Key: []byte("k")}, {Table: 2, Value: []byte{}}}}))
	f.Add(bolt.EncodeBatch(store.Batch{
		Expect: store.Head{Size: 300}, Checkpoint: []byte("signed"), Hashes: make([]store.Hash, 2),
		Records: []store.Record{{Data: []byte("data"), Type: "grant.added", User: store.UserID{1}, Target: 7}},
	}))
	f.Fuzz(func(t *testing.T, data []byte) {
		batch, err := bolt.DecodeBatch(data)
		if err != nil {
			if !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("error %v, want ErrCorrupt", err)
			}
			return
		}
		again, err := bolt.DecodeBatch(bolt.EncodeBatch(batch))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(batch, again, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("written again (-first +second):\n%s", diff)
		}
		for i, w := range batch.Side {
			if (w.Value == nil) != (again.Side[i].Value == nil) {
				t.Errorf("value %d was deleted: %v, is: %v", i, w.Value == nil, again.Side[i].Value == nil)
			}
		}
	})
}
