//go:build unix

package target

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// killTree kills a child of ours and all its descendants. A process group would
// not do: sshd gives each connection a session of its own. Everything is stopped
// before anything is killed, so that nothing forks meanwhile, and nothing is
// reaped either: no process ID seen here names another process before the kill.
func killTree(root *os.Process) error {
	if err := root.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	stopped := map[int]bool{}
	// A process may fork in the moment before the signal reaches it: look again
	// until a look finds nothing new.
	for stopDescendants(root.Pid, stopped) {
	}
	for pid := range stopped {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			_ = root.Kill() // what is told is the first failure
			return fmt.Errorf("killing process %d: %w", pid, err)
		}
	}
	return root.Kill()
}

// stopDescendants stops everything below pid, parents first, and reports whether
// it stopped anything new. What can't be stopped (it ended, or a set-user-ID
// program took it over) is left out.
func stopDescendants(pid int, stopped map[int]bool) (news bool) {
	for _, child := range children(pid) {
		if !stopped[child] {
			if err := syscall.Kill(child, syscall.SIGSTOP); err != nil {
				continue
			}
			stopped[child], news = true, true
		}
		if stopDescendants(child, stopped) {
			news = true
		}
	}
	return news
}

// children lists the processes whose parent is pid, from /proc (proc(5), field
// 4 of stat) or, where there is none, from ps.
func children(pid int) []int {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		return childrenByPs(pid)
	}
	var found []int
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it ended
		}
		// The name in parentheses may hold anything, even parentheses.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			if child, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
				found = append(found, child)
			}
		}
	}
	return found
}

func childrenByPs(pid int) []int {
	// A kill is finished even when what asked for it is cancelled.
	text, err := exec.CommandContext(context.Background(), "ps", "-A", "-o", "pid=,ppid=").Output()
	if err != nil {
		return nil
	}
	var found []int
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 2 && fields[1] == strconv.Itoa(pid) {
			if child, err := strconv.Atoi(fields[0]); err == nil {
				found = append(found, child)
			}
		}
	}
	return found
}

// exitMessage is how a session channel tells a command's end (RFC 4254, section
// 6.10).
func exitMessage(state *os.ProcessState) (name string, message any) {
	status, ok := state.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return "exit-status", exitStatus{uint32(state.ExitCode())}
	}
	signal := strings.TrimPrefix(unix.SignalName(status.Signal()), "SIG")
	return "exit-signal", exitSignal{Signal: signal, CoreDumped: status.CoreDump()}
}
