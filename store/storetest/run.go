package storetest

import (
	"testing"

	"github.com/vaultpam/vaultpam/store"
)

// An Open opens the back end that lies at place, a folder of its own, and makes
// an empty one the first time. The suite closes what it opens.
type Open func(t *testing.T, place string) store.Backend

// Run holds the back ends that open opens to the contract.
func Run(t *testing.T, open Open) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Open)
	}{
		{"Empty", testEmpty},
		{"AppendReadBack", testAppendReadBack},
		{"Ranges", testRanges},
		{"S30Conflict", testConflict},
		{"MalformedBatch", testMalformedBatch},
		{"S10ConcurrentWriters", testConcurrentWriters},
		{"Atomic", testAtomic},
		{"Find", testFind},
		{"FindLongLists", testFindLongLists},
		{"Side", testSide},
		{"SideWhileIterating", testSideWhileIterating},
		{"Snapshot", testSnapshot},
		{"Kept", testKept},
		{"S8Reopen", testReopen},
		{"Closed", testClosed},
		{"Cancelled", testCancelled},
		{"OwnBytes", testOwnBytes},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open) })
	}
}

// begin opens a fresh back end, closes it at the end of the test, and returns
// it with the history that will be written to it.
func begin(t *testing.T, open Open) (store.Backend, *History) {
	t.Helper()
	b := open(t, t.TempDir())
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return b, NewHistory(t)
}

// check stops the test where the ledger is not whole.
func check(t *testing.T, b store.Backend, h *History) {
	t.Helper()
	if err := Check(t.Context(), b, h.Origin, h.LogKey); err != nil {
		t.Fatal(err)
	}
}

// grow appends n batches of up to most entries each.
func grow(t *testing.T, b store.Backend, h *History, n, most int) {
	t.Helper()
	for range n {
		batch := h.Batch(t, 1+h.rand.IntN(most))
		if err := b.Append(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		h.Appended(t, batch)
	}
}
