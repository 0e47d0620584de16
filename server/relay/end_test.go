package relay_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/server/target"
	"github.com/vaultpam/vaultpam/store"
)

func TestSessionEndsWithItsGrant(t *testing.T) {
	w := newWorld(t)
	carol := w.person("carol", nil)
	for _, test := range []struct {
		name string
		args []string
	}{
		{"proxy", []string{"db1.pam"}},
		{"jump", []string{"jump.db1.pam"}},
		{"terminal", []string{"-tt", "db1.pam"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ended := endedWhileRunning(t, carol, test.args, func() { w.gate.endAll(store.EndedByGrant) })
			if want := fmt.Sprintf("vaultpam: the grant for %s@db1 ended; the session was closed", w.login); !strings.Contains(ended, want) {
				t.Errorf("the user does not read %q:\n%s", want, ended)
			}
		})
	}
	for _, e := range w.gate.awaitEnded(t, 3) {
		if e.Reason != store.EndedByGrant {
			t.Errorf("session ended by %s", e.Reason)
		}
	}
}

// TestS37SessionEndsWithALock: the target is cut off before the last words, whatever
// was under way, and the user reads them.
func TestS37SessionEndsWithALock(t *testing.T) {
	t.Setenv("GORACE", "atexit_sleep_ms=0") // or the ProxyCommand, which is this program, takes a second to end
	w := newWorld(t)
	carol := w.person("carol", nil)
	for name, args := range map[string][]string{"proxy": {"db1.pam"}, "jump": {"jump.db1.pam"}, "terminal": {"-tt", "db1.pam"}} {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			ended := endedWhileRunning(t, carol, args, func() {
				begun = time.Now()
				w.gate.endAll(store.EndedByLock)
			})
			took := time.Since(begun)
			t.Logf("ssh had ended %d ms after the lock", took.Milliseconds())
			if want := "vaultpam: an administrator locked db1, the session itself or what it came from; it was closed"; strings.Count(ended, want) != 1 {
				t.Errorf("the user does not read once %q:\n%s", want, ended)
			}
			if took > time.Second {
				t.Errorf("the session took %v to end", took)
			}
		})
	}
	for _, e := range w.gate.awaitEnded(t, 3) {
		if e.Reason != store.EndedByLock {
			t.Errorf("session ended by %s", e.Reason)
		}
	}
}

func TestSessionEndsWithTheRelay(t *testing.T) {
	for _, name := range []string{"db1.pam", "jump.db1.pam"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			carol := w.person("carol", nil)
			ended := endedWhileRunning(t, carol, []string{name}, w.stop)
			if !strings.Contains(ended, "vaultpam: the relay is being stopped; the session was closed") {
				t.Errorf("the user reads:\n%s", ended)
			}
			if reason := w.gate.awaitEnded(t, 1)[0].Reason; reason != store.EndedByShutdown {
				t.Errorf("session ended by %s", reason)
			}
		})
	}
}

func TestSessionEndsWithItsTarget(t *testing.T) {
	w := newWorld(t)
	carol := w.person("carol", nil)
	ended := endedWhile(t, carol, []string{"db1.pam", "echo ready; read go; kill -9 $PPID; cat"}, func(stdin io.Writer) {
		io.WriteString(stdin, "\n")
	})
	if !strings.Contains(ended, "vaultpam: db1 closed the connection") {
		t.Errorf("the user reads:\n%s", ended)
	}
	if reason := w.gate.awaitEnded(t, 1)[0].Reason; reason != store.EndedByTarget {
		t.Errorf("session ended by %s", reason)
	}
}

func TestSessionEndsAtItsTime(t *testing.T) {
	w := newWorld(t)
	carol := w.person("carol", nil)
	w.change(func(a *relay.Admission) { a.Ends = time.Now().Add(2 * time.Second) })
	ended := endedWhileRunning(t, carol, []string{"db1.pam"}, func() {})
	if !strings.Contains(ended, "the grant for") || w.gate.awaitEnded(t, 1)[0].Reason != store.EndedByGrant {
		t.Errorf("the user reads:\n%s", ended)
	}
}

// endedWhileRunning starts a session that goes on as long as it may, calls end,
// and returns what ssh wrote.
func endedWhileRunning(t *testing.T, p *person, args []string, end func()) string {
	t.Helper()
	return endedWhile(t, p, append(args, "echo ready; cat"), func(io.Writer) { end() })
}

func endedWhile(t *testing.T, p *person, args []string, end func(stdin io.Writer)) string {
	t.Helper()
	cmd := p.command("ssh", args...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	readUntil(t, stdout, &out, "ready")
	begun := time.Now()
	end(stdin)
	io.Copy(&out, stdout)
	cmd.Wait()
	if took := time.Since(begun); took > 4*time.Second {
		t.Errorf("the session took %v to end", took)
	}
	if cmd.ProcessState.ExitCode() != 255 {
		t.Errorf("ssh ended with %v, want 255", cmd.ProcessState)
	}
	return out.String() + stderr.String()
}

func TestTargetBannerIsPassedOn(t *testing.T) {
	banner := filepath.Join(t.TempDir(), "banner")
	if err := os.WriteFile(banner, []byte("Authorised use only.\x1b[31m\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(_ *relay.Config, host *target.SshdConfig) {
		host.ExtraConfig = append(host.ExtraConfig, "Banner "+banner)
	})
	carol := w.person("carol", nil)
	_, got, err := carol.dial(carol.certified())
	if err != nil || got != "Authorised use only.?[31m\n" {
		t.Errorf("banner %q, %v", got, err)
	}
}

func TestKeepaliveEndsDeadConnections(t *testing.T) {
	w := newWorld(t, func(c *relay.Config, _ *target.SshdConfig) { c.Limits.Keepalive = 100 * time.Millisecond })
	carol := w.person("carol", nil)
	cmd := carol.command("ssh", "db1.pam", "echo ready; cat")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	readUntil(t, stdout, new(bytes.Buffer), "ready")
	if err := exec.Command("kill", "-STOP", fmt.Sprint(cmd.Process.Pid)).Run(); err != nil {
		t.Fatal(err)
	}
	if reason := w.gate.awaitEnded(t, 1)[0].Reason; reason != store.EndedByUser {
		t.Errorf("session ended by %s", reason)
	}
	stdin.Close()
	cmd.Process.Kill()
	cmd.Wait()
}
