//go:build linux

package packaging_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A machine is a root that was booted: it has its own processes and files, and
// this machine's network.
type machine struct {
	nspawn *exec.Cmd
	ended  chan error // sent once, by the goroutine that waits for nspawn
}

// boot boots the root and waits until its systemd has started everything.
func (w *world) boot(_ *script, _ []string) error {
	said := &log{word: "multi-user.target", seen: make(chan struct{})}
	cmd := exec.Command("systemd-nspawn", "--register=no", "--keep-unit", "--directory="+w.root, "--console=read-only", "--boot")
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return err
	}
	w.booted = &machine{nspawn: cmd, ended: make(chan error, 1)}
	m := w.booted
	go func() { m.ended <- cmd.Wait() }() // ends with the machine
	select {
	case <-said.seen:
		return nil
	case <-time.After(2 * patience):
		return fmt.Errorf("not booted after %s:\n%s", 2*patience, said.text())
	}
}

// leader is the machine's own first process.
func (m *machine) leader() (string, error) {
	pid := fmt.Sprint(m.nspawn.Process.Pid)
	data, err := os.ReadFile(filepath.Join("/proc", pid, "task", pid, "children"))
	if err != nil {
		return "", err
	}
	children := strings.Fields(string(data))
	if len(children) == 0 {
		return "", errors.New("the machine has no process")
	}
	return children[0], nil
}

// inside runs a program in the machine, as its root.
func (w *world) inside(ts *script, args []string) error {
	if w.booted == nil {
		return errors.New("nothing was booted")
	}
	leader, err := w.booted.leader()
	if err != nil {
		return err
	}
	line := append([]string{"--target=" + leader, "--all", "--root", "--wdns=/", "env", "-i", "PATH=/usr/bin:/usr/sbin:/bin:/sbin"}, args...)
	if err := ts.Exec("nsenter", line...); err != nil {
		return fmt.Errorf("%w: %w", errExit, err)
	}
	return nil
}

// errExit says that a program ran and did not succeed.
var errExit = errors.New("in the machine")

// off switches the machine off. It has nothing that would be lost.
func (m *machine) off() error {
	leader, err := m.leader()
	if err == nil {
		err = exec.Command("kill", "-KILL", leader).Run() // the processes of its namespace go with it
	}
	if err != nil {
		err = errors.Join(err, m.nspawn.Process.Kill())
	}
	<-m.ended
	return err
}
