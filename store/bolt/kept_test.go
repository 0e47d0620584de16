package bolt_test

import (
	"encoding/binary"
	"errors"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/vaultpam/vaultpam/store"
)

// TestS40DamagedKept takes kept snapshots apart behind the back end's back. None
// is read as another one, the whole ones stay, and each can be kept anew.
func TestS40DamagedKept(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	data := make([]byte, 200_000)
	keep := func(sizes ...uint64) {
		t.Helper()
		for _, size := range sizes {
			if err := b.KeepSnapshot(t.Context(), store.Snapshot{Version: 1, Size: size, Data: data}); err != nil {
				t.Fatal(err)
			}
		}
	}
	keep(10, 20, 30, 40, 50)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	key := func(size, n uint64) []byte {
		return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, size), n)
	}
	db, err := bbolt.Open(filepath.Join(dir, "ledger.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		kept := tx.Bucket([]byte("kept"))
		return errors.Join(
			kept.Delete(key(10, 2)),                       // a piece
			kept.Delete(key(20, 0)),                       // the head
			kept.Put(key(30, 0), []byte("short")),         // of the head
			kept.Put(key(40, 0), kept.Get(key(50, 0))),    // the head of another
			kept.Put([]byte("of another form"), []byte{}), // behind them all
		)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	b = open(t, dir)
	defer b.Close()
	for size, want := range map[uint64]error{10: store.ErrCorrupt, 20: store.ErrNotFound, 30: store.ErrCorrupt, 40: store.ErrCorrupt, 50: nil} {
		if s, err := b.KeptSnapshot(t.Context(), size); !errors.Is(err, want) {
			t.Errorf("at %d: %d bytes, error %v, want %v", size, len(s.Data), err, want)
		}
	}
	wantSizes(t, b, 10, 50)
	keep(10, 20, 30, 40)
	wantSizes(t, b, 10, 20, 30, 40, 50)
	for size := uint64(10); size <= 50; size += 10 {
		if s, err := b.KeptSnapshot(t.Context(), size); err != nil || len(s.Data) != len(data) {
			t.Errorf("kept anew at %d: %d bytes, error %v", size, len(s.Data), err)
		}
	}
}

func wantSizes(t *testing.T, b store.Backend, want ...uint64) {
	t.Helper()
	kept, err := b.KeptSnapshots(t.Context())
	if err != nil || len(kept) != len(want) {
		t.Fatalf("%d snapshots are listed, want %v: %v", len(kept), want, err)
	}
	for i, s := range kept {
		if s.Size != want[i] {
			t.Errorf("snapshot %d of the list is of %d entries, want %d", i, s.Size, want[i])
		}
	}
}
