package recording

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// A lineReader reads whole lines and knows where the last one ended.
type lineReader struct {
	r      *bufio.Reader
	buf    []byte
	offset int64 // behind the last whole line
	number int   // of the last whole line
}

// next returns the next line without its line feed; it is valid until the next
// call. At the end it returns io.EOF, and for a last line without a line feed,
// torn by a crash or still being written, an error that wraps ErrUnfinished.
func (l *lineReader) next() ([]byte, error) {
	l.buf = l.buf[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		l.buf = append(l.buf, part...)
		switch {
		case len(l.buf) > MaxLine:
			return nil, fmt.Errorf("%w: line %d is longer than %d bytes", ErrDamaged, l.number+1, MaxLine)
		case err == nil:
			l.offset += int64(len(l.buf))
			l.number++
			return l.buf[:len(l.buf)-1], nil
		case errors.Is(err, io.EOF) && len(l.buf) == 0:
			return nil, io.EOF
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("%w: line %d is not whole", ErrUnfinished, l.number+1)
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("reading recording: %w", err)
		}
	}
}

// atEnd returns an error unless nothing follows.
func (l *lineReader) atEnd() error {
	_, err := l.r.ReadByte()
	switch {
	case err == nil:
		return l.damaged(errors.New("something follows the end marker"))
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("reading recording: %w", err)
	}
	return nil
}

func (l *lineReader) damaged(err error) error {
	return fmt.Errorf("%w: line %d: %w", ErrDamaged, l.number, err)
}
