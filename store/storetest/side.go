package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/store"
)

func sideTables() []store.SideTable {
	return []store.SideTable{store.SideOpenings, store.SideSecrets, store.SideAttempts, store.SideNotices}
}

type sideName struct {
	table store.SideTable
	key   string
}

// testSide writes at random and compares with a map.
func testSide(t *testing.T, open Open) {
	b, _ := begin(t, open)
	want := map[sideName][]byte{}
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 'a', 255}), 0, 4)
		var writes []store.SideWrite
		for range rapid.IntRange(1, 6).Draw(t, "writes") {
			w := store.SideWrite{
				Table: rapid.SampledFrom(sideTables()).Draw(t, "table"),
				Key:   key.Draw(t, "key"),
				Value: rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "value"),
			}
			name := sideName{w.Table, string(w.Key)}
			want[name] = w.Value
			if rapid.Bool().Draw(t, "delete") {
				w.Value = nil
				delete(want, name)
			}
			writes = append(writes, w)
		}
		if err := b.WriteSide(t.Context(), writes); err != nil {
			t.Fatal(err)
		}
		compareSide(t, b, want, key.Draw(t, "prefix"))
	})
}

func compareSide(t *rapid.T, b store.Backend, want map[sideName][]byte, prefix []byte) {
	for _, table := range sideTables() {
		var all []store.SideWrite
		for name, v := range want {
			if name.table == table && strings.HasPrefix(name.key, string(prefix)) {
				all = append(all, store.SideWrite{Table: table, Key: []byte(name.key), Value: v})
			}
		}
		slices.SortFunc(all, func(a, b store.SideWrite) int { return bytes.Compare(a.Key, b.Key) })
		var got []store.SideWrite
		for w, err := range b.SideAll(t.Context(), table, prefix) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, w)
			if one, err := b.Side(t.Context(), table, w.Key); err != nil || !bytes.Equal(one, w.Value) || one == nil {
				t.Fatalf("value of %q: %q, error %v, want %q", w.Key, one, err, w.Value)
			}
		}
		if diff := cmp.Diff(all, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("table %d, prefix %q (-want +got):\n%s", table, prefix, diff)
		}
		if _, ok := want[sideName{table, string(prefix)}]; !ok {
			if v, err := b.Side(t.Context(), table, prefix); !errors.Is(err, store.ErrNotFound) {
				t.Fatalf("value of %q: %q, error %v, want ErrNotFound", prefix, v, err)
			}
		}
	}
}

// testSideWhileIterating deletes what it iterates over, and leaves early.
func testSideWhileIterating(t *testing.T, open Open) {
	const n = 1000
	b, _ := begin(t, open)
	var writes []store.SideWrite
	for i := range n {
		writes = append(writes, store.SideWrite{Table: store.SideOpenings, Key: fmt.Appendf(nil, "k%04d", i), Value: []byte{1}})
	}
	if err := b.WriteSide(t.Context(), writes); err != nil {
		t.Fatal(err)
	}
	for w, err := range b.SideAll(t.Context(), store.SideOpenings, nil) {
		if err != nil || string(w.Key) != "k0000" {
			t.Fatalf("first key %q, error %v", w.Key, err)
		}
		break
	}
	seen := 0
	for w, err := range b.SideAll(t.Context(), store.SideOpenings, []byte("k")) {
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("k%04d", seen); string(w.Key) != want {
			t.Fatalf("key %q, want %q", w.Key, want)
		}
		seen++
		w.Value = nil
		if err := b.WriteSide(t.Context(), []store.SideWrite{w}); err != nil {
			t.Fatal(err)
		}
	}
	if seen != n {
		t.Errorf("%d keys, want %d", seen, n)
	}
	for w, err := range b.SideAll(t.Context(), store.SideOpenings, nil) {
		t.Fatalf("key %q is still there, error %v", w.Key, err)
	}
}

func testSnapshot(t *testing.T, open Open) {
	b, h := begin(t, open)
	grow(t, b, h, 2, 5)
	for i, length := range []int{10, 0, 1 << 20, 65536, 65537, 3} {
		want := store.Snapshot{
			Version: uint64(i), Size: h.Head().Size, Root: h.tree.Root(),
			Data: bytes.Repeat([]byte{byte(i + 1), 2, 3}, length)[:length],
		}
		if err := b.SaveSnapshot(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		got, err := b.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want.Data, got.Data) {
			t.Fatalf("snapshot of %d bytes came back as other %d bytes", len(want.Data), len(got.Data))
		}
		want.Data, got.Data = nil, nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("snapshot (-want +got):\n%s", diff)
		}
		grow(t, b, h, 2, 5)
	}
	check(t, b, h)
}
