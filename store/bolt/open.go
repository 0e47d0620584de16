package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"github.com/vaultpam/vaultpam/store"
)

// A Backend is a store.Backend in one bbolt file, and a journal beside it while
// it is written to.
type Backend struct {
	db   *bbolt.DB
	warm *warmer
	wake chan struct{} // has commitAll look at the journal
	stop chan struct{} // ends commitAll
	over chan struct{} // closed when it has ended

	writing sync.Mutex // held by the one writer; guards the fields below
	begun   bool       // this process has written
	head    store.Head // valid once begun

	applying sync.Mutex // guards the fields below; taken after writing
	tx       *bbolt.Tx  // holds what is taken; nil where there is none open
	taken    []record   // in tx
	journal  *journal   // nil until it is needed; changed under both locks, written to under writing

	mu          sync.Mutex // guards the fields below; taken last
	queue       []record   // acknowledged, and not in tx
	acked       uint64     // sequence number of the last that was acknowledged
	applied     uint64     // and of the last that is committed
	uncommitted int        // bytes that those in between take of the journal
	broken      error      // why every call is refused until the file is opened anew
	closed      bool
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
	err = guarded(func() error { // a file that was cut short faults where it is mapped
		if err := look(path); err != nil {
			return err
		}
		db, err := openDB(path, &bbolt.Options{OpenFile: openExisting})
		if err != nil {
			return err
		}
		b = &Backend{db: db, wake: make(chan struct{}, 1), stop: make(chan struct{}), over: make(chan struct{})}
		if err := b.recover(); err != nil {
			return errors.Join(err, db.Close())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	b.warm = warm(path)
	go b.commitAll() // ended by Close
	return b, nil
}

// recover takes up what the process before left in the journal. It changes
// nothing: that is in the ledger for every reader, and in its file with the first
// write.
func (b *Backend) recover() error {
	var id journalID
	var ok bool
	err := b.db.View(func(tx *bbolt.Tx) error {
		id, b.applied, ok = journalOf(tx)
		return nil
	})
	if err != nil || !ok {
		return err
	}
	if b.journal, b.queue, err = openJournal(journalPath(b.db.Path()), id, b.applied); err != nil {
		return err
	}
	b.acked = b.applied
	for _, r := range b.queue {
		b.acked, b.uncommitted = r.sequence, b.uncommitted+r.size()
	}
	return nil
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
	got := tx.Bucket([]byte(bucketMeta)).Get([]byte(keyFormat))
	_, _, journal := journalOf(tx)
	if want := map[bool]string{false: formatVersion, true: formatJournal}[journal]; string(got) != want {
		return fmt.Errorf("%w: format %q, this program knows %q", store.ErrCorrupt, got, want)
	}
	return nil
}

// Close waits for the calls that are under way, commits what the journal holds
// and lets the file go. Where there is no room for that it says so, and the
// journal keeps it.
func (b *Backend) Close() error {
	b.mu.Lock()
	again := b.closed
	b.closed = true
	b.mu.Unlock() // calls that waited for their turn look at closed
	if again {
		return store.ErrClosed
	}
	close(b.stop)
	<-b.over
	b.warm.end()
	b.writing.Lock()
	defer b.writing.Unlock()
	b.applying.Lock()
	defer b.applying.Unlock()
	if err := errors.Join(b.leave(), b.db.Close()); err != nil {
		return fmt.Errorf("closing ledger: %w", err)
	}
	return nil
}
