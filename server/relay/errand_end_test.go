package relay_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/store"
)

func TestErrandBeyondItsBound(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		name, command string
		limit, want   int
	}{
		{"without end", "yes", 100_001, 100_001},
		{"by a byte", "echo one", 3, 3},
		{"no bound was given", "echo one", 0, 0},
		{"a bound below zero", "echo one", -1, 0},
		{"standard error", "yes >&2", 10, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := w.errand(t.Context(), relay.Errand{Command: test.command, MaxOutput: test.limit})
			failedBy(t, err, store.EndedByUser, "the command on db1 wrote more than")
			if !errors.Is(err, relay.ErrOutput) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v", err)
			}
			if len(got.Output) != test.want || len(got.Stderr) > 4<<10 {
				t.Errorf("%d bytes of output and %d of standard error came back", len(got.Output), len(got.Stderr))
			}
			if log := w.recorded(len(w.gate.awaitEnded(t, 1)) - 1)["session.jsonl"]; !strings.Contains(log, `"errand.cut"`) {
				t.Errorf("the recording does not say why it ends:\n%s", log)
			}
		})
	}
}

// A step is how far a target goes before it hangs.
type step int

const (
	atOpening step = iota
	atCommand
	atProgram
	atPing
)

// hanging is a target that goes so far and no further. It reports on reached
// when it is there.
func hanging(t *testing.T, at step) (s *stub, reached chan struct{}) {
	reached = make(chan struct{})
	return newStub(t, nil, func(conn *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
		defer conn.Wait()
		if at != atPing {
			go ssh.DiscardRequests(requests)
		}
		nc, ok := <-channels
		if !ok {
			return
		}
		if at == atOpening {
			close(reached)
			return
		}
		channel, asked, err := nc.Accept()
		if err != nil {
			return
		}
		program := <-asked
		if at == atCommand {
			close(reached)
			return
		}
		program.Reply(true, nil)
		io.WriteString(channel, "begun")
		if at == atProgram {
			close(reached)
			return
		}
		channel.SendRequest("exit-status", false, []byte{0, 0, 0, 0})
		channel.Close()
		<-requests
		close(reached)
	}), reached
}

// TestErrandThatHangs ends the context of errands whose target stands still at
// each step, by a deadline and as when the relay is stopped.
func TestErrandThatHangs(t *testing.T) {
	for _, at := range []step{atOpening, atCommand, atProgram, atPing} {
		for _, test := range []struct {
			cause  error
			reason store.EndReason
			words  string
		}{
			{context.DeadlineExceeded, store.EndedByUser, "the command on db1 did not end in time"},
			{context.Canceled, store.EndedByShutdown, "the relay is being stopped"},
		} {
			t.Run(fmt.Sprint(at, test.reason), func(t *testing.T) {
				w := newWorld(t, withoutSshd)
				s, reached := hanging(t, at)
				s.behind(w)
				ctx := newManual(t.Context())
				go func() {
					<-reached
					ctx.end(test.cause)
				}()
				// The input is more than a window holds: that hangs too.
				got, err := w.errand(ctx, relay.Errand{Command: "a command", Input: make([]byte, 4<<20), MaxOutput: 100})
				failedBy(t, err, test.reason, test.words)
				if !errors.Is(err, test.cause) {
					t.Errorf("error %v does not say that it was cut", err)
				}
				if at == atPing && string(got.Output) != "begun" {
					t.Errorf("%q came back", got.Output)
				}
			})
		}
	}
}

// A manual is a context that ends when it is told to, by a deadline as well.
type manual struct {
	context.Context
	done chan struct{}
	mu   sync.Mutex // guards err
	err  error
}

func newManual(parent context.Context) *manual {
	return &manual{Context: parent, done: make(chan struct{})}
}

func (m *manual) Done() <-chan struct{} { return m.done }

func (m *manual) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

func (m *manual) end(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
	close(m.done)
}

// TestErrandWhoseTimeIsOver has no time left when it begins.
func TestErrandWhoseTimeIsOver(t *testing.T) {
	w := newWorld(t, withoutSshd)
	for cause, reason := range map[error]store.EndReason{
		context.DeadlineExceeded: store.EndedByUser, context.Canceled: store.EndedByShutdown,
	} {
		ctx := newManual(t.Context())
		ctx.end(cause)
		a := w.admit()
		_, err := w.relay.Run(ctx, a, relay.Errand{Command: "true"})
		failedBy(t, err, reason, "closed")
		if got := w.endOf(a).Reason; got != reason || !errors.Is(err, cause) {
			t.Errorf("session ended by %s, error %v", got, err)
		}
	}
	if calls := w.gate.order(); len(calls) != 2 {
		t.Errorf("the gate was called: %v", calls)
	}
}
