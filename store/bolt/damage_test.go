package bolt_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/bolt"
	"github.com/vaultpam/vaultpam/store/storetest"
)

func TestHeld(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	if _, err := bolt.Open(filepath.Join(dir, "ledger.db")); !errors.Is(err, store.ErrHeld) {
		t.Errorf("second opener: error %v, want ErrHeld", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, dir).Close(); err != nil {
		t.Fatalf("after the first let go: %v", err)
	}
}

func TestOpenMakesNothing(t *testing.T) {
	dir := t.TempDir()
	if _, err := bolt.Open(filepath.Join(dir, "ledger.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want ErrNotExist", err)
	}
	wantFiles(t, dir)
}

func TestCreateReplacesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger.db")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bolt.Create(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("error %v, want ErrExist", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "mine" {
		t.Errorf("the file now holds %q, error %v", got, err)
	}
	wantFiles(t, dir, "ledger.db")
}

func TestCreateLeavesOneFile(t *testing.T) {
	dir := t.TempDir()
	if err := open(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, dir, "ledger.db")
}

func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(want) || len(want) > 0 && entries[0].Name() != want[0] {
		t.Errorf("the folder holds %v, want %v", entries, want)
	}
}

// TestS40Damage opens files that are no ledger, or half of one. None may open
// as an empty ledger, end the process or keep the file held.
func TestS40Damage(t *testing.T) {
	whole, h := ledgerBytes(t)
	for name, data := range map[string][]byte{
		"empty":              {},
		"one byte":           {1},
		"text":               bytes.Repeat([]byte("not a ledger\n"), 1000),
		"zeros":              make([]byte, len(whole)),
		"first page alone":   whole[:4096],
		"two pages":          whole[:2*4096],
		"half":               whole[:len(whole)/2/4096*4096],
		"both metas changed": append(bytes.Repeat([]byte{7}, 2*4096), whole[2*4096:]...),
	} {
		path := filepath.Join(t.TempDir(), "ledger.db")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time it must not be held
			b, err := bolt.Open(path)
			if err == nil {
				t.Errorf("%s: opened", name)
				err = errors.Join(store.ErrCorrupt, b.Close())
			}
			if !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("%s: error %v, want ErrCorrupt", name, err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: opening changed the file, error %v", name, err)
		}
	}
	path := filepath.Join(t.TempDir(), "ledger.db")
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := bolt.Open(path)
	if err != nil {
		t.Fatalf("the undamaged file: %v", err)
	}
	if err := errors.Join(storetest.Check(t.Context(), b, h.Origin, h.LogKey), b.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestS30DamagedPages overwrites one page after the other. A reader gets an
// error, or the whole ledger where the page was not in use; nobody dies of it.
func TestS30DamagedPages(t *testing.T) {
	whole, h := ledgerBytes(t)
	found := 0
	for at := 0; at < len(whole); at += 4096 {
		for _, with := range []byte{0, 0xff} {
			data := bytes.Clone(whole)
			copy(data[at:at+4096], bytes.Repeat([]byte{with}, 4096))
			path := filepath.Join(t.TempDir(), "ledger.db")
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			b, err := bolt.Open(path)
			if err != nil {
				found++
				continue
			}
			head, err := b.Head(t.Context())
			if err != nil || storetest.Check(t.Context(), b, h.Origin, h.LogKey) != nil || head.Size != h.Head().Size {
				found++
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Of the file's pages some are free, and one of the two metas is spare.
	if pages := len(whole) / 4096; found < pages {
		t.Errorf("of %d damages only %d were found", 2*pages, found)
	}
}

// ledgerBytes returns a file with some hundred entries, without its unused end.
func ledgerBytes(t *testing.T) ([]byte, *storetest.History) {
	t.Helper()
	dir, h := t.TempDir(), storetest.NewHistory(t)
	b := open(t, dir)
	for range 10 {
		batch := h.Batch(t, 40)
		if err := b.Append(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		h.Appended(t, batch)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(filepath.Join(dir, "ledger.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.View(func(tx *bbolt.Tx) error {
		data = data[:tx.Size()]
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return data, h
}

func TestS40UnknownFormat(t *testing.T) {
	for name, change := range map[string]func(*bbolt.Tx) error{
		"later format": func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte("vaultpam ledger 2"))
		},
		"no format":      func(tx *bbolt.Tx) error { return tx.Bucket([]byte("meta")).Delete([]byte("format")) },
		"missing bucket": func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("lists")) },
	} {
		dir := t.TempDir()
		if err := open(t, dir).Close(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "ledger.db")
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Update(change), db.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := bolt.Open(path); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: error %v, want ErrCorrupt", name, err)
		}
	}
}
