package recording

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vaultpam/vaultpam/store"
)

// A Recording is the open recording of one session. Its methods may be called
// concurrently. Close has to be called; a process that dies before leaves the
// recording to Recover.
type Recording struct {
	store *Store
	id    store.SessionID
	head  Head
	dir   *os.Root

	mu       sync.Mutex // guards the fields of this block, and is taken after a Channel's
	log      *file
	channels []ChannelSummary // of closed channels
	open     map[int]*Channel
	last     int // number of the last channel that is in the log
	closing  bool
	err      error // the first error; everything fails after it

	dirDirty atomic.Bool
	failed   chan struct{} // closed with err
	wake     chan struct{} // tells syncLoop that something was written
	stop     chan struct{} // ends syncLoop
	done     chan struct{} // closed by syncLoop at its end

	once    sync.Once // guards summary and endErr
	summary Summary
	endErr  error
}

// ID returns the session's ID.
func (r *Recording) ID() store.SessionID { return r.id }

// Failed returns a channel that is closed when the recording cannot go on, also
// when it is a sync in the background that failed. The session has to end then.
func (r *Recording) Failed() <-chan struct{} { return r.failed }

// Err returns the error because of which the recording cannot go on. It wraps
// ErrRecorder.
func (r *Recording) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Note records what happened beside the channels: an event named thing.happened
// ("env.refused", "forward.refused") on a channel, or 0 for the session, with a
// detail of at most MaxText bytes.
func (r *Recording) Note(channel int, event string, detail Text) error {
	if !validEvent(event) || channel < 0 || len(detail) > MaxText {
		return fmt.Errorf("note %.80q of channel %d: want an event thing.happened of its own, and at most %d bytes", event, channel, MaxText)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.usable(); err != nil {
		return err
	}
	return r.logLine(LogLine{Time: r.store.opts.Now(), Event: event, Channel: channel, Detail: detail})
}

// validEvent reports whether event is of the form thing.happened and not one
// that this package writes.
func validEvent(event string) bool {
	switch event {
	case EventSessionOpened, EventChannelOpened, EventChannelClosed, EventSessionEnded:
		return false
	}
	dots := 0
	for i := range len(event) {
		switch c := event[i]; {
		case c == '.' && i > 0 && i < len(event)-1:
			dots++
		case (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-':
			return false
		}
	}
	return dots == 1 && len(event) <= 64
}

// Channel begins the record of a session channel, as soon as the client has said
// what it is to be. Channels are numbered from 1.
func (r *Recording) Channel(info ChannelInfo) (*Channel, error) {
	if err := info.check(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.usable(); err != nil {
		return nil, err
	}
	number := r.last + 1
	now := r.store.opts.Now()
	header, err := newHeader(r.id, number, info, now).line()
	if err != nil {
		return nil, err
	}
	// The log comes first: whoever finds the line without the file knows what
	// the file was to be.
	err = r.logLine(LogLine{Time: now, Event: EventChannelOpened, Channel: number, Info: &info, Label: info.Label()})
	if err != nil {
		return nil, err
	}
	r.last = number
	f, err := createFile(r.dir, castName(number))
	if err != nil {
		return nil, r.failLocked(fmt.Errorf("opening channel %d: %w", number, err))
	}
	if err := f.append(header); err != nil {
		return nil, r.failLocked(errors.Join(fmt.Errorf("opening channel %d: %w", number, err), f.f.Close()))
	}
	c := newChannel(r, number, info, now, f)
	r.open[number] = c
	r.dirDirty.Store(true)
	r.wakeSync()
	return c, nil
}

// usable returns why the recording takes nothing more. r.mu is held.
func (r *Recording) usable() error {
	if r.err == nil && r.closing {
		return fmt.Errorf("%w: session %v: %w", ErrRecorder, r.id, os.ErrClosed)
	}
	return r.err
}

// logLine appends a line to the log or fails the recording. r.mu is held.
func (r *Recording) logLine(l LogLine) error {
	if err := r.appendLog(l); err != nil {
		return r.failLocked(fmt.Errorf("writing the session's log: %w", err))
	}
	r.wakeSync()
	return nil
}

func (r *Recording) appendLog(l LogLine) error {
	line, err := appendLogLine(nil, l)
	if err != nil {
		return err
	}
	return r.log.append(line)
}

// fail ends the recording with err, unless it has ended already, and returns
// what every call returns from now on.
func (r *Recording) fail(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failLocked(err)
}

func (r *Recording) failLocked(err error) error {
	if r.err == nil {
		r.err = fmt.Errorf("%w: session %v: %w", ErrRecorder, r.id, err)
		close(r.failed)
		r.store.opts.Log.Error("recording failed", "session", r.id.String(), "error", err.Error())
	}
	return r.err
}

func (r *Recording) wakeSync() {
	select {
	case r.wake <- struct{}{}:
	default: // syncLoop knows already
	}
}

// syncLoop makes durable what was written, at most SyncEvery later. An idle
// session costs no timer. Recording.Close ends it.
func (r *Recording) syncLoop() {
	defer close(r.done)
	for {
		select {
		case <-r.wake:
		case <-r.stop:
			return
		}
		timer := time.NewTimer(r.store.opts.SyncEvery)
		select {
		case <-timer.C:
		case <-r.stop:
			timer.Stop()
			return
		}
		if err := r.sync(); err != nil {
			_ = r.fail(fmt.Errorf("syncing: %w", err)) // Failed tells
			return
		}
	}
}

// sync takes no lock while it waits for the disk: keystrokes go on meanwhile.
func (r *Recording) sync() error {
	r.mu.Lock()
	files := []*file{r.log}
	for _, c := range r.open {
		files = append(files, c.file)
	}
	r.mu.Unlock()
	var errs []error
	for _, f := range files {
		// A file that was closed meanwhile was synced by its Close.
		if err := f.sync(); !errors.Is(err, os.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, r.syncDir())...)
}

func (r *Recording) syncDir() error {
	if !r.dirDirty.Swap(false) {
		return nil
	}
	return syncDir(r.dir)
}

// Close closes the channels that are open, writes the end marker with the
// reason (ReasonClosed where there is none) and makes all of it durable.
//
// Where the recording had failed Close still tries, and returns the error. A
// Summary without a hash then says that an end marker is missing, and that
// Recover is to be called once the cause is gone. Further calls return the same.
func (r *Recording) Close(reason string) (Summary, error) {
	r.once.Do(func() {
		r.mu.Lock()
		r.closing = true
		open := slices.Collect(maps.Values(r.open))
		r.mu.Unlock()
		for _, c := range open {
			_, _ = c.Close(Exit{}) // an error is kept as r.err
		}
		close(r.stop)
		<-r.done
		r.summary, r.endErr = r.end(reason)
		r.store.release(r.id)
	})
	return r.summary, r.endErr
}

func (r *Recording) end(reason string) (Summary, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.err != nil:
		reason = ReasonRecorder
	case reason == "":
		reason = ReasonClosed
	}
	slices.SortFunc(r.channels, func(a, b ChannelSummary) int { return a.Number - b.Number })
	sum := Summary{Head: r.head, Ended: r.store.opts.Now().UTC().Round(0), Reason: clipReason(reason), Channels: r.channels}
	err := r.appendEnd(sum)
	ended := err == nil
	if err = errors.Join(err, r.log.finish(), r.syncDir(), r.dir.Close()); err != nil {
		_ = r.failLocked(fmt.Errorf("closing: %w", err))
	}
	if ended {
		sum.SHA256 = r.log.hash()
	}
	return sum, r.err
}

// appendEnd appends the last line, which says that every file is complete.
func (r *Recording) appendEnd(sum Summary) error {
	if len(r.channels) < r.last {
		return errors.New("not every channel could be closed")
	}
	return r.appendLog(LogLine{Time: sum.Ended, Event: EventSessionEnded, Reason: Text(sum.Reason)})
}

// clipReason keeps the last line short, so that Recover finds it from the end.
func clipReason(reason string) string {
	const limit = 1024
	if len(reason) > limit {
		return reason[:limit]
	}
	return reason
}
