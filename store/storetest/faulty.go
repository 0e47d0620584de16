package storetest

import (
	"context"
	"iter"
	"sync/atomic"

	"github.com/vaultpam/vaultpam/store"
)

// A FaultyBackend is a back end of which one call fails.
type FaultyBackend struct {
	backend store.Backend
	calls   atomic.Int64
	at      int64
	before  error
	after   error
}

var _ store.Backend = (*FaultyBackend)(nil)

// Faulty returns b with its call number at, counted from 1 over all methods,
// failing with err before it does anything.
func Faulty(b store.Backend, at int, err error) *FaultyBackend {
	return &FaultyBackend{backend: b, at: int64(at), before: err}
}

// FaultyAfter is Faulty where the call does what it should and fails then, as
// an append does whose outcome the caller never learns.
func FaultyAfter(b store.Backend, at int, err error) *FaultyBackend {
	return &FaultyBackend{backend: b, at: int64(at), after: err}
}

// Calls returns how many calls there were. A run with at 0 counts the calls
// that can fail.
func (f *FaultyBackend) Calls() int { return int(f.calls.Load()) }

// call runs one call.
func (f *FaultyBackend) call(do func() error) error {
	hit := f.calls.Add(1) == f.at
	if hit && f.before != nil {
		return f.before
	}
	if err := do(); err != nil || !hit {
		return err
	}
	return f.after
}

// value runs one call that returns something.
func value[T any](f *FaultyBackend, do func() (T, error)) (T, error) {
	var v T
	err := f.call(func() (err error) {
		v, err = do()
		return err
	})
	if err != nil {
		var zero T
		return zero, err
	}
	return v, nil
}

// Head implements store.Backend, as do the methods that follow.
func (f *FaultyBackend) Head(ctx context.Context) (store.Head, error) {
	return value(f, func() (store.Head, error) { return f.backend.Head(ctx) })
}

func (f *FaultyBackend) Append(ctx context.Context, batch store.Batch) error {
	return f.call(func() error { return f.backend.Append(ctx, batch) })
}

func (f *FaultyBackend) Records(ctx context.Context, from store.Index, limit int) ([][]byte, error) {
	return value(f, func() ([][]byte, error) { return f.backend.Records(ctx, from, limit) })
}

func (f *FaultyBackend) Find(ctx context.Context, q store.Query) ([]store.Index, error) {
	return value(f, func() ([]store.Index, error) { return f.backend.Find(ctx, q) })
}

func (f *FaultyBackend) ReadHashes(ctx context.Context, indexes []int64) ([]store.Hash, error) {
	return value(f, func() ([]store.Hash, error) { return f.backend.ReadHashes(ctx, indexes) })
}

func (f *FaultyBackend) Side(ctx context.Context, table store.SideTable, key []byte) ([]byte, error) {
	return value(f, func() ([]byte, error) { return f.backend.Side(ctx, table, key) })
}

// SideAll fails at its beginning, or after its last value.
func (f *FaultyBackend) SideAll(ctx context.Context, table store.SideTable, prefix []byte) iter.Seq2[store.SideWrite, error] {
	return func(yield func(store.SideWrite, error) bool) {
		left := false
		err := f.call(func() error {
			for w, err := range f.backend.SideAll(ctx, table, prefix) {
				if left = !yield(w, err); left {
					break
				}
			}
			return nil
		})
		if err != nil && !left {
			yield(store.SideWrite{}, err)
		}
	}
}

func (f *FaultyBackend) WriteSide(ctx context.Context, writes []store.SideWrite) error {
	return f.call(func() error { return f.backend.WriteSide(ctx, writes) })
}

func (f *FaultyBackend) Snapshot(ctx context.Context) (store.Snapshot, error) {
	return value(f, func() (store.Snapshot, error) { return f.backend.Snapshot(ctx) })
}

func (f *FaultyBackend) SaveSnapshot(ctx context.Context, s store.Snapshot) error {
	return f.call(func() error { return f.backend.SaveSnapshot(ctx, s) })
}

func (f *FaultyBackend) KeepSnapshot(ctx context.Context, s store.Snapshot) error {
	return f.call(func() error { return f.backend.KeepSnapshot(ctx, s) })
}

func (f *FaultyBackend) KeptSnapshot(ctx context.Context, size uint64) (store.Snapshot, error) {
	return value(f, func() (store.Snapshot, error) { return f.backend.KeptSnapshot(ctx, size) })
}

func (f *FaultyBackend) KeptSnapshots(ctx context.Context) ([]store.Snapshot, error) {
	return value(f, func() ([]store.Snapshot, error) { return f.backend.KeptSnapshots(ctx) })
}

// Close always closes, so that a test can open the ledger again.
func (f *FaultyBackend) Close() error { return f.backend.Close() }
