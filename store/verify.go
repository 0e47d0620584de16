package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	// verifyPage is how many entries Verify holds at a time.
	verifyPage = 4096
	// maxFaults is how many faults of a kind are named: where one disk page is
	// gone, thousands of entries are.
	maxFaults = 20
)

// Verify reads the whole ledger in b and returns what is wrong with it: an entry
// that does not decode or is in the wrong place, a time before the last one's,
// a stored hash or a root that the entries do not make, a checkpoint that the
// log key did not sign, a list that finds too much or too little, anything
// behind the end. At most 20 faults of a kind are named.
//
// Nobody may append meanwhile. Memory grows with the number of pairs of a user
// and a target, not with the entries. An error means that it could not look.
func Verify(ctx context.Context, b Backend, v Verification) ([]Fault, error) {
	x := &verifier{Verification: v, b: b, index: newListCheck(b)}
	err := x.run(ctx)
	var fault Fault
	if errors.As(err, &fault) { // one after which nothing more can be read
		x.found(fault.Kind, "%s", fault.What)
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("verifying the ledger: %w", err)
	}
	return x.faults, nil
}

type verifier struct {
	Verification
	b      Backend
	head   Head
	tree   *Tree
	last   Millis
	index  *listCheck
	broken bool // the stored hashes can't be read any more
	unread bool // an entry could not be read
	faults []Fault
}

func (x *verifier) found(kind FaultKind, format string, args ...any) {
	n := 0
	for _, f := range x.faults {
		if f.Kind == kind {
			n++
		}
	}
	if n < maxFaults {
		x.faults = append(x.faults, Fault{kind, fmt.Sprintf(format, args...)})
	}
}

// corrupt makes a Fault of an error of the back end that says as much.
func corrupt(kind FaultKind, err error) error {
	if errors.Is(err, ErrCorrupt) {
		return Fault{kind, err.Error()}
	}
	return err
}

func (x *verifier) run(ctx context.Context) error {
	var err error
	if x.head, err = x.b.Head(ctx); err != nil {
		return corrupt(FaultCheckpoint, err)
	}
	if x.tree, err = OpenTree(0, nil); err != nil {
		return err
	}
	for x.tree.Size() < x.head.Size {
		if err := x.page(ctx); err != nil {
			return err
		}
	}
	if err := x.end(ctx); err != nil {
		return err
	}
	x.checkpoint()
	return x.lists(x.index.finish(ctx))
}

// lists notes what is wrong with the lists. Where an entry could not be read,
// nobody knows what they should find.
func (x *verifier) lists(wrong []string, err error) error {
	if x.unread {
		return nil
	}
	for _, w := range wrong {
		x.found(FaultIndex, "%s", w)
	}
	return corrupt(FaultIndex, err)
}

// page verifies the next entries.
func (x *verifier) page(ctx context.Context) error {
	first := x.tree.Size()
	page, err := x.b.Records(ctx, Index(first), verifyPage)
	if err != nil {
		return corrupt(FaultEntries, err)
	}
	want := min(verifyPage, x.head.Size-first)
	if uint64(len(page)) < want {
		return Fault{FaultEntries, fmt.Sprintf("entry %d is missing: the ledger should have %d entries", first+uint64(len(page)), x.head.Size)}
	}
	page = page[:want] // what is behind the end is end's
	for i, data := range page {
		x.entry(Index(first)+Index(i), data)
	}
	next, hashes, err := x.tree.Append(page)
	if err != nil {
		return err
	}
	if err := x.hashes(ctx, next, hashes); err != nil {
		return err
	}
	x.tree = next
	return x.lists(x.index.page(ctx, Index(next.Size())))
}

func (x *verifier) entry(at Index, data []byte) {
	e, err := DecodeEntry(data)
	switch {
	case err != nil:
		x.unread = true
		x.found(FaultEntries, "entry %d: %v", at, err)
		return
	case e.Index != at:
		x.unread = true
		x.found(FaultEntries, "entry %d says that it is %d", at, e.Index)
		return
	case e.Time < x.last:
		x.found(FaultEntries, "entry %d is of a time before the last one's", at)
	}
	x.last = e.Onward()
	x.index.add(NewRecord(data, e), at)
	if x.Each != nil {
		x.Each(e)
	}
}

// hashes compares the stored hashes of the entries between x.tree and next.
func (x *verifier) hashes(ctx context.Context, next *Tree, want []Hash) error {
	if x.broken {
		return nil
	}
	first := int64(StoredHashCount(x.tree.Size()))
	indexes := make([]int64, len(want))
	for i := range indexes {
		indexes[i] = first + int64(i)
	}
	got, err := x.b.ReadHashes(ctx, indexes)
	if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNotFound) {
		x.broken = true
		x.found(FaultTree, "the tree's hashes of entries %d to %d: %v", x.tree.Size(), next.Size()-1, err)
		return nil
	}
	if err != nil {
		return err
	}
	if slices.Equal(got, want) {
		return nil
	}
	for i := x.tree.Size(); i < next.Size(); i++ {
		at := tlog.StoredHashIndex(0, int64(i)) - first
		if got[at] != want[at] {
			x.found(FaultTree, "the tree's hash of entry %d is not that of the entry", i)
			return nil
		}
	}
	x.found(FaultTree, "the tree's hashes over entries %d to %d are not theirs", x.tree.Size(), next.Size()-1)
	return nil
}

// end sees that there is nothing behind the end.
func (x *verifier) end(ctx context.Context) error {
	more, err := x.b.Records(ctx, Index(x.head.Size), 1)
	if err != nil {
		return corrupt(FaultEntries, err)
	}
	if len(more) != 0 {
		x.found(FaultEntries, "there is an entry behind the last, %d", x.head.Size)
	}
	_, err = x.b.ReadHashes(ctx, []int64{int64(StoredHashCount(x.head.Size))})
	if err == nil {
		x.found(FaultTree, "there is a hash behind the last entry's")
	} else if !errors.Is(err, ErrNotFound) {
		return corrupt(FaultTree, err)
	}
	return nil
}

func (x *verifier) checkpoint() {
	if x.head.Size == 0 {
		if len(x.head.Checkpoint) != 0 {
			x.found(FaultCheckpoint, "the ledger is empty and has a checkpoint")
		}
		return
	}
	signed, err := OpenCheckpoint(x.head.Checkpoint, x.Origin, x.LogKey)
	switch {
	case err != nil:
		x.found(FaultCheckpoint, "the last checkpoint: %v", err)
	case signed.Size != x.tree.Size():
		x.found(FaultCheckpoint, "the last checkpoint is of %d entries, and there are %d", signed.Size, x.tree.Size())
	case signed.Root != x.tree.Root():
		x.found(FaultCheckpoint, "the entries are not those that the last checkpoint was signed over")
	}
}
