package relay_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

// TestEveryStartHasOneEnd lets each call of the gate fail in turn, with an error
// and by returning nothing. The world itself counts ends when it stops.
func TestEveryStartHasOneEnd(t *testing.T) {
	for _, call := range []string{"HostKey", "Admit", "Start", "Certify", "Watch", "End"} {
		for _, fault := range []struct {
			name string
			err  error
		}{
			{"internal", errors.New("the disk is full")},
			{"refusal", refused("you may not", "ask")},
			{"lock", &access.Refusal{Kind: access.Forbidden, Message: "carol is locked", Hint: "ask", Reason: store.RefusedLock}},
		} {
			t.Run(call+"/"+fault.name, func(t *testing.T) {
				w := newWorld(t)
				carol := w.person("carol", nil)
				w.gate.setFail(call, fault.err)
				got := carol.ssh("", "db1.pam", "cat; echo done")
				if wantFailure := call != "End" && call != "Watch"; wantFailure == (got.code == 0) && call != "Watch" {
					t.Errorf("with %s failing: %+v", call, got)
				}
				w.stop()
				starts := slices.Contains([]string{"Certify", "Watch", "End"}, call)
				if n := len(w.gate.ended); (n == 1) != starts {
					t.Errorf("%d sessions ended", n)
				}
				if call == "Certify" {
					want := map[string]store.EndReason{"internal": store.EndedRelayFailed, "refusal": store.EndedByGrant, "lock": store.EndedByLock}[fault.name]
					if got := w.gate.ended[0].Reason; got != want {
						t.Errorf("session ended by %s, want %s", got, want)
					}
				}
			})
		}
	}
}

// A hollow gate returns nothing and no error.
type hollow struct {
	*gate
	call string
}

func (h hollow) Start(ctx context.Context, r relay.StartRequest) (*relay.Admission, error) {
	if h.call == "Start" {
		return nil, nil
	}
	return h.gate.Start(ctx, r)
}

func (h hollow) Certify(ctx context.Context, a *relay.Admission, key ssh.PublicKey) (*ssh.Certificate, error) {
	if h.call == "Certify" {
		return nil, nil
	}
	return h.gate.Certify(ctx, a, key)
}

func (h hollow) HostKey(ctx context.Context, name string) (ssh.Signer, error) {
	if h.call == "HostKey" {
		return nil, nil
	}
	return h.gate.HostKey(ctx, name)
}

func (h hollow) Watch(ctx context.Context, a *relay.Admission) (store.EndReason, error) {
	if h.call == "Watch" {
		return "", nil
	}
	return h.gate.Watch(ctx, a)
}

func TestGateThatReturnsNothing(t *testing.T) {
	for _, call := range []string{"HostKey", "Start", "Certify", "Watch"} {
		t.Run(call, func(t *testing.T) {
			w := newWorld(t, withGate(func(g *gate) relay.Gate { return hollow{g, call} }))
			carol := w.person("carol", nil)
			// Without end: what stops it is the relay.
			cmd := carol.command("ssh", "db1.pam", "cat")
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			defer stdin.Close()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != 255 {
				t.Errorf("ssh ended with %v, want 255", cmd.ProcessState)
			}
		})
	}
}

// TestClientThatLeaves lets clients go at every moment of their way in.
func TestClientThatLeaves(t *testing.T) {
	w := newWorld(t)
	carol := w.person("carol", nil)
	for _, cut := range []int{0, 1, 20, 30, 500, 1500, 2000, 2500, 3000, 3500, 4000, 5000} {
		conn, err := net.Dial("tcp", w.address)
		if err != nil {
			t.Fatal(err)
		}
		limited := &cutConn{Conn: conn, left: cut}
		limited.Write([]byte("VAULTPAM/1 db1\n"))
		c, channels, requests, err := ssh.NewClientConn(limited, "db1.pam:22", &ssh.ClientConfig{
			User: w.login, Auth: []ssh.AuthMethod{ssh.PublicKeys(carol.certified())}, HostKeyCallback: w.checkHost().CheckHostKey,
		})
		if err != nil {
			continue
		}
		client := ssh.NewClient(c, channels, requests)
		if session, err := client.NewSession(); err == nil {
			session.Run("echo something; cat")
		}
		client.Close()
	}
	w.stop()
}

// A cutConn closes itself when it has sent so many bytes.
type cutConn struct {
	net.Conn
	left int
}

func (c *cutConn) Write(p []byte) (int, error) {
	if len(p) > c.left {
		c.Conn.Write(p[:c.left])
		c.Conn.Close()
		return c.left, errors.New("cut")
	}
	c.left -= len(p)
	return c.Conn.Write(p)
}

// TestS24RecorderThatFails lets the recording's disk fill up in the middle of a
// session, by a limit of the size of files that works without being root.
func TestS24RecorderThatFails(t *testing.T) {
	w := newWorld(t)
	carol := w.person("carol", nil)
	// Larger than any other file of this process: go test keeps a log of its own.
	limitFiles(t, 16<<20)
	got := carol.ssh("", "db1.pam", "while echo a line that goes on and on; do :; done")
	if want := "vaultpam: the recording can't go on (file too large); the session was ended"; got.code != 255 || !strings.Contains(got.stderr, want) {
		t.Errorf("status %d; the user does not read %q:\n%.300s", got.code, want, got.stderr)
	}
	if reason := w.gate.awaitEnded(t, 1)[0].Reason; reason != store.EndedByRecorder {
		t.Errorf("session ended by %s", reason)
	}
	shown := got.stdout
	recorded := recordedOutput(t, w.recorded(0)["1.cast"])
	if len(shown) == 0 || !strings.HasPrefix(recorded, shown) {
		t.Errorf("%d bytes were shown that are not the beginning of the %d recorded", len(shown), len(recorded))
	}
}

// recordedOutput is the standard output in a file that may end in the middle.
func recordedOutput(t *testing.T, text string) string {
	t.Helper()
	reader, err := recording.NewReader(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for e, err := range reader.Events() {
		if err != nil {
			break
		}
		if e.Kind == recording.Output {
			out.Write(e.Data)
		}
	}
	return out.String()
}

// limitFiles lets this process's files grow to size and no further.
func limitFiles(t *testing.T, size uint64) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	limit := before
	limit.Cur = size
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Error(err)
		}
		signal.Reset(syscall.SIGXFSZ)
	})
}

// TestS24ShownIsRecorded stops the relay in the middle of output, many times.
func TestS24ShownIsRecorded(t *testing.T) {
	for range 5 {
		w := newWorld(t)
		carol := w.person("carol", nil)
		client, _, err := carol.dial(carol.certified())
		if err != nil {
			t.Fatal(err)
		}
		session, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := session.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := session.Start("while echo a line that goes on and on; do :; done"); err != nil {
			t.Fatal(err)
		}
		var shown bytes.Buffer
		readUntil(t, stdout, &shown, "line")
		done := make(chan struct{})
		go func() { // ends with the session
			defer close(done)
			shown.ReadFrom(stdout)
		}()
		w.stop()
		<-done
		all, _ := streams(t, w.recorded(0)["1.cast"])
		if !strings.HasPrefix(all[recording.Output], shown.String()) || shown.Len() == 0 {
			t.Fatalf("%d bytes were shown that are not the beginning of the %d recorded", shown.Len(), len(all[recording.Output]))
		}
	}
}

// TestSlowReaderHoldsTheTargetBack looks at how much a relay takes from a target
// that floods a client which does not read (R12).
func TestSlowReaderHoldsTheTargetBack(t *testing.T) {
	w := newWorld(t, withoutSshd)
	carol := w.person("carol", nil)
	taken := make(chan int64, 1)
	s, _ := transcript(t, func(c ssh.Channel) {
		var n atomic.Int64
		stuck := time.AfterFunc(time.Second, func() { taken <- n.Load() })
		buf := make([]byte, 32<<10)
		for {
			m, err := c.Write(buf)
			n.Add(int64(m))
			if err != nil {
				return
			}
			stuck.Reset(time.Second)
		}
	})
	s.behind(w)
	client, _, err := carol.dial(carol.certified())
	if err != nil {
		t.Fatal(err)
	}
	channel, _, err := client.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := channel.SendRequest("shell", true, nil); err != nil {
		t.Fatal(err)
	}
	select {
	case n := <-taken:
		// The target's window at the relay and the relay's at the client are
		// 2 MiB each; the rest is on its way.
		if n > 6<<20 || n < 2<<20 {
			t.Errorf("the relay took %d bytes that nobody read", n)
		}
	case <-time.After(20 * time.Second):
		t.Error("the relay takes without end")
	}
	client.Close()
	w.gate.awaitEnded(t, 1)
}
