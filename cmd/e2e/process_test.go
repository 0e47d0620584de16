//go:build linux

package e2e_test

import (
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"time"
)

// patience bounds every wait. It is generous because a loaded machine is slow,
// and it is met only when something is wrong.
const patience = 20 * time.Second

// A process runs beside the script, with its output kept.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *output
	// exited is closed by the goroutine that waits for the process; then ended
	// and err are set.
	exited chan struct{}
	ended  time.Time
	err    error
}

// launch starts a process. It ends by itself, or by kill.
func launch(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, out: newOutput(), exited: make(chan struct{})}
	var err error
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = p.out, p.out
	cmd.WaitDelay = time.Second // a child of a child may hold the pipe
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	// Ends with the process.
	go func() {
		p.err = cmd.Wait()
		p.ended = time.Now()
		p.out.close()
		close(p.exited)
	}()
	return p, nil
}

func (p *process) signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// kill ends the process and those that it started.
func (p *process) kill() {
	select {
	case <-p.exited:
	default:
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // its session's first process group
		<-p.exited
	}
}

// wait waits for the end and returns the exit code; -1 for a signal.
func (p *process) wait() (int, error) { return p.waitFor(patience) }

func (p *process) waitFor(long time.Duration) (int, error) {
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(long):
		return 0, fmt.Errorf("still runs after %s; it said:\n%s", long, p.out.text())
	}
}

// output keeps what a process writes and tells whoever waits for something.
type output struct {
	mu      sync.Mutex // guards the fields below
	data    []byte
	closed  bool
	changed chan struct{} // closed and replaced with every change
}

func newOutput() *output { return &output{changed: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.data = append(o.data, p...)
	o.wake()
	return len(p), nil
}

func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.wake()
}

func (o *output) wake() {
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *output) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.data)
}

// sees waits until the pattern was written so many times.
func (o *output) sees(pattern *regexp.Regexp, times int) error {
	timeout := time.After(patience)
	for {
		o.mu.Lock()
		found, closed, changed := len(pattern.FindAllIndex(o.data, -1)) >= times, o.closed, o.changed
		o.mu.Unlock()
		switch {
		case found:
			return nil
		case closed:
			return fmt.Errorf("ended without %q; it said:\n%s", pattern, o.text())
		}
		select {
		case <-changed:
		case <-timeout:
			return fmt.Errorf("no %q after %s; it said:\n%s", pattern, patience, o.text())
		}
	}
}
