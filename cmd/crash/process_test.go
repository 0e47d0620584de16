//go:build linux

package crash_test

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait. It is generous because a loaded machine is slow,
// and it is met only when something is wrong.
const patience = time.Minute

// A process is a running `vaultpamd serve`, maybe behind a program that watches
// it.
type process struct {
	cmd    *exec.Cmd
	log    said
	exited chan struct{} // closed when it has ended, by the goroutine that waits for it
}

// start runs a command line in a process group of its own, which the test's end
// kills.
func start(t *testing.T, env []string, line ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(line[0], line[1:]...), exited: make(chan struct{})}
	p.log.ready = make(chan struct{})
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = &p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the process
		_ = p.cmd.Wait() // the tests look at ProcessState
		close(p.exited)
	}()
	t.Cleanup(p.kill)
	return p
}

// serving waits until the process serves, or reports that it ended before.
func (p *process) serving(t *testing.T) bool {
	t.Helper()
	select {
	case <-p.log.ready:
		return true
	case <-p.exited:
		return false
	case <-time.After(patience):
		t.Fatalf("vaultpamd does not serve:\n%s", p.log.text())
		return false
	}
}

// kill ends the process, and what watches it, where they still run.
func (p *process) kill() {
	select {
	case <-p.exited:
	default:
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may just have ended
		<-p.exited
	}
}

// wait waits for the end.
func (p *process) wait(t *testing.T) {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		t.Fatalf("vaultpamd still runs:\n%s", p.log.text())
	}
}

// killed reports whether SIGKILL ended the process.
func (p *process) killed() bool {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// stop ends the process as a service manager does; it has to end well.
func (p *process) stop(t *testing.T, h *house) {
	t.Helper()
	h.signal(t, syscall.SIGTERM)
	p.wait(t)
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0:\n%s", code, p.log.text())
	}
}

// signal tells the server itself, whoever stands before it: a tracer has to live
// until it has written everything.
func (h *house) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	data, err := os.ReadFile(h.path("vaultpamd.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
}

// said keeps what a process writes and tells when it serves.
type said struct {
	mu    sync.Mutex // guards buf and told
	buf   bytes.Buffer
	told  bool
	ready chan struct{} // closed when the process serves
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf.Write(p)
	if !s.told && bytes.Contains(s.buf.Bytes(), []byte("msg=serving ")) {
		s.told = true
		close(s.ready)
	}
	return len(p), nil
}

func (s *said) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}
