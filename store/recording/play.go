package recording

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
	"unicode/utf8"
)

// Plain writes the output of events as text: letters, line feeds and tabs, and
// nothing that acts on a terminal. What was overwritten stays visible: a
// carriage return alone, and a movement to another line, begin a new line. Only
// Output and Stderr are written; who wants to see Input changes its Kind.
func Plain(w io.Writer, events iter.Seq2[Event, error]) error {
	p := &plain{}
	v := &vt{screen: p}
	for e, err := range events {
		if err != nil {
			return errors.Join(p.flush(w, v), err)
		}
		if e.Kind != Output && e.Kind != Stderr {
			continue
		}
		v.feed(e.Data)
		if _, err := w.Write(p.buf); err != nil {
			return fmt.Errorf("writing text: %w", err)
		}
		p.buf = p.buf[:0]
	}
	return p.flush(w, v)
}

type plain struct {
	buf    []byte
	inLine bool // the line has text
	cr     bool // a carriage return came last
}

func (p *plain) flush(w io.Writer, v *vt) error {
	v.end()
	if _, err := w.Write(p.buf); err != nil {
		return fmt.Errorf("writing text: %w", err)
	}
	return nil
}

func (p *plain) text(r rune) {
	if p.cr {
		p.newLine()
	}
	p.buf, p.inLine = utf8.AppendRune(p.buf, visible(r)), true
}

func (p *plain) control(c byte) {
	switch c {
	case '\n', '\v', '\f':
		p.buf, p.inLine, p.cr = append(p.buf, '\n'), false, false
	case '\t':
		p.text(' ')
		p.buf[len(p.buf)-1] = '\t'
	case '\r':
		p.cr = true
	}
}

// newLine ends a line that has text.
func (p *plain) newLine() {
	if p.inLine {
		p.buf = append(p.buf, '\n')
	}
	p.inLine, p.cr = false, false
}

func (p *plain) escape(e escape) {
	if e.inter == "" && strings.IndexByte("DEMc8", e.final) >= 0 {
		p.newLine()
	}
}

func (p *plain) csi(c csi) {
	switch {
	case c.private != 0 || c.inter != "":
	case c.final == 'C': // programs move over a gap instead of writing blanks
		p.text(' ')
	case strings.IndexByte("ABEFHJdfu", c.final) >= 0:
		p.newLine()
	}
}

// Replay writes the output of events to a terminal in their time, speed times as
// fast. It passes text, colours, and movements and deletions of the cursor; it
// passes nothing that makes a terminal answer, or changes its title, clipboard,
// scroll-back, mouse or keys. At its end, and when ctx ends, it puts back what
// it changed. wait waits, or returns ctx's error; it may shorten long pauses.
func Replay(ctx context.Context, w io.Writer, events iter.Seq2[Event, error], speed float64,
	wait func(context.Context, time.Duration) error,
) (err error) {
	if !(speed > 0) || wait == nil {
		return fmt.Errorf("replaying at speed %v: want more than 0, and a way to wait", speed)
	}
	p := &replay{}
	v := &vt{screen: p}
	defer func() {
		v.end()
		p.restore()
		if _, writeErr := w.Write(p.buf); writeErr != nil {
			err = errors.Join(err, fmt.Errorf("replaying: %w", writeErr))
		}
	}()
	last := time.Duration(0)
	for e, err := range events {
		if err != nil {
			return err
		}
		if e.Kind != Output && e.Kind != Stderr {
			continue
		}
		if err := wait(ctx, time.Duration(float64(e.At-last)/speed)); err != nil {
			return err
		}
		last = e.At
		v.feed(e.Data)
		if _, err := w.Write(p.buf); err != nil {
			return fmt.Errorf("replaying: %w", err)
		}
		p.buf = p.buf[:0]
	}
	return nil
}
