package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"github.com/vaultpam/vaultpam/store"
)

// A Backend is a store.Backend in one bbolt file.
type Backend struct {
	db   *bbolt.DB
	warm *warmer

	mu     sync.Mutex // guards broken and closed
	broken error      // why every call is refused until the file is opened anew
	closed bool
}

var _ store.Backend = (*Backend)(nil)

// Create makes a new, empty ledger at path and opens it. Only the owner can
// read the file. A file that is already there is left alone: the error then is
// fs.ErrExist.
//
// The ledger gets its name when it is complete and on disk. A process that dies
// before leaves a file beside it that nobody reads.
func Create(path string) (*Backend, error) {
	if err := create(path); err != nil {
		return nil, fmt.Errorf("creating ledger %s: %w", path, err)
	}
	return Open(path)
}

func create(path string) (err error) {
	if _, err := os.Lstat(path); err == nil {
		return fs.ErrExist
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	if err := f.Close(); err != nil {
		return err
	}
	if err := initialise(f.Name()); err != nil {
		return err
	}
	// Unlike a rename, a link never replaces a ledger that another process
	// created meanwhile.
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// initialise writes the buckets into an empty file and syncs it.
func initialise(path string) error {
	db, err := openDB(path, new(bbolt.Options))
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range buckets() {
			if _, err := tx.CreateBucket([]byte(name)); err != nil {
				return err
			}
		}
		return tx.Bucket([]byte(bucketMeta)).Put([]byte(keyFormat), []byte(formatVersion))
	})
	if err == nil {
		err = db.Sync()
	}
	return errors.Join(err, db.Close())
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Open opens the ledger at path. It returns store.ErrHeld at once where another
// process has it open, store.ErrCorrupt where the file is damaged or is of a
// format that this program does not know, fs.ErrNotExist where there is none.
func Open(path string) (*Backend, error) {
	b, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("opening ledger %s: %w", path, err)
	}
	return b, nil
}

func open(path string) (b *Backend, err error) {
	// bbolt panics on pages that contradict themselves; a file that was cut
	// short faults where it is mapped. Both must be an error here.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer recovered(&err)
	if err := look(path); err != nil {
		return nil, err
	}
	db, err := openDB(path, &bbolt.Options{OpenFile: openExisting})
	if err != nil {
		return nil, err
	}
	return &Backend{db: db, warm: warm(path)}, nil
}

// look checks the file before anything is read from its depth: opening it for
// writing reads the list of free pages, and what faults there stays mapped and
// held until the process ends.
func look(path string) error {
	db, err := openDB(path, &bbolt.Options{OpenFile: openExisting, ReadOnly: true})
	if err != nil {
		return err
	}
	return errors.Join(db.View(checkFormat), db.Close())
}

func openDB(path string, options *bbolt.Options) (*bbolt.DB, error) {
	options.Timeout = time.Nanosecond // bbolt tries once, then gives up
	options.FreelistType = bbolt.FreelistMapType
	options.PageSize = pageSize
	options.NoStatistics = true
	// A writer that has to map a longer file waits for every reader. This
	// reserves addresses, no memory.
	options.InitialMmapSize = 1 << 30
	db, err := bbolt.Open(path, 0o600, options)
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		return nil, store.ErrHeld
	case errors.Is(err, bbolterrors.ErrInvalid), errors.Is(err, bbolterrors.ErrChecksum), errors.Is(err, bbolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	return db, err
}

// openExisting opens a file for bbolt, which by itself makes an empty ledger out
// of a missing or an empty one.
func openExisting(name string, flag int, perm os.FileMode) (*os.File, error) {
	f, err := os.OpenFile(name, flag&^os.O_CREATE, perm)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() < 4*pageSize {
		err = fmt.Errorf("%w: the file has %d bytes", store.ErrCorrupt, info.Size())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	dropCache(f)
	return f, nil
}

func checkFormat(tx *bbolt.Tx) error {
	info, err := os.Stat(tx.DB().Path())
	if err != nil {
		return err
	}
	if info.Size() < tx.Size() {
		return fmt.Errorf("%w: the file has %d bytes and should have %d", store.ErrCorrupt, info.Size(), tx.Size())
	}
	for _, name := range buckets() {
		if tx.Bucket([]byte(name)) == nil {
			return fmt.Errorf("%w: no bucket %q", store.ErrCorrupt, name)
		}
	}
	if got := tx.Bucket([]byte(bucketMeta)).Get([]byte(keyFormat)); string(got) != formatVersion {
		return fmt.Errorf("%w: format %q, this program knows %q", store.ErrCorrupt, got, formatVersion)
	}
	return nil
}

// Close waits for the calls that already hold a transaction and lets the file
// go.
func (b *Backend) Close() error {
	b.mu.Lock()
	again := b.closed
	b.closed = true
	b.mu.Unlock() // calls that hold a transaction look at closed
	if again {
		return store.ErrClosed
	}
	b.warm.end()
	if err := b.db.Close(); err != nil {
		return fmt.Errorf("closing ledger: %w", err)
	}
	return nil
}
