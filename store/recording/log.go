package recording

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/vaultpam/vaultpam/store"
)

// The events of session.jsonl that this package writes; others come from
// Recording.Note.
const (
	EventSessionOpened = "session.opened"
	EventChannelOpened = "channel.opened"
	EventChannelClosed = "channel.closed"
	EventSessionEnded  = "session.ended"
)

const (
	logName    = "session.jsonl"
	logVersion = 1
)

// A LogLine is a line of session.jsonl. Which fields are set depends on Event.
type LogLine struct {
	Time  time.Time `json:"time"`
	Event string    `json:"event"`
	// Channel is a channel's number, from 1 on; 0 means the whole session.
	Channel int             `json:"channel,omitempty"`
	Detail  Text            `json:"detail,omitempty"`
	Opened  *OpenedLine     `json:"session,omitempty"`
	Info    *ChannelInfo    `json:"info,omitempty"`
	Label   Label           `json:"label,omitempty"`
	Closed  *ChannelSummary `json:"closed,omitempty"`
	Reason  Text            `json:"reason,omitempty"`
}

// An OpenedLine is what the first line says.
type OpenedLine struct {
	Format int    `json:"format"`
	ID     string `json:"id"`
	Head
}

func openedLine(now time.Time, id store.SessionID, head Head) LogLine {
	return LogLine{Time: now, Event: EventSessionOpened, Opened: &OpenedLine{Format: logVersion, ID: id.String(), Head: head}}
}

// appendLogLine appends l as one line of ASCII.
func appendLogLine(dst []byte, l LogLine) ([]byte, error) {
	l.Time = l.Time.UTC().Round(0)
	b, err := json.Marshal(l)
	if err != nil {
		return dst, fmt.Errorf("encoding a line of the session's log: %w", err)
	}
	return append(appendASCII(dst, b), '\n'), nil
}

// appendASCII appends JSON with everything outside of printable ASCII escaped.
// encoding/json has escaped the C0 controls; the rest can only be in strings.
func appendASCII(dst, b []byte) []byte {
	for _, r := range string(b) {
		switch {
		case r < 0x7f:
			dst = append(dst, byte(r))
		case r <= 0xffff:
			dst = appendEscape(dst, r)
		default:
			high, low := utf16.EncodeRune(r)
			dst = appendEscape(appendEscape(dst, high), low)
		}
	}
	return dst
}

// parseLogLine parses a line without its line feed. It refuses fields that this
// version does not know.
func parseLogLine(line []byte) (LogLine, error) {
	var l LogLine
	if !utf8.Valid(line) {
		return l, errors.New("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return l, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return l, errors.New("more than one value")
	}
	return l, l.check()
}

func (l LogLine) check() error {
	switch {
	case l.Event == "" || l.Channel < 0,
		l.Event == EventSessionOpened && l.Opened == nil,
		l.Event == EventChannelOpened && (l.Info == nil || l.Channel == 0),
		l.Event == EventChannelClosed && (l.Closed == nil || l.Closed.Number != l.Channel || l.Channel == 0):
		return fmt.Errorf("line of event %q lacks what it is about", l.Event)
	case l.Opened != nil && l.Opened.Format != logVersion:
		return fmt.Errorf("format %d is unknown; this program reads format %d", l.Opened.Format, logVersion)
	}
	return nil
}
