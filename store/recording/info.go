package recording

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/vaultpam/vaultpam/store"
)

var (
	// ErrRecorder is wrapped by every error after which a recording cannot go
	// on. The session has to end: what is not recorded must not happen. A full
	// disk is syscall.ENOSPC beneath it.
	ErrRecorder = errors.New("recording cannot go on")
	// ErrUnfinished is wrapped by the error at the end of a recording that has
	// no end marker: it is still being written, or waits for Recover.
	ErrUnfinished = errors.New("recording has no end marker")
	// ErrDamaged is wrapped by the error of a recording that is not what this
	// package wrote.
	ErrDamaged = errors.New("recording is damaged")
)

// The reasons of an end that this package itself gives.
const (
	ReasonClosed      = "closed"
	ReasonInterrupted = "interrupted"
	ReasonRecorder    = "recorder failed"
)

// A Kind is what a client asked a session channel for (RFC 4254, section 6.5).
type Kind string

const (
	Shell     Kind = "shell"
	Exec      Kind = "exec"
	Subsystem Kind = "subsystem"
)

// A Label says what the record of a channel can show; the ledger's word for it.
type Label = store.Label

const (
	// Replayable: a terminal. What it showed is recorded, keystrokes are not,
	// because they hold passwords.
	Replayable = store.LabelReplayable
	// Metadata: a shell or command without a terminal. Its output is recorded
	// whole and its input up to InputLimit, then as a hash.
	Metadata = store.LabelMetadata
	// Opaque: bytes are counted and nothing of them is kept.
	Opaque = store.LabelOpaque
)

// InputLimit bounds the recorded input of a channel, in bytes.
const InputLimit = 1 << 20

// MaxText bounds a Text, in bytes.
const MaxText = 1 << 20

// A Text is a string that a stranger sent. In JSON it is a string, or
// {"base64":"…"} where it is not UTF-8, so that nothing of it is lost.
type Text string

type rawText struct {
	Base64 []byte `json:"base64"`
}

// MarshalJSON implements json.Marshaler.
func (t Text) MarshalJSON() ([]byte, error) {
	if !utf8.ValidString(string(t)) {
		return json.Marshal(rawText{[]byte(t)})
	}
	return json.Marshal(string(t))
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *Text) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err == nil {
		*t = Text(s)
		return nil
	}
	var raw rawText
	if err := json.Unmarshal(b, &raw); err != nil {
		return fmt.Errorf("text is neither a string nor base64: %w", err)
	}
	*t = Text(raw.Base64)
	return nil
}

// A Hash is a SHA-256 hash; its text is 64 lower-case hexadecimal digits.
type Hash [32]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText implements encoding.TextMarshaler.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hash) UnmarshalText(b []byte) error {
	if len(b) != 2*len(h) {
		return fmt.Errorf("hash of %d digits, want %d", len(b), 2*len(h))
	}
	_, err := hex.Decode(h[:], b)
	return err
}

// A Head says whose session is recorded. Recordings may name people: they are
// not the ledger, and can be erased.
type Head struct {
	Session store.SessionID  `json:"-"`
	Handle  store.Handle     `json:"handle"`
	Login   store.Login      `json:"login"`
	Target  store.TargetName `json:"target"`
	Server  string           `json:"server"`
	Started time.Time        `json:"started"`
}

// A ChannelInfo says what a session channel is. Command is the command line of
// an Exec, or the name of a Subsystem. Term, Cols and Rows come from the
// pty-req, and mean nothing unless TTY is set.
type ChannelInfo struct {
	Kind    Kind `json:"kind"`
	Command Text `json:"command,omitempty"`
	TTY     bool `json:"tty,omitempty"`
	Term    Text `json:"term,omitempty"`
	Cols    int  `json:"cols,omitempty"`
	Rows    int  `json:"rows,omitempty"`
}

// Label returns what the record of such a channel can show.
func (i ChannelInfo) Label() Label {
	switch {
	case i.Kind == Subsystem:
		return Opaque
	case i.TTY:
		return Replayable
	}
	return Metadata
}

func (i ChannelInfo) check() error {
	if i.Kind != Shell && i.Kind != Exec && i.Kind != Subsystem {
		return fmt.Errorf("channel of unknown kind %q", i.Kind)
	}
	if len(i.Command) > MaxText || len(i.Term) > MaxText {
		return fmt.Errorf("command or terminal type is longer than %d bytes", MaxText)
	}
	return nil
}

// An Exit is how a channel's program ended: with a status, by a signal (its
// name without SIG, RFC 4254, section 6.10), or, both empty, unknown.
type Exit struct {
	Status *int `json:"status,omitempty"`
	Signal Text `json:"signal,omitempty"`
}

// A ChannelSummary is what is to be said of a channel after its end.
type ChannelSummary struct {
	Number int   `json:"number"`
	Kind   Kind  `json:"kind"`
	Label  Label `json:"label"`
	Exit   Exit  `json:"exit"`
	// BytesIn, BytesOut and BytesErr were carried towards the target, and back
	// as standard output and standard error. An interrupted recording knows the
	// bytes that it holds, and no others.
	BytesIn  uint64 `json:"bytes_in"`
	BytesOut uint64 `json:"bytes_out"`
	BytesErr uint64 `json:"bytes_err"`
	// InputSHA256 is the hash of all input of a channel labelled Metadata, and
	// zero otherwise and where the recording was interrupted.
	InputSHA256 Hash          `json:"input_sha256,omitzero"`
	Duration    time.Duration `json:"duration_ns"`
	// Size and SHA256 are those of the channel's file.
	Size   int64 `json:"size"`
	SHA256 Hash  `json:"sha256"`
	// Damaged says that Recover found a file that it could not read to its end,
	// and left it as it was.
	Damaged bool `json:"damaged,omitempty"`
}

// A Summary is what is to be said of a recording after its end. SHA256 is the
// hash of session.jsonl, and stands for every file of the recording.
type Summary struct {
	Head     Head
	Ended    time.Time
	Reason   string
	Channels []ChannelSummary
	SHA256   Hash
}
