package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// lockFile is never removed: removing it would let two processes hold locks on
// two files of that name.
const lockFile = "identity.lock"

// lockPause is the time between two tries for the lock. The system's own
// waiting cannot be given up when a context ends.
const lockPause = 10 * time.Millisecond

// errLocked says that another process, or another part of this one, holds the
// lock.
var errLocked = errors.New("another process is renewing the certificate")

// Lock takes the lock of dir's identity, waiting for whoever holds it until ctx
// ends, and returns the function that gives it back. The lock ends with its
// process, so that a killed one blocks nobody.
func Lock(ctx context.Context, dir string) (unlock func(), err error) {
	for {
		unlock, err = tryLock(dir)
		if !errors.Is(err, errLocked) {
			return unlock, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", errLocked, ctx.Err())
		case <-time.After(lockPause):
		}
	}
}

// tryLock is Lock without waiting; it returns errLocked instead.
func tryLock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("locking identity: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking identity: %w", err)
	}
	if err := lockHandle(file); err != nil {
		file.Close()
		return nil, err
	}
	// Closing the only handle is what gives the lock back.
	return func() { file.Close() }, nil
}
