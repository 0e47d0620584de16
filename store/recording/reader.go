package recording

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"time"
	"unicode/utf8"
)

// MaxLine bounds a line of a recording, in bytes.
const MaxLine = 16 << 20

// An EventKind says what an Event is.
type EventKind string

const (
	Output  EventKind = "output" // Data: standard output, exactly
	Stderr  EventKind = "stderr" // Data: standard error, exactly
	Input   EventKind = "input"  // Data: input, exactly
	Resized EventKind = "resize" // Cols, Rows
	Marker  EventKind = "marker" // Data: a remark, in UTF-8
	Ended   EventKind = "end"    // End
)

// An Event is something that happened on a channel.
type Event struct {
	At         time.Duration // since the channel was opened
	Kind       EventKind
	Data       []byte
	Cols, Rows int
	End        *End
}

// A Reader reads one channel's file, as this package writes it and no
// other: another asciicast is ErrDamaged to it.
type Reader struct {
	lines  lineReader
	header Header
	at     time.Duration
	shown  byte // code of the event that displays the "b" event before it, or 0
}

// NewReader reads the header.
func NewReader(r io.Reader) (*Reader, error) {
	d := &Reader{lines: lineReader{r: bufio.NewReaderSize(r, 64<<10)}}
	line, err := d.lines.next()
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: it has no header yet", ErrUnfinished)
	}
	if err != nil {
		return nil, err
	}
	if d.header, err = parseHeader(line); err != nil {
		return nil, d.lines.damaged(err)
	}
	return d, nil
}

// Header returns the file's first line.
func (d *Reader) Header() Header { return d.header }

// Events returns the events, once. The last is Ended, or comes with an error
// that wraps ErrUnfinished where the recording has no end marker, and ErrDamaged
// where a line is not what it should be.
func (d *Reader) Events() iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			e, err := d.next()
			if err != nil {
				yield(Event{}, err)
				return
			}
			if !yield(e, nil) || e.Kind == Ended {
				return
			}
		}
	}
}

func (d *Reader) next() (Event, error) {
	for {
		line, err := d.lines.next()
		if errors.Is(err, io.EOF) {
			err = ErrUnfinished
		}
		if err != nil {
			return Event{}, err
		}
		at, code, text, err := parseLine(line)
		if err == nil && at < d.at {
			err = errors.New("time runs backwards")
		}
		if err != nil {
			return Event{}, d.lines.damaged(err)
		}
		d.at = at
		if shown := d.shown; shown != 0 {
			d.shown = 0
			if code == shown {
				continue // these bytes were told already
			}
			if code != codeEnd {
				return Event{}, d.lines.damaged(errors.New("bytes without the event that displays them"))
			}
		}
		e, err := d.event(at, code, text)
		if err != nil {
			return Event{}, d.lines.damaged(err)
		}
		if e.Kind == Ended {
			return e, d.lines.atEnd()
		}
		return e, nil
	}
}

func (d *Reader) event(at time.Duration, code byte, text []byte) (e Event, err error) {
	e = Event{At: at, Data: text}
	switch code {
	case codeOutput:
		e.Kind = Output
	case codeInput:
		e.Kind = Input
	case codeMarker:
		e.Kind = Marker
	case codeBytes:
		return d.bytesEvent(e)
	case codeResize:
		e.Kind, e.Data = Resized, nil
		e.Cols, e.Rows, err = parseSize(text)
	case codeEnd:
		e.Kind, e.Data = Ended, nil
		e.End, err = parseEnd(text)
	default:
		err = fmt.Errorf("unknown event %q", code)
	}
	return e, err
}

func (d *Reader) bytesEvent(e Event) (Event, error) {
	name, digits, ok := bytes.Cut(e.Data, []byte{':'})
	if !ok || len(name) != 1 {
		return e, errors.New("bytes without the name of a stream")
	}
	switch name[0] {
	case codeOutput:
		e.Kind = Output
	case streamError:
		e.Kind = Stderr
	case codeInput:
		e.Kind = Input
	default:
		return e, fmt.Errorf("bytes of unknown stream %q", name)
	}
	data, err := base64.StdEncoding.Strict().AppendDecode(nil, digits)
	e.Data, d.shown = data, displayCode(name[0])
	return e, err
}

func parseSize(text []byte) (cols, rows int, err error) {
	c, r, _ := bytes.Cut(text, []byte{'x'})
	cols, err1 := strconv.Atoi(string(c))
	rows, err2 := strconv.Atoi(string(r))
	if err := errors.Join(err1, err2); err != nil || cols <= 0 || rows <= 0 || cols >= 1<<16 || rows >= 1<<16 {
		return 0, 0, fmt.Errorf("size %.20q: want COLSxROWS", text)
	}
	return cols, rows, nil
}

func parseEnd(text []byte) (*End, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	end := new(End)
	if err := d.Decode(end); err != nil {
		return nil, fmt.Errorf("end marker: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) || end.Reason == "" {
		return nil, errors.New("end marker without a reason, or with more than one value")
	}
	return end, nil
}

// parseLine takes an event's line apart: [SECONDS.MICROSECONDS,"C","TEXT"]. It
// accepts what appendEvent, appendText and endLine make, and nothing else that
// JSON allows. text is a copy.
func parseLine(line []byte) (at time.Duration, code byte, text []byte, err error) {
	seconds, rest, ok := bytes.Cut(bytes.TrimPrefix(line, []byte{'['}), []byte{'.'})
	const middle = len(`123456,"o","`)
	if !ok || line[0] != '[' || len(rest) < middle+len(`"]`) || len(seconds) > 1 && seconds[0] == '0' {
		return 0, 0, nil, errors.New("not an event")
	}
	s, err1 := strconv.ParseUint(string(seconds), 10, 32)
	us, err2 := strconv.ParseUint(string(rest[:6]), 10, 32)
	code = rest[8]
	if err1 != nil || err2 != nil ||
		string(rest[6:8]) != `,"` || string(rest[9:middle]) != `","` || string(rest[len(rest)-2:]) != `"]` {
		return 0, 0, nil, errors.New("not an event")
	}
	text, err = unescape(rest[middle : len(rest)-2])
	return time.Duration(s)*time.Second + time.Duration(us)*time.Microsecond, code, text, err
}

// unescape reverses appendText.
func unescape(s []byte) ([]byte, error) {
	if !utf8.Valid(s) {
		return nil, errors.New("text is not UTF-8")
	}
	text := make([]byte, 0, len(s))
	for len(s) > 0 {
		n := plainPrefix(s)
		text = append(text, s[:n]...)
		if s = s[n:]; len(s) == 0 {
			break
		}
		r, size := utf8.DecodeRune(s)
		switch {
		case r == '\\':
			if r, size = unescapeOne(s); size == 0 {
				return nil, errors.New("text has an unknown escape")
			}
		case needsEscape(r):
			return nil, errors.New("text has a control character or quote")
		}
		text = utf8.AppendRune(text, r)
		s = s[size:]
	}
	return text, nil
}

// unescapeOne returns the character that the escape at the beginning of s stands
// for and the escape's size, 0 where it is none that appendEscape makes.
func unescapeOne(s []byte) (rune, int) {
	if len(s) < 2 {
		return 0, 0
	}
	var r rune
	size := 2
	switch s[1] {
	case '"', '\\':
		r = rune(s[1])
	case 'n':
		r = '\n'
	case 'r':
		r = '\r'
	case 't':
		r = '\t'
	case 'u':
		if len(s) < 6 {
			return 0, 0
		}
		n, err := strconv.ParseUint(string(s[2:6]), 16, 16)
		if err != nil {
			return 0, 0
		}
		r, size = rune(n), 6
	default:
		return 0, 0
	}
	if !bytes.Equal(appendEscape(nil, r), s[:size]) || !needsEscape(r) {
		return 0, 0
	}
	return r, size
}
