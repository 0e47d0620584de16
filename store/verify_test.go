package store_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/bolt"
	"github.com/vaultpam/vaultpam/store/storetest"
)

// kept is a ledger of so many entries in a back end.
func kept(t *testing.T, batches, each int) (store.Backend, *storetest.History) {
	t.Helper()
	b, err := bolt.Create(filepath.Join(t.TempDir(), "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	h := storetest.NewHistory(t)
	for range batches {
		batch := h.Batch(t, each)
		if err := b.Append(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		h.Appended(t, batch)
	}
	return b, h
}

// A liar answers otherwise than the back end in it.
type liar struct {
	store.Backend
	head    func(*store.Head)
	records func(store.Index, [][]byte) ([][]byte, error)
	hashes  func([]int64, []store.Hash) ([]store.Hash, error)
	find    func(store.Query, []store.Index) ([]store.Index, error)
}

func (l *liar) Head(ctx context.Context) (store.Head, error) {
	h, err := l.Backend.Head(ctx)
	if err == nil && l.head != nil {
		l.head(&h)
	}
	return h, err
}

func (l *liar) Records(ctx context.Context, from store.Index, limit int) ([][]byte, error) {
	r, err := l.Backend.Records(ctx, from, limit)
	if err == nil && l.records != nil {
		return l.records(from, r)
	}
	return r, err
}

func (l *liar) ReadHashes(ctx context.Context, indexes []int64) ([]store.Hash, error) {
	h, err := l.Backend.ReadHashes(ctx, indexes)
	if err == nil && l.hashes != nil {
		return l.hashes(indexes, h)
	}
	return h, err
}

func (l *liar) Find(ctx context.Context, q store.Query) ([]store.Index, error) {
	f, err := l.Backend.Find(ctx, q)
	if err == nil && l.find != nil {
		return l.find(q, f)
	}
	return f, err
}

func TestS30VerifySaysWhichPartIsWrong(t *testing.T) {
	// More entries than are compared with their lists at a time, and than are read.
	b, h := kept(t, 9, 4001)
	corrupt := func() error { return errors.Join(errors.New("a page is gone"), store.ErrCorrupt) }
	type kinds = map[store.FaultKind]bool
	for name, c := range map[string]struct {
		lie  *liar
		want kinds
		says string
	}{
		"nothing": {&liar{}, kinds{}, ""},
		"entry that is none": {&liar{records: func(from store.Index, r [][]byte) ([][]byte, error) {
			if from == 4096 {
				r[4] = []byte{0xff}
			}
			return r, nil
		}}, kinds{store.FaultEntries: true, store.FaultTree: true, store.FaultCheckpoint: true}, "entry 4100: malformed"},
		"entry missing at the end": {&liar{head: func(h *store.Head) { h.Size++ }}, kinds{store.FaultEntries: true}, "entry 36009 is missing"},
		"entries unreadable": {&liar{records: func(from store.Index, r [][]byte) ([][]byte, error) {
			if from > 8000 {
				return nil, corrupt()
			}
			return r, nil
		}}, kinds{store.FaultEntries: true}, "a page is gone"},
		"entry hidden": {&liar{head: func(h *store.Head) { h.Size-- }}, kinds{store.FaultEntries: true, store.FaultTree: true, store.FaultCheckpoint: true, store.FaultIndex: true}, "an entry behind the last"},
		"checkpoint":   {&liar{head: func(h *store.Head) { h.Checkpoint[3] ^= 1 }}, kinds{store.FaultCheckpoint: true}, "not signed by the log key"},
		"hash": {&liar{hashes: func(_ []int64, h []store.Hash) ([]store.Hash, error) {
			h[0][0] ^= 1
			return h, nil
		}}, kinds{store.FaultTree: true}, "the tree's hash of entry 0"},
		"hashes unreadable": {&liar{hashes: func(i []int64, h []store.Hash) ([]store.Hash, error) {
			if len(i) > 1 {
				return nil, corrupt()
			}
			return h, nil
		}}, kinds{store.FaultTree: true}, "hashes of entries 0 to 4095"},
		"list too short in the second window": {&liar{find: func(q store.Query, f []store.Index) ([]store.Index, error) {
			if q.From >= 32768 && q.Limit == 0 && q.User.IsZero() && q.Target == 0 {
				return f[1:], nil
			}
			return f, nil
		}}, kinds{store.FaultIndex: true}, " between 32768 and 36008"},
		"list that is too long elsewhere": {&liar{find: func(q store.Query, f []store.Index) ([]store.Index, error) {
			if q.From == 0 && q.Limit != 0 { // where it is counted
				return append(f, 1<<30), nil
			}
			return f, nil
		}}, kinds{store.FaultIndex: true}, "finds"},
		"lists unreadable": {&liar{find: func(store.Query, []store.Index) ([]store.Index, error) { return nil, corrupt() }}, kinds{store.FaultIndex: true}, "a page is gone"},
	} {
		c.lie.Backend = b
		faults, err := store.Verify(t.Context(), c.lie, store.Verification{Origin: h.Origin, LogKey: h.LogKey})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got, counts, said := kinds{}, map[store.FaultKind]int{}, ""
		for _, f := range faults {
			got[f.Kind] = true
			counts[f.Kind]++
			said += f.Error() + "\n"
		}
		if len(got) != len(c.want) || !strings.Contains(said, c.says) {
			t.Errorf("%s: %v\n%s", name, got, said)
		}
		for kind := range got {
			if !c.want[kind] || counts[kind] > 20 {
				t.Errorf("%s: %d faults of kind %d:\n%s", name, counts[kind], kind, said)
			}
		}
	}
}

func TestVerifyShowsEveryEntry(t *testing.T) {
	b, h := kept(t, 3, 2000)
	next := store.Index(0)
	faults, err := store.Verify(t.Context(), b, store.Verification{Origin: h.Origin, LogKey: h.LogKey, Each: func(e *store.Entry) {
		if e.Index != next {
			t.Fatalf("entry %d, want %d", e.Index, next)
		}
		next++
	}})
	if err != nil || len(faults) != 0 || next != 6000 {
		t.Errorf("%d entries, %v, %v", next, faults, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.Verify(ctx, b, store.Verification{Origin: h.Origin, LogKey: h.LogKey}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
