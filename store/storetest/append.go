package storetest

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/store"
)

func testEmpty(t *testing.T, open Open) {
	b, h := begin(t, open)
	head, err := b.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(store.Head{}, head); diff != "" {
		t.Errorf("head of a new ledger (-want +got):\n%s", diff)
	}
	if _, err := b.Snapshot(t.Context()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("snapshot of a new ledger: error %v, want ErrNotFound", err)
	}
	if _, err := b.KeptSnapshot(t.Context(), 0); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a snapshot of the past: error %v, want ErrNotFound", err)
	}
	if kept, err := b.KeptSnapshots(t.Context()); err != nil || len(kept) != 0 {
		t.Errorf("%d snapshots of the past, error %v", len(kept), err)
	}
	for _, q := range []store.Query{{}, {Type: store.TypeUserAdded}, {User: store.UserID{1}, Order: store.NewestFirst}} {
		if found, err := b.Find(t.Context(), q); err != nil || len(found) != 0 {
			t.Errorf("query %+v finds %v, error %v", q, found, err)
		}
	}
	check(t, b, h)
}

func testAppendReadBack(t *testing.T, open Open) {
	b, h := begin(t, open)
	var want [][]byte
	for _, n := range []int{1, 1, 2, 7, 1, 40, 3} {
		batch := h.Batch(t, n)
		if err := b.Append(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		h.Appended(t, batch)
		for _, r := range batch.Records {
			want = append(want, r.Data)
		}
		head, err := b.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(h.Head(), head); diff != "" {
			t.Fatalf("head (-want +got):\n%s", diff)
		}
		got, err := b.Records(t.Context(), 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("entries (-want +got):\n%s", diff)
		}
		check(t, b, h)
	}
}

func testRanges(t *testing.T, open Open) {
	b, h := begin(t, open)
	grow(t, b, h, 5, 20)
	size := int(h.Head().Size)
	for from := range size + 2 {
		for _, limit := range []int{0, 1, 2, size - 1, size, size + 1} {
			got, err := b.Records(t.Context(), store.Index(from), limit)
			if err != nil {
				t.Fatal(err)
			}
			if want := max(0, min(limit, size-from)); len(got) != want {
				t.Fatalf("Records(%d, %d) of %d: %d entries, want %d", from, limit, size, len(got), want)
			}
			if len(got) == 0 {
				continue
			}
			if e, err := store.DecodeEntry(got[0]); err != nil || e.Index != store.Index(from) {
				t.Fatalf("Records(%d, %d) begins with %+v, error %v", from, limit, e, err)
			}
		}
	}
	for _, bad := range []int64{-1, int64(store.StoredHashCount(uint64(size))), 1 << 60} {
		if _, err := b.ReadHashes(t.Context(), []int64{0, bad}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("ReadHashes(%d): error %v, want ErrNotFound", bad, err)
		}
	}
}

func testConflict(t *testing.T, open Open) {
	b, h := begin(t, open)
	stale := h.Batch(t, 2)
	grow(t, b, h, 2, 5)
	good := h.Batch(t, 3)
	good.Side = []store.SideWrite{{Table: store.SideOpenings, Key: []byte("k"), Value: []byte("v")}}

	otherSize, otherCheckpoint, noCheckpoint := good, good, good
	otherSize.Expect.Size--
	otherSize.Hashes = make([]store.Hash, store.StoredHashCount(otherSize.Expect.Size+3)-store.StoredHashCount(otherSize.Expect.Size))
	otherCheckpoint.Expect.Checkpoint = append([]byte("x"), good.Expect.Checkpoint...)
	noCheckpoint.Expect.Checkpoint = nil
	for name, batch := range map[string]store.Batch{
		"stale": stale, "size": otherSize, "checkpoint": otherCheckpoint, "no checkpoint": noCheckpoint,
	} {
		if err := b.Append(t.Context(), batch); !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: error %v, want ErrConflict", name, err)
		}
		unchanged(t, b, h)
	}
	if err := b.Append(t.Context(), good); err != nil {
		t.Fatalf("append after conflicts: %v", err)
	}
	h.Appended(t, good)
	if err := b.Append(t.Context(), good); !errors.Is(err, store.ErrConflict) {
		t.Errorf("the same batch again: error %v, want ErrConflict", err)
	}
	check(t, b, h)
}

// testMalformedBatch sees that a batch that could not be read back is refused.
func testMalformedBatch(t *testing.T, open Open) {
	b, h := begin(t, open)
	grow(t, b, h, 2, 5)
	for name, spoil := range map[string]func(*store.Batch){
		"no records":     func(b *store.Batch) { b.Records, b.Hashes = nil, nil },
		"no checkpoint":  func(b *store.Batch) { b.Checkpoint = nil },
		"few hashes":     func(b *store.Batch) { b.Hashes = b.Hashes[1:] },
		"many hashes":    func(b *store.Batch) { b.Hashes = append(b.Hashes, store.Hash{}) },
		"empty record":   func(b *store.Batch) { b.Records[1].Data = nil },
		"no type":        func(b *store.Batch) { b.Records[1].Type = "" },
		"no side table":  func(b *store.Batch) { b.Side[1].Table = 0 },
		"huge beginning": func(b *store.Batch) { b.Expect.Size = 1 << 63 },
	} {
		batch := h.Batch(t, 3)
		batch.Side = []store.SideWrite{
			{Table: store.SideOpenings, Key: []byte("k"), Value: []byte("v")},
			{Table: store.SideSecrets, Key: []byte("k"), Value: []byte("v")},
		}
		spoil(&batch)
		if err := b.Append(t.Context(), batch); err == nil {
			t.Errorf("%s: appended", name)
		}
		unchanged(t, b, h)
	}
}

// unchanged stops the test where a refused batch left something behind.
func unchanged(t *testing.T, b store.Backend, h *History) {
	t.Helper()
	head, err := b.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(h.Head(), head); diff != "" {
		t.Fatalf("head after a refused batch (-want +got):\n%s", diff)
	}
	if v, err := b.Side(t.Context(), store.SideOpenings, []byte("k")); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("a refused batch wrote the side table: %q, error %v", v, err)
	}
	check(t, b, h)
}
