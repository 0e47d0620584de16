package storetest

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/store"
)

func testReopen(t *testing.T, open Open) {
	place, h := t.TempDir(), NewHistory(t)
	secret := store.SideWrite{Table: store.SideSecrets, Key: []byte("factor"), Value: []byte("sealed")}
	for range 5 {
		b := open(t, place)
		head, err := b.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(h.Head(), head); diff != "" {
			t.Fatalf("head after reopening (-want +got):\n%s", diff)
		}
		if head.Size > 0 {
			if v, err := b.Side(t.Context(), secret.Table, secret.Key); err != nil || !bytes.Equal(v, secret.Value) {
				t.Fatalf("side table after reopening: %q, error %v", v, err)
			}
			if s, err := b.Snapshot(t.Context()); err != nil || s.Size != head.Size {
				t.Fatalf("snapshot after reopening: at %d, error %v, want %d", s.Size, err, head.Size)
			}
			if s, err := b.KeptSnapshot(t.Context(), head.Size); err != nil || string(s.Data) != "of the past" {
				t.Fatalf("kept snapshot after reopening: %q, error %v", s.Data, err)
			}
		}
		check(t, b, h)
		grow(t, b, h, 3, 10)
		if err := b.WriteSide(t.Context(), []store.SideWrite{secret}); err != nil {
			t.Fatal(err)
		}
		if err := b.SaveSnapshot(t.Context(), store.Snapshot{Version: 1, Size: h.Head().Size, Root: h.tree.Root(), Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		past := store.Snapshot{Version: 1, Size: h.Head().Size, Root: h.tree.Root(), Data: []byte("of the past")}
		if err := b.KeepSnapshot(t.Context(), past); err != nil {
			t.Fatal(err)
		}
		check(t, b, h)
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// everyCall returns each method of b as a call that works on an open back end.
func everyCall(t *testing.T, b store.Backend, h *History) map[string]func(context.Context) error {
	side := []store.SideWrite{{Table: store.SideOpenings, Key: []byte("k"), Value: []byte("v")}}
	batch := h.Batch(t, 2)
	batch.Side = side
	return map[string]func(context.Context) error{
		"Head":       func(ctx context.Context) error { _, err := b.Head(ctx); return err },
		"Append":     func(ctx context.Context) error { return b.Append(ctx, batch) },
		"Records":    func(ctx context.Context) error { _, err := b.Records(ctx, 0, 1); return err },
		"Find":       func(ctx context.Context) error { _, err := b.Find(ctx, store.Query{}); return err },
		"ReadHashes": func(ctx context.Context) error { _, err := b.ReadHashes(ctx, []int64{0}); return err },
		"Side":       func(ctx context.Context) error { _, err := b.Side(ctx, store.SideSecrets, []byte("s")); return err },
		"SideAll": func(ctx context.Context) error {
			for _, err := range b.SideAll(ctx, store.SideSecrets, nil) {
				return err
			}
			return nil
		},
		"WriteSide": func(ctx context.Context) error { return b.WriteSide(ctx, side) },
		"Snapshot":  func(ctx context.Context) error { _, err := b.Snapshot(ctx); return err },
		"SaveSnapshot": func(ctx context.Context) error {
			return b.SaveSnapshot(ctx, store.Snapshot{Version: 2, Size: 1})
		},
		"KeepSnapshot": func(ctx context.Context) error {
			return b.KeepSnapshot(ctx, store.Snapshot{Version: 2, Size: 1})
		},
		"KeptSnapshot":  func(ctx context.Context) error { _, err := b.KeptSnapshot(ctx, 1); return err },
		"KeptSnapshots": func(ctx context.Context) error { _, err := b.KeptSnapshots(ctx); return err },
	}
}

// prepare makes every call of everyCall work.
func prepare(t *testing.T, b store.Backend, h *History) {
	t.Helper()
	grow(t, b, h, 1, 5)
	if err := b.WriteSide(t.Context(), []store.SideWrite{{Table: store.SideSecrets, Key: []byte("s"), Value: []byte("v")}}); err != nil {
		t.Fatal(err)
	}
	if err := b.SaveSnapshot(t.Context(), store.Snapshot{Version: 1, Size: h.Head().Size}); err != nil {
		t.Fatal(err)
	}
	if err := b.KeepSnapshot(t.Context(), store.Snapshot{Version: 1, Size: 1}); err != nil {
		t.Fatal(err)
	}
}

func testClosed(t *testing.T, open Open) {
	place, h := t.TempDir(), NewHistory(t)
	b := open(t, place)
	prepare(t, b, h)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for name, call := range everyCall(t, b, h) {
		if err := call(t.Context()); !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s after Close: error %v, want ErrClosed", name, err)
		}
	}
	if err := b.Close(); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Close after Close: error %v, want ErrClosed", err)
	}
	again := open(t, place)
	unchanged(t, again, h)
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

func testCancelled(t *testing.T, open Open) {
	b, h := begin(t, open)
	prepare(t, b, h)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	calls := everyCall(t, b, h)
	for name, call := range calls {
		if err := call(cancelled); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a cancelled context: error %v, want context.Canceled", name, err)
		}
	}
	unchanged(t, b, h)
	for name, call := range calls {
		if err := call(t.Context()); err != nil {
			t.Errorf("%s after that: %v", name, err)
		}
	}
}

// testOwnBytes overwrites what a back end was given and what it returned.
func testOwnBytes(t *testing.T, open Open) {
	b, h := begin(t, open)
	batch := h.Batch(t, 3)
	batch.Side = []store.SideWrite{{Table: store.SideOpenings, Key: []byte("key"), Value: []byte("value")}}
	if err := b.Append(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if err := b.SaveSnapshot(t.Context(), store.Snapshot{Version: 1, Data: []byte("snapshot")}); err != nil {
		t.Fatal(err)
	}
	past := []byte("past")
	if err := b.KeepSnapshot(t.Context(), store.Snapshot{Version: 1, Size: 2, Data: past}); err != nil {
		t.Fatal(err)
	}
	clear(past)
	for range 2 { // the second round reads what the first one overwrote
		records, err := b.Records(t.Context(), 0, 3)
		if err != nil {
			t.Fatal(err)
		}
		head, err := b.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		value, err := b.Side(t.Context(), store.SideOpenings, []byte("key"))
		if err != nil || string(value) != "value" {
			t.Fatalf("side table: %q, error %v", value, err)
		}
		snapshot, err := b.Snapshot(t.Context())
		if err != nil || string(snapshot.Data) != "snapshot" {
			t.Fatalf("snapshot: %q, error %v", snapshot.Data, err)
		}
		kept, err := b.KeptSnapshot(t.Context(), 2)
		if err != nil || string(kept.Data) != "past" {
			t.Fatalf("kept snapshot: %q, error %v", kept.Data, err)
		}
		for w, err := range b.SideAll(t.Context(), store.SideOpenings, nil) {
			if err != nil || string(w.Key) != "key" || string(w.Value) != "value" {
				t.Fatalf("side table: %q = %q, error %v", w.Key, w.Value, err)
			}
			clear(w.Key)
			clear(w.Value)
		}
		check(t, b, h)
		for _, r := range records {
			clear(r)
		}
		clear(head.Checkpoint)
		clear(value)
		clear(snapshot.Data)
		clear(kept.Data)
	}
}
