package storetest_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/bolt"
	"github.com/vaultpam/vaultpam/store/storetest"
)

func ledger(t *testing.T) (store.Backend, *storetest.History) {
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
	for range 4 {
		batch := h.Batch(t, 30)
		if err := b.Append(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		h.Appended(t, batch)
	}
	return b, h
}

// A tampered back end answers otherwise than the one in it.
type tampered struct {
	store.Backend
	records func([][]byte)
	hashes  func([]store.Hash)
	head    func(*store.Head)
	find    func(store.Query, []store.Index) []store.Index
}

func (b *tampered) Head(ctx context.Context) (store.Head, error) {
	head, err := b.Backend.Head(ctx)
	if err == nil && b.head != nil {
		b.head(&head)
	}
	return head, err
}

func (b *tampered) Records(ctx context.Context, from store.Index, limit int) ([][]byte, error) {
	records, err := b.Backend.Records(ctx, from, limit)
	if len(records) > 1 && b.records != nil {
		b.records(records)
	}
	return records, err
}

func (b *tampered) ReadHashes(ctx context.Context, indexes []int64) ([]store.Hash, error) {
	hashes, err := b.Backend.ReadHashes(ctx, indexes)
	if err == nil && b.hashes != nil {
		b.hashes(hashes)
	}
	return hashes, err
}

func (b *tampered) Find(ctx context.Context, q store.Query) ([]store.Index, error) {
	found, err := b.Backend.Find(ctx, q)
	if err == nil && b.find != nil {
		found = b.find(q, found)
	}
	return found, err
}

// TestS30CheckFinds every kind of ledger that is not whole.
func TestS30CheckFinds(t *testing.T) {
	b, h := ledger(t)
	if err := storetest.Check(t.Context(), &tampered{Backend: b}, h.Origin, h.LogKey); err != nil {
		t.Fatalf("a whole ledger: %v", err)
	}
	for name, bad := range map[string]*tampered{
		"one bit":        {records: func(r [][]byte) { r[70][len(r[70])-1] ^= 1 }},
		"two swapped":    {records: func(r [][]byte) { r[3], r[4] = r[4], r[3] }},
		"one twice":      {records: func(r [][]byte) { r[5] = r[4] }},
		"hash":           {hashes: func(h []store.Hash) { h[len(h)-1][0] ^= 1 }},
		"last cut off":   {head: func(h *store.Head) { h.Size-- }},
		"one more":       {head: func(h *store.Head) { h.Size++ }},
		"checkpoint":     {head: func(h *store.Head) { h.Checkpoint[2] ^= 1 }},
		"no checkpoint":  {head: func(h *store.Head) { h.Checkpoint = nil }},
		"find too few":   {find: func(_ store.Query, f []store.Index) []store.Index { return f[:len(f)-1] }},
		"find too many":  {find: func(_ store.Query, f []store.Index) []store.Index { return append(f, 1<<40) }},
		"find misplaced": {find: backwards},
	} {
		bad.Backend = b
		if err := storetest.Check(t.Context(), bad, h.Origin, h.LogKey); err == nil {
			t.Errorf("%s: found nothing", name)
		}
	}
	other := storetest.NewHistory(t)
	if err := storetest.Check(t.Context(), b, h.Origin, other.LogKey); err == nil {
		t.Error("another log key: found nothing")
	}
}

// backwards swaps the first two answers of a query for the newest.
func backwards(q store.Query, found []store.Index) []store.Index {
	if q.Order == store.NewestFirst && len(found) > 1 {
		found[0], found[1] = found[1], found[0]
	}
	return found
}

// TestFaulty fails each call in turn and sees that only that one fails, and
// whether it was done.
func TestFaulty(t *testing.T) {
	fault := errors.New("fault")
	calls := []func(context.Context, store.Backend, *storetest.History) error{
		func(ctx context.Context, b store.Backend, _ *storetest.History) error {
			_, err := b.Head(ctx)
			return err
		},
		func(ctx context.Context, b store.Backend, h *storetest.History) error { return h.Follow(ctx, b) }, // 2 and 3
		func(ctx context.Context, b store.Backend, h *storetest.History) error {
			return b.Append(ctx, h.Batch(t, 2))
		},
		func(ctx context.Context, b store.Backend, _ *storetest.History) error {
			for _, err := range b.SideAll(ctx, store.SideOpenings, nil) {
				return err
			}
			return nil
		},
	}
	const total = 5
	for at := range total + 1 {
		for _, wrap := range []func(store.Backend, int, error) *storetest.FaultyBackend{storetest.Faulty, storetest.FaultyAfter} {
			b, h := ledger(t)
			f := wrap(b, at, fault)
			failed := 0
			for _, call := range calls {
				if err := call(t.Context(), f, h); errors.Is(err, fault) {
					failed++
				} else if err != nil {
					t.Fatal(err)
				}
			}
			if failed != min(at, 1) {
				t.Errorf("fault at %d: %d calls failed", at, failed)
			}
			if at != 2 && f.Calls() != total {
				t.Errorf("fault at %d: %d calls, want %d", at, f.Calls(), total)
			}
		}
	}
}

// TestFaultyAppend: Faulty leaves an append undone, FaultyAfter does it.
func TestFaultyAppend(t *testing.T) {
	b, h := ledger(t)
	batch := h.Batch(t, 1)
	if err := storetest.Faulty(b, 1, store.ErrUncertain).Append(t.Context(), batch); !errors.Is(err, store.ErrUncertain) {
		t.Fatalf("error %v, want ErrUncertain", err)
	}
	if head, err := b.Head(t.Context()); err != nil || head.Size != h.Head().Size {
		t.Fatalf("%d entries, error %v: Faulty appended", head.Size, err)
	}
	if err := storetest.FaultyAfter(b, 1, store.ErrUncertain).Append(t.Context(), batch); !errors.Is(err, store.ErrUncertain) {
		t.Fatalf("error %v, want ErrUncertain", err)
	}
	if head, err := b.Head(t.Context()); err != nil || head.Size != h.Head().Size+1 {
		t.Fatalf("%d entries, error %v: FaultyAfter did not append", head.Size, err)
	}
}
