//go:build !windows

package agent

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func lockHandle(file *os.File) error {
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EWOULDBLOCK):
			return errLocked
		default:
			return fmt.Errorf("locking identity: %w", err)
		}
	}
}
