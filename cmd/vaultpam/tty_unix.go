//go:build unix

package main

import (
	"io"
	"os"
	"os/exec"
	"syscall"
)

func openTTY() (io.ReadWriteCloser, error) { return os.OpenFile("/dev/tty", os.O_RDWR, 0) }

// execProgram replaces this process, so that the program has the terminal, the
// signals and the exit code for itself.
func execProgram(program string, args, env []string) (int, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return 0, err
	}
	return 0, syscall.Exec(path, append([]string{program}, args...), env)
}
