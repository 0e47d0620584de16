package relay_test

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/server/target"
)

// A waiting is an ssh that waits for a touch.
type waiting struct {
	page   string        // where the person is sent
	ended  chan struct{} // closed when ssh has ended
	stdout string
	code   int
}

// start runs `true`-like commands by a way in and returns when ssh shows a page.
func (p *person) untilAsked(way ...string) *waiting {
	t := p.w.t
	t.Helper()
	cmd := p.command("ssh", append(way, "echo", "inside")...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stdout strings.Builder
	cmd.Stdout = &stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	x := &waiting{ended: make(chan struct{})}
	lines := bufio.NewReader(stderr)
	for x.page == "" {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("ssh ended before it showed a page: %v", err)
		}
		if _, page, ok := strings.Cut(line, "wants a touch of your passkey: "); ok {
			x.page = strings.TrimSpace(page)
		}
	}
	go func() { // ends with ssh
		defer close(x.ended)
		_, _ = io.Copy(io.Discard, lines)
		_ = cmd.Wait() // the exit code says it
		x.stdout, x.code = stdout.String(), cmd.ProcessState.ExitCode()
	}()
	return x
}

// TestTouch lets a connection wait for a touch, by each way in: it goes on by
// itself, or is refused when the person says no or the time is over.
func TestTouch(t *testing.T) {
	w := newWorld(t, func(c *relay.Config, _ *target.SshdConfig) { c.Limits.Touch = 2 * time.Second })
	carol := w.person("carol", nil)
	touched := make(chan error)
	w.gate.mu.Lock()
	w.gate.touch[db1] = touched
	w.gate.mu.Unlock()
	for name, way := range map[string][]string{"proxy": {"db1.pam"}, "jump": {"jump.db1.pam"}, "name": carol.nameWay()} {
		t.Run(name, func(t *testing.T) {
			x := carol.untilAsked(way...)
			if x.page != "https://pam.example/signin/x" {
				t.Errorf("page %q", x.page)
			}
			touched <- nil
			<-x.ended
			if x.code != 0 || x.stdout != "inside\n" {
				t.Errorf("exit code %d, output %q", x.code, x.stdout)
			}
			x = carol.untilAsked(way...)
			touched <- refused("it was turned down in the browser", "")
			<-x.ended
			if x.code != 255 || x.stdout != "" {
				t.Errorf("turned down: exit code %d, output %q", x.code, x.stdout)
			}
		})
	}
	// Nobody comes: the gate is asked once more, and says what is missing.
	w.gate.mu.Lock()
	w.gate.fail["Start"] = refused("it wants a touch", "")
	w.gate.mu.Unlock()
	began := time.Now()
	x := carol.untilAsked("db1.pam")
	<-x.ended
	if took := time.Since(began); x.code != 255 || took < 2*time.Second || took > 20*time.Second {
		t.Errorf("exit code %d after %s", x.code, took)
	}
	// What is broken starts nothing.
	x = carol.untilAsked("db1.pam")
	touched <- errors.New("broken")
	<-x.ended
	if x.code != 255 {
		t.Errorf("exit code %d", x.code)
	}
}
