package relay_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

func TestErrand(t *testing.T) {
	const large = 8 << 20
	big := make([]byte, large)
	rand.Read(big)
	w := newWorld(t)
	for _, test := range []struct {
		name string
		e    relay.Errand
		want relay.Outcome
	}{
		{"output", relay.Errand{Command: "echo one", MaxOutput: 100}, relay.Outcome{Output: []byte("one\n"), Exit: status(0)}},
		{"nothing", relay.Errand{Command: "true"}, relay.Outcome{Exit: status(0)}},
		{"exactly what may come", relay.Errand{Command: "echo one", MaxOutput: 4}, relay.Outcome{Output: []byte("one\n"), Exit: status(0)}},
		{"status", relay.Errand{Command: "exit 255"}, relay.Outcome{Exit: status(255)}},
		{"signal", relay.Errand{Command: "kill -KILL $$"}, relay.Outcome{Exit: recording.Exit{Signal: "KILL"}}},
		{"no terminal", relay.Errand{Command: "tty; exit 3", MaxOutput: 100}, relay.Outcome{Output: []byte("not a tty\n"), Exit: status(3)}},
		{
			"standard error is made printable", relay.Errand{Command: `printf 'a\033[31mb\n' >&2; exit 4`},
			relay.Outcome{Stderr: "a?[31mb\n", Exit: status(4)},
		},
		{
			"standard error after output closed", relay.Errand{Command: "echo one; exec >&-; echo two >&2", MaxOutput: 100},
			relay.Outcome{Output: []byte("one\n"), Stderr: "two\n", Exit: status(0)},
		},
		{
			"the beginning of standard error", relay.Errand{Command: "head -c 1000000 /dev/zero | tr '\\0' x >&2"},
			relay.Outcome{Stderr: strings.Repeat("x", 4<<10), Exit: status(0)},
		},
		{"input", relay.Errand{Command: "cat; echo after", Input: []byte("in\n"), MaxOutput: 100}, relay.Outcome{Output: []byte("in\nafter\n"), Exit: status(0)}},
		{"a script as input", relay.Errand{Command: "sh -s", Input: []byte("echo $((6*7))\n"), MaxOutput: 100}, relay.Outcome{Output: []byte("42\n"), Exit: status(0)}},
		{"both ways at once", relay.Errand{Command: "cat", Input: big, MaxOutput: large}, relay.Outcome{Output: big, Exit: status(0)}},
		{
			"output before input is read", relay.Errand{Command: fmt.Sprintf("head -c %d /dev/zero; wc -c >&2", large), Input: big, MaxOutput: large},
			relay.Outcome{Output: make([]byte, large), Stderr: fmt.Sprintln(large), Exit: status(0)},
		},
		{"input that nobody reads", relay.Errand{Command: "exit 5", Input: big}, relay.Outcome{Exit: status(5)}},
		{
			"output ends and input is not read", relay.Errand{Command: "echo one; exec >&- 2>&-; exit 6", Input: big, MaxOutput: 100},
			relay.Outcome{Output: []byte("one\n"), Exit: status(6)},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := w.errand(t.Context(), test.e)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmp.Comparer(bytes.Equal)); diff != "" {
				t.Errorf("outcome (-want +got):\n%.2000s", diff)
			}
		})
	}
}

func TestErrandExitStatusIsNeverLost(t *testing.T) {
	runs := 100
	if os.Getenv("VAULTPAM_CAMPAIGN") == "1" {
		runs = 2000
	}
	w := newWorld(t)
	want := relay.Outcome{Output: []byte("out\n"), Stderr: "err\n", Exit: status(3)}
	for i := range runs {
		got, err := w.errand(t.Context(), relay.Errand{Command: "echo out; echo err >&2; exit 3", MaxOutput: 4})
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("run %d of %d: %v, outcome (-want +got):\n%s", i, runs, err, diff)
		}
	}
}

func TestErrandsAtOnce(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			input := bytes.Repeat([]byte{'a' + byte(i)}, 1<<20)
			got, err := w.errand(t.Context(), relay.Errand{Command: "cat", Input: input, MaxOutput: 1 << 20})
			if err != nil || !bytes.Equal(got.Output, input) {
				t.Errorf("errand %d: %v, %d bytes", i, err, len(got.Output))
			}
		})
	}
	wg.Wait()
}

// TestErrandIsCertifiedAsItself looks at the certificate and at the order in
// which the gate was called; the gate itself refuses an errand with an identity.
func TestErrandIsCertifiedAsItself(t *testing.T) {
	w := newWorld(t, withoutSshd)
	s, seen := transcript(t, func(c ssh.Channel) {
		c.SendRequest("exit-status", false, []byte{0, 0, 0, 0})
		c.Close()
	})
	s.behind(w)
	a := w.admit()
	a.Identity = relay.Identity{Handle: "carol", Cert: &ssh.Certificate{Permissions: ssh.Permissions{CriticalOptions: map[string]string{"force-command": "false"}}}}
	e := relay.Errand{Command: "a command"}
	got, err := w.relay.Run(t.Context(), a, e)
	if err != nil {
		t.Fatal(err)
	}
	w.checkErrand(a, e, got, err)
	if diff := cmp.Diff([]request{{"exec", true, "\x00\x00\x00\x09a command"}}, seen()); diff != "" {
		t.Errorf("requests at the target (-want +got):\n%s", diff)
	}
	certs := s.issued()
	if len(certs) == 0 || certs[0].KeyId != "vaultpam:target:-:"+a.Session.String() || len(certs[0].Extensions) > 0 {
		t.Errorf("certificates %+v", certs)
	}
	calls := w.gate.order()
	if diff := cmp.Diff([]string{"Certify", "Watch", "End"}, calls); diff != "" {
		t.Errorf("calls of the gate (-want +got):\n%s", diff)
	}
}

// TestS24ErrandIsRecorded cuts errands in the middle of output, many times: what
// came back is in the recording, as checkErrand looks.
func TestS24ErrandIsRecorded(t *testing.T) {
	w := newWorld(t, withoutSshd)
	runs := 20
	if os.Getenv("VAULTPAM_CAMPAIGN") == "1" {
		runs = 500
	}
	const block, window = 32 << 10, 2 << 20
	for i := range runs {
		ctx := newManual(t.Context())
		s, _ := transcript(t, func(c ssh.Channel) {
			buf := bytes.Repeat([]byte("a line that goes on\n"), block/20)
			for sent := 0; ; sent++ {
				// More than a window was sent: some of it has been taken.
				if sent == window/len(buf)+2+i {
					ctx.end(context.DeadlineExceeded)
				}
				if _, err := c.Write(buf); err != nil {
					return
				}
			}
		})
		s.behind(w)
		got, err := w.errand(ctx, relay.Errand{Command: "a command", MaxOutput: 1 << 30})
		failedBy(t, err, store.EndedByUser, "did not end in time")
		if len(got.Output) == 0 {
			t.Error("nothing came before it was cut")
		}
	}
}

// TestS24ErrandWhoseRecorderFails fills the recorder's disk up, as
// TestS24RecorderThatFails does.
func TestS24ErrandWhoseRecorderFails(t *testing.T) {
	w := newWorld(t)
	limitFiles(t, 16<<20)
	got, err := w.errand(t.Context(), relay.Errand{Command: "while echo a line that goes on and on; do :; done", MaxOutput: 1 << 30})
	failedBy(t, err, store.EndedByRecorder, "the recording can't go on (file too large)")
	if !errors.Is(err, recording.ErrRecorder) || len(got.Output) == 0 {
		t.Errorf("%d bytes and %v came back", len(got.Output), err)
	}
}
