package recording

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/vaultpam/vaultpam/store"
)

// recoverPage is how many names are read at once.
const recoverPage = 1000

// Recover closes the recordings that have no end marker and are not being
// written by this Store, as interrupted at end, and returns their summaries. It
// looks at every recording, and may be called at any time. A recording that it
// cannot close is in the error, and stays open for the next call.
//
// A process that dies on the way leaves a recording open, or closed and not yet
// in the caller's ledger. So the caller goes through the sessions that are open
// in its ledger, with RecoverSession and OpenSession.
func (s *Store) Recover(ctx context.Context, end time.Time) ([]Summary, error) {
	all, err := s.root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("recovering recordings: %w", err)
	}
	defer all.Close()
	var sums []Summary
	var errs []error
	for {
		// There may be millions.
		entries, err := all.ReadDir(recoverPage)
		for _, e := range entries {
			id, err := store.ParseSessionID(e.Name())
			if err != nil || !s.claim(id) {
				continue // not a recording, or a live one
			}
			sum, err := s.recover(ctx, id, end)
			s.release(id)
			if err != nil {
				errs = append(errs, fmt.Errorf("recovering recording %v: %w", id, err))
			} else if sum.Reason != "" {
				sums = append(sums, sum)
			}
		}
		if errors.Is(err, io.EOF) || ctx.Err() != nil {
			break
		} else if err != nil {
			errs = append(errs, fmt.Errorf("recovering recordings: %w", err))
			break
		}
	}
	slices.SortFunc(sums, func(a, b Summary) int {
		return bytes.Compare(a.Head.Session[:], b.Head.Session[:])
	})
	return sums, errors.Join(errs...)
}

// RecoverSession closes one recording as Recover does, and does nothing where it
// has its end marker. One that is being written is refused.
func (s *Store) RecoverSession(ctx context.Context, id store.SessionID, end time.Time) error {
	if !s.claim(id) {
		return fmt.Errorf("recovering recording %v: it is being written", id)
	}
	defer s.release(id)
	if _, err := s.recover(ctx, id, end); err != nil {
		return fmt.Errorf("recovering recording %v: %w", id, err)
	}
	return nil
}

// recover closes one recording; the summary of one that is closed has no reason.
func (s *Store) recover(ctx context.Context, id store.SessionID, end time.Time) (Summary, error) {
	if err := ctx.Err(); err != nil {
		return Summary{}, err
	}
	dir, err := openDir(s.root, id.String())
	if err != nil {
		return Summary{}, err
	}
	defer dir.Close()
	log, err := openLog(dir)
	if err != nil || log == nil {
		return Summary{}, err
	}
	c := &closer{id: id, dir: dir, end: end.UTC().Round(0), log: log}
	err = c.close()
	// The directory last, and whatever its files say: the process may have died
	// before it synced a new name.
	if err = errors.Join(err, log.finish(), syncDir(dir), syncDir(s.root)); err != nil {
		return Summary{}, err
	}
	_, hash, err := hashFile(dir, logName)
	if err != nil {
		return Summary{}, err
	}
	if c.damage != nil {
		s.opts.Log.Warn("recording closed, but a part of it is damaged", "session", id.String(), "error", c.damage.Error())
	}
	return summarise(id, c.lines, hash), nil
}

// openLog opens the log to append to, or returns nil where its end marker is
// there. A directory whose process died before it made the log gets one.
func openLog(dir *os.Root) (*file, error) {
	log, err := openToAppend(dir, logName)
	if errors.Is(err, fs.ErrNotExist) {
		return createFile(dir, logName)
	}
	if err != nil {
		return nil, err
	}
	const enough = 16 << 10 // the last line is short: see clipReason
	tail := make([]byte, min(log.size, enough))
	if _, err := log.f.ReadAt(tail, log.size-int64(len(tail))); err != nil {
		return nil, errors.Join(err, log.f.Close())
	}
	line, whole := bytes.CutSuffix(tail, []byte{'\n'})
	last, err := parseLogLine(line[bytes.LastIndexByte(line, '\n')+1:])
	if whole && err == nil && last.Event == EventSessionEnded {
		return nil, log.f.Close()
	}
	return log, nil
}

// A closer closes one recording. Each step leaves what a second closer, after a
// crash, goes on from: a channel's file is closed and durable before the log
// says so, and the log's last line comes after everything.
type closer struct {
	id     store.SessionID
	dir    *os.Root
	end    time.Time
	log    *file
	lines  []LogLine
	damage error
}

func (c *closer) close() error {
	if err := c.readLog(); err != nil {
		return err
	}
	if len(c.lines) == 0 {
		if err := c.append(openedLine(c.end, c.id, Head{Started: c.end})); err != nil {
			return err
		}
	}
	channels, err := c.openChannels()
	if err != nil {
		return err
	}
	for _, number := range slices.Sorted(maps.Keys(channels)) {
		sum, err := c.closeChannel(number, channels[number])
		if err != nil {
			return fmt.Errorf("channel %d: %w", number, err)
		}
		if err := c.append(LogLine{Time: c.end, Event: EventChannelClosed, Channel: number, Closed: &sum}); err != nil {
			return err
		}
	}
	return c.append(LogLine{Time: c.end, Event: EventSessionEnded, Reason: ReasonInterrupted})
}

func (c *closer) append(l LogLine) error {
	line, err := appendLogLine(nil, l)
	if err != nil {
		return err
	}
	if err := c.log.append(line); err != nil {
		return err
	}
	c.lines = append(c.lines, l)
	return nil
}

// readLog reads what the log holds and cuts a torn last line off. A whole line
// that cannot be read stays where it is: it is evidence.
func (c *closer) readLog() error {
	r := lineReader{r: bufio.NewReader(c.log.f)}
	for {
		raw, err := r.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, ErrUnfinished):
			return c.log.cut(r.offset)
		case err != nil:
			return err
		}
		l, err := parseLogLine(raw)
		if err == nil {
			err = checkOrder(c.id, c.lines, l)
		}
		if err != nil {
			c.damage = errors.Join(c.damage, r.damaged(err))
			continue
		}
		c.lines = append(c.lines, l)
	}
}

// openChannels returns the channels that the log does not call closed, with what
// it says of them; of a file that the log does not know that is nil.
func (c *closer) openChannels() (map[int]*LogLine, error) {
	channels := map[int]*LogLine{}
	entries, err := readDir(c.dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if number, ok := parseCastName(e.Name()); ok {
			channels[number] = nil
		}
	}
	for i, l := range c.lines {
		switch l.Event {
		case EventChannelOpened:
			channels[l.Channel] = &c.lines[i]
		case EventChannelClosed:
			delete(channels, l.Channel)
		}
	}
	return channels, nil
}
