package storetest

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/store"
)

// testKept keeps snapshots of the past in any order, and again in place of what
// is there.
func testKept(t *testing.T, open Open) {
	b, h := begin(t, open)
	grow(t, b, h, 2, 5)
	latest := store.Snapshot{Version: 1, Size: 20, Data: []byte("the latest")}
	if err := b.SaveSnapshot(t.Context(), latest); err != nil {
		t.Fatal(err)
	}
	kept := map[uint64]store.Snapshot{}
	for i, length := range []int{10, 0, 1 << 20, 65536, 65537, 3} {
		for _, size := range []uint64{40, 1, 20, math.MaxInt64, 21, 0} {
			s := store.Snapshot{
				Version: uint64(i), Size: size, Root: h.tree.Root(),
				Data: bytes.Repeat([]byte{byte(size), byte(i + 1), 3}, length)[:length],
			}
			if err := b.KeepSnapshot(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			kept[size] = s
			sameKept(t, b, kept)
		}
		grow(t, b, h, 2, 5)
	}
	if s, err := b.Snapshot(t.Context()); err != nil || cmp.Diff(latest, s) != "" {
		t.Errorf("the latest snapshot is %+v, error %v, want %+v", s, err, latest)
	}
	check(t, b, h)
}

// sameKept compares all snapshots of the past with those that were kept.
func sameKept(t *testing.T, b store.Backend, kept map[uint64]store.Snapshot) {
	t.Helper()
	for size := range uint64(42) {
		got, err := b.KeptSnapshot(t.Context(), size)
		want, ok := kept[size]
		if !ok && !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("at %d: error %v, want ErrNotFound", size, err)
		}
		if ok && (err != nil || !bytes.Equal(got.Data, want.Data) || got.Version != want.Version || got.Root != want.Root || got.Size != size) {
			t.Fatalf("at %d: version %d with %d bytes, error %v; want version %d with %d bytes",
				size, got.Version, len(got.Data), err, want.Version, len(want.Data))
		}
	}
	var want []store.Snapshot
	for _, size := range []uint64{0, 1, 20, 21, 40, math.MaxInt64} {
		if s, ok := kept[size]; ok {
			s.Data = nil
			want = append(want, s)
		}
	}
	got, err := b.KeptSnapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("snapshots of the past (-want +got):\n%s", diff)
	}
}
