package recording

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// closeChannel gives a channel's file its end marker where it has none, and
// makes it durable. opened is the log's line about it, or nil.
func (c *closer) closeChannel(number int, opened *LogLine) (ChannelSummary, error) {
	f, err := c.openChannel(number, opened)
	if err != nil {
		return ChannelSummary{}, err
	}
	sum, err := c.finishChannel(f, number)
	if errors.Is(err, ErrDamaged) {
		c.damage = errors.Join(c.damage, fmt.Errorf("channel %d: %w", number, err))
		sum.Damaged, err = true, nil
	}
	if err = errors.Join(err, f.finish()); err != nil {
		return sum, err
	}
	sum.Number = number
	if opened != nil {
		sum.Kind, sum.Label = opened.Info.Kind, opened.Label
	}
	sum.Size, sum.SHA256, err = hashFile(c.dir, castName(number))
	return sum, err
}

// openChannel opens a channel's file, and writes its header from the log where
// the process died before that.
func (c *closer) openChannel(number int, opened *LogLine) (*file, error) {
	f, err := openToAppend(c.dir, castName(number))
	if errors.Is(err, fs.ErrNotExist) {
		f, err = createFile(c.dir, castName(number))
	}
	if err != nil || opened == nil {
		return f, err
	}
	r := lineReader{r: bufio.NewReader(f.f)}
	if _, err = r.next(); errors.Is(err, io.EOF) || errors.Is(err, ErrUnfinished) {
		var header []byte
		if header, err = newHeader(c.id, number, *opened.Info, opened.Time).line(); err == nil {
			err = errors.Join(f.cut(0), f.append(header))
		}
	}
	if errors.Is(err, ErrDamaged) {
		err = nil // finishChannel finds the same
	}
	if _, seekErr := f.f.Seek(0, io.SeekStart); seekErr != nil || err != nil {
		return nil, errors.Join(err, seekErr, f.f.Close())
	}
	return f, nil
}

// finishChannel reads a channel's file, cuts a torn last line off, and appends
// the end marker. A file that cannot be read to its end is left as it is.
func (c *closer) finishChannel(f *file, number int) (ChannelSummary, error) {
	r, err := NewReader(f.f)
	if errors.Is(err, ErrUnfinished) {
		return ChannelSummary{}, fmt.Errorf("%w: neither the log nor the file says what it is", ErrDamaged)
	}
	if err != nil {
		return ChannelSummary{}, err
	}
	x := r.header.VaultPAM
	sum := ChannelSummary{Kind: x.Info.Kind, Label: x.Label}
	if x.Session != c.id.String() || x.Channel != number {
		return sum, fmt.Errorf("%w: it is channel %d of %s", ErrDamaged, x.Channel, x.Session)
	}
	for e, err := range r.Events() {
		switch {
		case errors.Is(err, ErrUnfinished):
			return sum, f.interrupt(sum, r.lines.offset)
		case err != nil:
			return sum, err
		}
		count(&sum, e)
	}
	return sum, nil
}

func count(sum *ChannelSummary, e Event) {
	sum.Duration = e.At
	switch n := uint64(len(e.Data)); e.Kind {
	case Output:
		sum.BytesOut += n
	case Stderr:
		sum.BytesErr += n
	case Input:
		sum.BytesIn += n
	case Ended:
		sum.Exit = e.End.Exit
		sum.BytesIn, sum.BytesOut, sum.BytesErr = e.End.BytesIn, e.End.BytesOut, e.End.BytesErr
		sum.InputSHA256 = e.End.InputSHA256
	}
}

// interrupt appends the end marker behind the last whole line. It takes the time
// of the last event: nobody knows when the process died.
func (f *file) interrupt(sum ChannelSummary, offset int64) error {
	if err := f.cut(offset); err != nil {
		return err
	}
	end := End{Reason: ReasonInterrupted, BytesIn: sum.BytesIn, BytesOut: sum.BytesOut, BytesErr: sum.BytesErr}
	return f.append(appendEnd(nil, sum.Duration, end))
}
