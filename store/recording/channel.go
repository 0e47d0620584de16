package recording

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"os"
	"sync"
	"time"
)

// chunk bounds the bytes of one event, in bytes.
const chunk = 64 << 10

// A Channel is the open record of one session channel. Its methods may be called
// concurrently. When one of them has returned nil, what it was given is with the
// operating system.
type Channel struct {
	rec    *Recording
	number int
	info   ChannelInfo
	label  Label
	start  time.Time

	mu            sync.Mutex // guards everything below
	file          *file
	at            time.Duration // of the last event: time never runs backwards
	out, err, in  stream
	nOut, nErr    uint64
	nIn           uint64
	inputSum      hash.Hash // of a Metadata channel
	inputRecorded uint64
	closed        bool
	summary       ChannelSummary
}

func newChannel(r *Recording, number int, info ChannelInfo, now time.Time, f *file) *Channel {
	data := info.Label() == Metadata
	c := &Channel{
		rec: r, number: number, info: info, label: info.Label(), start: now, file: f,
		out: stream{name: codeOutput, data: data},
		err: stream{name: streamError, data: data},
		in:  stream{name: codeInput, data: data},
	}
	if c.label == Metadata {
		c.inputSum = sha256.New()
	}
	return c
}

// Number returns the channel's number in the recording.
func (c *Channel) Number() int { return c.number }

// Label returns what the channel's record can show.
func (c *Channel) Label() Label { return c.label }

// Output records bytes that the target sent as standard output. The caller
// forwards them only after it returned nil.
func (c *Channel) Output(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.record(&c.out, &c.nOut, p)
}

// Stderr records bytes that the target sent as standard error.
func (c *Channel) Stderr(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.record(&c.err, &c.nErr, p)
}

// Input takes bytes that the user sent, before they are forwarded. On a channel
// labelled Metadata the first InputLimit bytes are recorded and all of them
// hashed; on others they are only counted: a terminal's input holds passwords.
func (c *Channel) Input(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usable(); err != nil {
		return err
	}
	if c.label != Metadata {
		c.nIn += uint64(len(p))
		return nil
	}
	room := InputLimit - c.inputRecorded
	head := p[:min(room, uint64(len(p)))]
	rest := p[len(head):]
	if err := c.record(&c.in, &c.nIn, head); err != nil {
		return err
	}
	c.inputSum.Write(p)
	c.inputRecorded += uint64(len(head))
	first := c.nIn == InputLimit && len(rest) > 0
	c.nIn += uint64(len(rest))
	if first {
		return c.marker(fmt.Sprintf("input beyond %d bytes is not recorded; its length and hash follow at the end", InputLimit))
	}
	return nil
}

// Resize records a new size of the terminal, in characters.
func (c *Channel) Resize(cols, rows int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usable(); err != nil {
		return err
	}
	return c.write(func(dst []byte, at time.Duration) []byte {
		return endLine(fmt.Appendf(appendEvent(dst, at, codeResize), "%dx%d", clampSize(cols, 80), clampSize(rows, 24)))
	})
}

// Marker records a remark of at most MaxText bytes, which players show on their
// time line. What of it is not UTF-8 becomes U+FFFD.
func (c *Channel) Marker(text string) error {
	if len(text) > MaxText {
		return fmt.Errorf("marker of %d bytes, want at most %d", len(text), MaxText)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.marker(text)
}

func (c *Channel) marker(text string) error {
	if err := c.usable(); err != nil {
		return err
	}
	return c.write(func(dst []byte, at time.Duration) []byte {
		return endLine(appendDisplay(appendEvent(dst, at, codeMarker), []byte(text)))
	})
}

// record writes the events of p in chunks, so that no line grows without bound,
// and counts what is written. c.mu is held.
func (c *Channel) record(s *stream, count *uint64, p []byte) error {
	if err := c.usable(); err != nil {
		return err
	}
	if c.label == Opaque {
		*count += uint64(len(p))
		return nil
	}
	for len(p) > 0 {
		part := p[:min(chunk, len(p))]
		err := c.write(func(dst []byte, at time.Duration) []byte { return s.append(dst, at, part) })
		if err != nil {
			return err
		}
		*count += uint64(len(part))
		p = p[len(part):]
	}
	return nil
}

// write appends the lines that encode makes, in one write(2). c.mu is held.
func (c *Channel) write(encode func(dst []byte, at time.Duration) []byte) error {
	c.at = max(c.at, c.rec.store.opts.Now().Sub(c.start))
	buf := c.rec.store.bufs.Get().(*[]byte)
	defer c.rec.store.bufs.Put(buf)
	*buf = encode((*buf)[:0], c.at)
	if err := c.file.append(*buf); err != nil {
		return c.rec.fail(fmt.Errorf("writing channel %d: %w", c.number, err))
	}
	c.rec.wakeSync()
	return nil
}

// usable returns why the channel takes nothing more. c.mu is held.
func (c *Channel) usable() error {
	if c.closed {
		return fmt.Errorf("%w: channel %d of session %v: %w", ErrRecorder, c.number, c.rec.id, os.ErrClosed)
	}
	return c.rec.failure()
}

// Close writes the channel's end marker, makes its file durable, and then writes
// its hash into the session's log. Where the recording had failed it still
// tries, and returns the error. Further calls return the same.
func (c *Channel) Close(exit Exit) (ChannelSummary, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.summary, c.rec.failure()
	}
	end := c.end(exit)
	if c.label == Metadata && c.nIn > InputLimit {
		_ = c.marker(fmt.Sprintf("input: %d bytes, SHA-256 %v", end.BytesIn, end.InputSHA256)) // fails the recording
	}
	c.closed = true
	err := c.write(func(dst []byte, at time.Duration) []byte { return appendEnd(dst, at, end) })
	c.summary = ChannelSummary{
		Number: c.number, Kind: c.info.Kind, Label: c.label, Exit: exit,
		BytesIn: end.BytesIn, BytesOut: end.BytesOut, BytesErr: end.BytesErr,
		InputSHA256: end.InputSHA256, Duration: c.at, Size: c.file.size, SHA256: c.file.hash(),
	}
	return c.summary, c.rec.channelClosed(c.summary, errors.Join(err, c.file.finish()))
}

func (c *Channel) end(exit Exit) End {
	end := End{Reason: ReasonClosed, Exit: exit, BytesIn: c.nIn, BytesOut: c.nOut, BytesErr: c.nErr}
	if c.inputSum != nil {
		end.InputSHA256 = Hash(c.inputSum.Sum(nil))
	}
	if c.rec.failure() != nil {
		end.Reason = ReasonRecorder
	}
	return end
}

// failure is Err without a lock on the way of every write: the recording's
// mutex is held while its log is written.
func (r *Recording) failure() error {
	select {
	case <-r.failed:
		return r.Err()
	default:
		return nil
	}
}

// channelClosed logs the end of a channel, unless its file could not be finished:
// without that line Recover looks at the file again.
func (r *Recording) channelClosed(s ChannelSummary, finish error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, s.Number)
	if finish != nil {
		return r.failLocked(fmt.Errorf("closing channel %d: %w", s.Number, finish))
	}
	err := r.appendLog(LogLine{Time: r.store.opts.Now(), Event: EventChannelClosed, Channel: s.Number, Closed: &s})
	if err != nil {
		return r.failLocked(fmt.Errorf("closing channel %d: %w", s.Number, err))
	}
	r.channels = append(r.channels, s)
	r.wakeSync()
	return r.err
}

// An End is a channel's end marker.
type End struct {
	Reason string `json:"reason"`
	Exit
	BytesIn     uint64 `json:"bytes_in"`
	BytesOut    uint64 `json:"bytes_out"`
	BytesErr    uint64 `json:"bytes_err"`
	InputSHA256 Hash   `json:"input_sha256,omitzero"`
}

func appendEnd(dst []byte, at time.Duration, end End) []byte {
	b, err := json.Marshal(end)
	if err != nil {
		panic(err) // strings, numbers and a hash: cannot happen
	}
	return endLine(appendText(appendEvent(dst, at, codeEnd), b))
}
