package relay

import (
	"bytes"
	"io"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

// maxNoise bounds the standard error of an errand, in bytes. What comes beyond
// it ends the errand, or a target could fill the disk with recordings.
const maxNoise = 1 << 20

// A desk is the client's side of an errand's channel: it sends the input and
// keeps what comes. The channel reads it from one goroutine and holds toClient
// while it writes, and outcome is called when the channel has run.
type desk struct {
	session *session
	input   *bytes.Reader
	limit   int // of output

	output  []byte
	stderr  []byte // no more than clean takes
	noise   int    // bytes of standard error so far
	tooMuch bool   // it was this that ended the session
	exit    recording.Exit
}

var _ ssh.Channel = (*desk)(nil)

// Read reads the errand's input.
func (d *desk) Read(p []byte) (int, error) { return d.input.Read(p) }

// Write keeps standard output.
func (d *desk) Write(p []byte) (int, error) {
	room := min(len(p), d.limit-len(d.output))
	d.output = append(d.output, p[:room]...)
	if room < len(p) {
		return room, d.refuse(d.limit)
	}
	return len(p), nil
}

// refuse ends the errand because of a stream that is longer than limit.
func (d *desk) refuse(limit int) error {
	if d.session.end(store.EndedByUser, tooMuchText(d.session.admission, limit)) {
		d.tooMuch = true
	}
	return ErrOutput
}

// Stderr returns where standard error goes.
func (d *desk) Stderr() io.ReadWriter { return noise{d} }

// Close, CloseWrite and SendRequest have nobody to tell: the channel itself
// keeps the exit status, and serveCommand sees the end.
func (d *desk) Close() error { return nil }

// CloseWrite does nothing.
func (d *desk) CloseWrite() error { return nil }

// SendRequest does nothing.
func (d *desk) SendRequest(string, bool, []byte) (bool, error) { return true, nil }

// outcome returns what came.
func (d *desk) outcome() Outcome {
	exit := d.exit
	exit.Signal = recording.Text(clean(string(exit.Signal), maxSignal))
	return Outcome{Output: d.output, Stderr: clean(string(d.stderr), maxForeign), Exit: exit}
}

// noise is a desk's standard error.
type noise struct{ *desk }

// Read reads nothing: standard error leads one way.
func (n noise) Read([]byte) (int, error) { return 0, io.EOF }

// Write keeps the beginning of what the target sent. Once the session is over
// the relay itself speaks: that is for the recording, the error says it too.
func (n noise) Write(p []byte) (int, error) {
	if n.session.isOver() {
		return len(p), nil
	}
	room := min(len(p), maxNoise-n.noise)
	n.noise += room
	n.stderr = append(n.stderr, p[:min(room, maxForeign-len(n.stderr))]...)
	if room < len(p) {
		return room, n.refuse(maxNoise)
	}
	return len(p), nil
}
