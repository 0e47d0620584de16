//go:build !linux

package target

import (
	"errors"
	"os"
	"os/exec"
)

// openPty refuses: opening a terminal differs from system to system, and those
// that are not Linux come with an sshd.
func openPty() (master, slave *os.File, err error) {
	return nil, nil, errors.New("the built-in host has no terminals on this system")
}

// SshdHasTerminals reports whether an sshd that the current account runs can give
// its sessions terminals.
func SshdHasTerminals() bool { return true }

func resize(*os.File, windowChange) error { return errors.ErrUnsupported }

func controlTerminal(*exec.Cmd) {}
