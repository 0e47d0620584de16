package recording

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/vaultpam/vaultpam/store"
)

// Options are what a Store needs from its process.
type Options struct {
	Now func() time.Time
	Log *slog.Logger
	// SyncEvery bounds what a power cut may lose; 0 means a second.
	SyncEvery time.Duration
}

// A Store keeps recordings in a directory. Its methods may be called
// concurrently.
type Store struct {
	root *os.Root
	opts Options
	bufs sync.Pool // of *[]byte: an idle session holds no buffer

	mu   sync.Mutex // guards live
	live map[store.SessionID]bool
}

// Open opens the directory dir, and creates it with mode 0700 where it does not
// exist. A directory that others may write to is refused.
func Open(dir string, opts Options) (*Store, error) {
	if opts.Now == nil || opts.Log == nil {
		return nil, errors.New("opening recordings: no clock or no log was given")
	}
	if opts.SyncEvery < 0 || opts.SyncEvery > time.Second {
		return nil, fmt.Errorf("opening recordings: syncing every %v, want at most 1s", opts.SyncEvery)
	}
	if opts.SyncEvery == 0 {
		opts.SyncEvery = time.Second
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, fmt.Errorf("opening recordings: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening recordings: %w", err)
	}
	info, err := root.Stat(".")
	if err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0 {
		err = fmt.Errorf("others may write to %s (mode %04o); run chmod 700 on it", dir, info.Mode().Perm())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening recordings: %w", err), root.Close())
	}
	return &Store{
		root: root,
		opts: opts,
		bufs: sync.Pool{New: func() any { return new([]byte) }},
		live: map[store.SessionID]bool{},
	}, nil
}

// Close gives up the directory. Recordings have to be closed before.
func (s *Store) Close() error { return s.root.Close() }

// Create begins the recording of a session. On return its directory and the
// first line of its log are durable. A session is recorded once: an ID that has
// a recording is refused with fs.ErrExist.
func (s *Store) Create(ctx context.Context, id store.SessionID, head Head) (*Recording, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if _, err := store.ParseSessionID(id.String()); err != nil {
		return nil, fmt.Errorf("creating recording: %w", err)
	}
	if !s.claim(id) {
		return nil, fmt.Errorf("creating recording %v: %w", id, os.ErrExist)
	}
	r, err := s.create(id, head)
	if err != nil {
		s.release(id)
		return nil, fmt.Errorf("%w: creating %v: %w", ErrRecorder, id, err)
	}
	go r.syncLoop() // ended by Recording.Close
	return r, nil
}

// create makes the directory, then the log, then makes both durable. A process
// that dies on the way leaves a directory without a whole first line, which
// Recover closes.
func (s *Store) create(id store.SessionID, head Head) (*Recording, error) {
	if err := s.root.Mkdir(id.String(), dirMode); err != nil {
		return nil, err
	}
	dir, err := openDir(s.root, id.String())
	if err != nil {
		return nil, errors.Join(err, s.root.Remove(id.String()))
	}
	log, err := createFile(dir, logName)
	if err != nil {
		return nil, errors.Join(err, dir.Close(), s.root.Remove(id.String()))
	}
	head.Session = id
	head.Started = head.Started.UTC().Round(0)
	r := &Recording{
		store: s, id: id, head: head, dir: dir, log: log,
		open:   map[int]*Channel{},
		failed: make(chan struct{}),
		wake:   make(chan struct{}, 1),
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
	}
	r.dirDirty.Store(true)
	err = r.appendLog(openedLine(s.opts.Now(), id, head))
	if err == nil {
		err = errors.Join(log.sync(), r.syncDir(), syncDir(s.root))
	}
	if err != nil {
		return nil, errors.Join(err, log.f.Close(), dir.Remove(logName), dir.Close(), s.root.Remove(id.String()))
	}
	return r, nil
}

// claim reserves id for a recording of this process.
func (s *Store) claim(id store.SessionID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live[id] {
		return false
	}
	s.live[id] = true
	return true
}

func (s *Store) release(id store.SessionID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, id)
}
