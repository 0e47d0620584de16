package bolt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"github.com/vaultpam/vaultpam/store"
)

// usable returns why a call is refused before it begins.
func (b *Backend) usable(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return store.ErrClosed
	case b.broken != nil:
		return b.broken
	}
	return ctx.Err()
}

// fail refuses every later call.
func (b *Backend) fail(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken == nil {
		b.broken = err
	}
	return err
}

// backlog returns how much of the journal is not committed.
func (b *Backend) backlog() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.uncommitted
}

// recovered turns a panic of bbolt, or the fault of reading a page that the
// disk does not give, into an error instead of the end of every live session.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", store.ErrCorrupt, p)
	}
}

// commitError says what a failed commit of transaction id means. bbolt commits
// in this order:
//
//  1. It lays out changed pages in memory and may map a longer file.
//  2. It lengthens the file if it must, and syncs it.
//  3. It writes the changed pages to places that the committed tree does not
//     use, and syncs.
//  4. It writes the meta page that makes the new tree the committed one, over
//     the older of two, and syncs.
//
// Until the write of step 4 the committed tree is untouched, on disk and in
// memory. A write that found no room is the one failure that is sure to have
// ended there: it is a fs.PathError of a write, and a reader, who sees the file
// as the writes left it, still finds the transaction before. bbolt has then
// gone back to its old list of free pages and can go on.
//
// A failed sync is never tried again on the same file: the kernel may have
// dropped the pages, and the next sync would succeed without them. A failed
// sync in step 4 may have reached the disk or not. A failed mapping in step 1
// leaves bbolt without its file. Therefore all other failures end this Backend.
func (b *Backend) commitError(id int, err error) error {
	var path *fs.PathError
	noRoom := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
	if noRoom && errors.As(err, &path) && path.Op == "write" {
		committed := id
		viewErr := b.db.View(func(tx *bbolt.Tx) error {
			committed = tx.ID()
			return nil
		})
		if viewErr == nil && committed < id {
			return fmt.Errorf("%w: %w", store.ErrFull, err)
		}
	}
	return b.fail(fmt.Errorf("%w: %w", store.ErrUncertain, err))
}

// closedError covers a Close while the call was waiting for its turn.
func closedError(err error) error {
	if errors.Is(err, bbolterrors.ErrDatabaseNotOpen) {
		return store.ErrClosed
	}
	return err
}
