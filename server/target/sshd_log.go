package target

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
)

// sshdLog keeps what sshd writes to its standard error, in memory and in a file.
type sshdLog struct {
	file *os.File

	// mu guards the fields below.
	mu     sync.Mutex
	buffer []byte
	closed bool
	// changed is closed, and replaced, whenever the log grew or was closed.
	changed chan struct{}
}

func openSshdLog(path string) (*sshdLog, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening sshd's log: %w", err)
	}
	return &sshdLog{file: file, changed: make(chan struct{})}, nil
}

// Write never fails: an error would stop the reading of sshd's output, and sshd
// would block on a full pipe. The copy in memory is the one that is relied on.
func (l *sshdLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.file.Write(p) // for whoever looks after a failure; see above
	l.buffer = append(l.buffer, p...)
	l.wake()
	return len(p), nil
}

// Close ends every wait.
func (l *sshdLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.wake()
	return l.file.Close()
}

func (l *sshdLog) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *sshdLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.buffer)
}

func (l *sshdLog) wait(ctx context.Context, text string, times int) error {
	for {
		l.mu.Lock()
		found, closed, changed := strings.Count(string(l.buffer), text) >= times, l.closed, l.changed
		l.mu.Unlock()
		switch {
		case found:
			return nil
		case closed:
			return errors.New("sshd ended")
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for sshd to log %q: %w", text, context.Cause(ctx))
		}
	}
}

func bindFailed(log string) bool {
	return strings.Contains(log, "Address already in use")
}

// lastLines is the end of a log, for an error message.
func lastLines(log string) string {
	lines := strings.Split(strings.ReplaceAll(strings.TrimSpace(log), "\r", ""), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], "; ")
}
