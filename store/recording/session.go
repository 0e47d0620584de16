package recording

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"

	"github.com/vaultpam/vaultpam/store"
)

// A Session is a recording that is being read.
type Session struct {
	id    store.SessionID
	dir   *os.Root
	lines []LogLine
	sum   Summary
}

// OpenSession opens a recording for reading. It may still be written; what is
// read then is what was there. A recording that isn't there is fs.ErrNotExist.
func (s *Store) OpenSession(id store.SessionID) (*Session, error) {
	if _, err := store.ParseSessionID(id.String()); err != nil {
		return nil, fmt.Errorf("opening recording: %w", err)
	}
	dir, err := openDir(s.root, id.String())
	if err != nil {
		return nil, fmt.Errorf("opening recording: %w", err)
	}
	lines, hash, err := readLog(dir, id)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening recording %v: %w", id, err), dir.Close())
	}
	return &Session{id: id, dir: dir, lines: lines, sum: summarise(id, lines, hash)}, nil
}

// Close closes the session.
func (s *Session) Close() error { return s.dir.Close() }

// Summary returns what the log says. Reason and SHA256 are zero where there is
// no end marker.
func (s *Session) Summary() Summary { return s.sum }

// Log returns the lines of the session's log.
func (s *Session) Log() []LogLine { return slices.Clone(s.lines) }

// Channel returns the file of a channel as it is on disk, for NewReader.
func (s *Session) Channel(number int) (io.ReadCloser, error) {
	f, err := openFile(s.dir, castName(number), os.O_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("opening channel %d of recording %v: %w", number, s.id, err)
	}
	return f, nil
}

// Events returns the events of a channel, as Reader.Events does.
func (s *Session) Events(number int) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		f, err := s.Channel(number)
		if err != nil {
			yield(Event{}, err)
			return
		}
		defer f.Close()
		r, err := NewReader(f)
		if err == nil && (r.header.VaultPAM.Session != s.id.String() || r.header.VaultPAM.Channel != number) {
			err = fmt.Errorf("%w: it is channel %d of %s", ErrDamaged, r.header.VaultPAM.Channel, r.header.VaultPAM.Session)
		}
		if err != nil {
			yield(Event{}, fmt.Errorf("reading channel %d of recording %v: %w", number, s.id, err))
			return
		}
		for e, err := range r.Events() {
			if err != nil {
				err = fmt.Errorf("reading channel %d of recording %v: %w", number, s.id, err)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// Verify holds the recording against the hash that Summary.SHA256 was when it
// ended, and which the ledger keeps: each file has to be there, byte for byte,
// and no other. An error that wraps ErrDamaged names the first difference.
func (s *Session) Verify(want Hash) error {
	if s.sum.SHA256 != want || want == (Hash{}) {
		return fmt.Errorf("%w: recording %v: %s is not the one with hash %v", ErrDamaged, s.id, logName, want)
	}
	names := map[string]bool{logName: true}
	for _, c := range s.sum.Channels {
		name := castName(c.Number)
		names[name] = true
		size, hash, err := hashFile(s.dir, name)
		if err != nil {
			return fmt.Errorf("%w: recording %v: %w", ErrDamaged, s.id, err)
		}
		if size != c.Size || hash != c.SHA256 {
			return fmt.Errorf("%w: recording %v: %s is not what was recorded", ErrDamaged, s.id, name)
		}
	}
	entries, err := readDir(s.dir)
	if err != nil {
		return fmt.Errorf("verifying recording %v: %w", s.id, err)
	}
	for _, e := range entries {
		if !names[e.Name()] {
			return fmt.Errorf("%w: recording %v: %q is not of it", ErrDamaged, s.id, e.Name())
		}
	}
	return nil
}

// readLog reads the log of a session and, where that is ended, its hash. A last
// line that is not whole is left out: somebody is writing, or was.
func readLog(dir *os.Root, id store.SessionID) ([]LogLine, Hash, error) {
	f, err := openFile(dir, logName, os.O_RDONLY)
	if err != nil {
		return nil, Hash{}, err
	}
	defer f.Close()
	sum := sha256.New()
	log := lineReader{r: bufio.NewReader(io.TeeReader(f, sum))}
	var lines []LogLine
	for {
		raw, err := log.next()
		if errors.Is(err, io.EOF) || errors.Is(err, ErrUnfinished) {
			break
		}
		if err != nil {
			return nil, Hash{}, err
		}
		l, err := parseLogLine(raw)
		if err == nil {
			err = checkOrder(id, lines, l)
		}
		if err != nil {
			return nil, Hash{}, log.damaged(err)
		}
		lines = append(lines, l)
	}
	if len(lines) == 0 {
		return nil, Hash{}, fmt.Errorf("%w: its log has no line yet", ErrUnfinished)
	}
	if !isEnded(lines) {
		return lines, Hash{}, nil
	}
	return lines, Hash(sum.Sum(nil)), nil
}

// checkOrder returns an error unless next may follow on lines.
func checkOrder(id store.SessionID, lines []LogLine, next LogLine) error {
	switch first := len(lines) == 0; {
	case first != (next.Event == EventSessionOpened):
		return errors.New("the first line, and it alone, has to be " + EventSessionOpened)
	case first && next.Opened.ID != id.String():
		return fmt.Errorf("it is the log of session %.80q", next.Opened.ID)
	case isEnded(lines):
		return errors.New("something follows the end marker")
	}
	return nil
}

func isEnded(lines []LogLine) bool {
	return len(lines) > 0 && lines[len(lines)-1].Event == EventSessionEnded
}

func summarise(id store.SessionID, lines []LogLine, hash Hash) Summary {
	sum := Summary{SHA256: hash}
	for _, l := range lines {
		switch l.Event {
		case EventSessionOpened:
			sum.Head = l.Opened.Head
		case EventChannelClosed:
			sum.Channels = append(sum.Channels, *l.Closed)
		case EventSessionEnded:
			sum.Ended, sum.Reason = l.Time, string(l.Reason)
		}
	}
	sum.Head.Session = id
	slices.SortFunc(sum.Channels, func(a, b ChannelSummary) int { return a.Number - b.Number })
	return sum
}

func hashFile(dir *os.Root, name string) (int64, Hash, error) {
	f, err := openFile(dir, name, os.O_RDONLY)
	if err != nil {
		return 0, Hash{}, err
	}
	defer f.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, f)
	return size, Hash(sum.Sum(nil)), err
}
