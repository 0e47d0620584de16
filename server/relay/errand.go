package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

// maxCommand bounds an errand's command, in bytes. What is longer is a script,
// and goes to a shell's input.
const maxCommand = 64 << 10

// nobody stands in recordings for the server itself. No handle begins with it.
const nobody store.Handle = "-"

// ErrOutput is wrapped by the error of an errand that was ended because its
// command wrote more than it may.
var ErrOutput = errors.New("more output than the errand takes")

// An Errand is one command that is run on a target for the server itself. It has
// no terminal and no environment.
type Errand struct {
	Command   string // for the login's shell; 1 byte to 64 KiB
	Input     []byte // the command's standard input; recorded as that of any command
	MaxOutput int    // bytes of standard output that may come; beyond them the errand ends
}

func (e Errand) check() error {
	switch {
	case e.Command == "":
		return errors.New("no command was given")
	case len(e.Command) > maxCommand:
		return fmt.Errorf("command of %d bytes, want at most %d", len(e.Command), maxCommand)
	case strings.Contains(e.Command, "\x00"):
		return errors.New("command holds a NUL")
	}
	return nil
}

// An Outcome is what an errand brought back. All of it was in the recording
// before.
type Outcome struct {
	Output []byte // standard output, at most MaxOutput bytes of it
	Stderr string // the beginning of standard error, at most 4 KiB, made printable
	// Exit is how the command ended: with a status or by a signal. It is empty
	// where that is not known, which is only beside an error.
	Exit recording.Exit
}

// An ErrandError is why an errand did not bring back the whole outcome of its
// command. Reason is the one in session.ended:
//
//   - recording-failed: it could not be recorded;
//   - target-unreachable, host-key-mismatch: nobody logged in;
//   - refused-by-target: the target refused the certificate, or to run a command;
//   - closed-by-target: the connection was lost, or the target did not say how
//     the command ended;
//   - grant-ended, or what else Gate.Watch returned: the Gate took it back;
//   - relay-failed: the Gate could not certify or watch;
//   - relay-stopped: the context was cancelled;
//   - closed-by-user: the server's side hung up. The error wraps
//     context.DeadlineExceeded, or ErrOutput.
//
// Message and Hint are what a user reads of it, without the program's name.
type ErrandError struct {
	Reason        store.EndReason
	Message, Hint string
	Err           error // what is beneath, for the log; may be nil
}

func (e *ErrandError) Error() string { return "running an errand: " + e.Message }

func (e *ErrandError) Unwrap() error { return e.Err }

func errandError(reason store.EndReason, text string, err error) error {
	e := &ErrandError{Reason: reason, Err: err}
	e.Message, e.Hint = divide(text)
	return e
}

// Run runs an errand in a session of its own, for which session.started is
// durable: from here on the session is Run's, which ends it exactly once by
// Gate.End, however it goes. Its identity is nobody's, whatever a says.
//
// Run returns when everything it started has ended and session.ended has been
// given to the Gate, also where the Gate could not write it, which is logged.
// Errors are *ErrandError, but for an Errand or Admission that can't be: that is
// the caller's mistake, and nothing was connected. The Outcome beside an error
// is what came until then.
//
// ctx ends it. The caller gives it a deadline, or a target that hangs would be
// waited for as long as its connection lives; and cancels it when the relay is
// stopped, because Serve knows nothing of errands.
func (r *Relay) Run(ctx context.Context, a *Admission, e Errand) (Outcome, error) {
	if a == nil {
		return Outcome{}, errors.New("running an errand: no admission was given")
	}
	a.Identity = Identity{}
	s := r.newSession(a)
	if err := e.check(); err != nil {
		_ = s.finish(ctx, store.EndedRelayFailed) // nothing was recorded
		return Outcome{}, fmt.Errorf("running an errand: %w", err)
	}
	d := &desk{session: s, input: bytes.NewReader(e.Input), limit: max(e.MaxOutput, 0)}
	err := s.errand(ctx, d, e.Command)
	if broken := s.finish(ctx, s.reason); broken != nil {
		err = errandError(store.EndedByRecorder, recorderText(broken), broken)
	}
	return d.outcome(), err
}

// errand carries a session for the server itself from its beginning to where
// only finish is left.
func (s *session) errand(ctx context.Context, d *desk, command string) error {
	if ctx.Err() != nil {
		s.cut(ctx)
		return errandError(s.reason, s.text, ctx.Err())
	}
	connecting, cancel := context.WithTimeout(ctx, s.relay.limits.Connect)
	f := s.begin(connecting, nobody, func(string) {}) // nobody reads a banner
	cancel()
	if f != nil {
		s.end(f.reason, f.text)
		return errandError(f.reason, f.text, errors.Join(f.err, ctx.Err()))
	}
	s.runErrand(ctx, d, command)
	switch {
	case s.reason == store.EndedByUser && s.text == "":
		return nil
	case s.reason == store.EndedByUser:
		message, _ := divide(s.text)
		s.note("errand.cut", message) // the ledger's reason does not say it
	case s.reason != store.EndedByShutdown:
		return errandError(s.reason, s.text, nil)
	}
	if d.tooMuch {
		return errandError(s.reason, s.text, ErrOutput)
	}
	return errandError(s.reason, s.text, ctx.Err())
}

// cut ends an errand whose context is done.
func (s *session) cut(ctx context.Context) {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		s.end(store.EndedByUser, tooLateText(s.admission))
		return
	}
	s.end(store.EndedByShutdown, endText(s.admission, store.EndedByShutdown))
}

// runErrand is to an errand what run is to a user's session.
func (s *session) runErrand(ctx context.Context, d *desk, command string) {
	// What watches must not take the end of ctx for that of the relay.
	live, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { s.cut(ctx) })()
	var parts sync.WaitGroup
	s.tend(live, &parts)
	parts.Go(func() { rejectAll(s.target.channels) }) // these end with the connection
	parts.Go(func() { s.serveErrand(d, command) })
	<-s.over
	cancel()
	s.target.Close()
	parts.Wait()
}

// serveErrand opens the one channel of an errand and carries it.
func (s *session) serveErrand(d *desk, command string) {
	target, requests, err := s.target.OpenChannel("session", nil)
	if err != nil {
		said := ""
		if refused, ok := errors.AsType[*ssh.OpenChannelError](err); ok {
			said = clean(refused.Message, maxForeign)
		}
		s.noCommand(said)
		return
	}
	c := newChannel(s, d, target)
	c.run(func() { c.serveCommand(command) }, requests)
	d.exit = c.exit
}

// noCommand ends an errand whose command was not started.
func (s *session) noCommand(said string) {
	if s.target.alive() {
		s.end(store.EndedRefusedByTarget, noCommandText(s.admission, said))
		return
	}
	s.end(store.EndedByTarget, endText(s.admission, store.EndedByTarget))
}

// serveCommand does what a client would: it asks for the command, and when
// nothing more comes it hangs up, whether the command has read its input or not.
func (c *channel) serveCommand(command string) {
	s := c.session
	if !c.startCommand(command) {
		s.noCommand("")
		return
	}
	<-c.outDone
	// A lost connection looks like the end of output too. Half an answer must
	// not be taken for a whole one, whatever status came before.
	if !s.target.alive() {
		s.end(store.EndedByTarget, endText(s.admission, store.EndedByTarget))
		return
	}
	select {
	case <-c.exited:
		s.end(store.EndedByUser, "")
	default:
		s.end(store.EndedByTarget, noExitText(s.admission))
	}
}

func (c *channel) startCommand(command string) bool {
	c.asking.Lock()
	defer c.asking.Unlock()
	if c.dead || c.session.isOver() {
		return false
	}
	info := recording.ChannelInfo{Kind: recording.Exec, Command: recording.Text(command)}
	if !c.launch(info, &ssh.Request{Type: "exec", WantReply: true, Payload: execPayload(command)}) {
		return false
	}
	close(c.started)
	return true
}
