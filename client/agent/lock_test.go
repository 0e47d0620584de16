package agent_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/client/agent"
)

func TestLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	var running sync.WaitGroup
	for range 50 {
		running.Go(func() { // ends once it had the lock
			unlock, err := agent.Lock(t.Context(), dir)
			if err != nil {
				t.Error(err)
				return
			}
			defer unlock()
			// Whoever is not alone here finds the other's directory.
			alone := filepath.Join(dir, "alone")
			if err := errors.Join(os.Mkdir(alone, 0o700), os.Remove(alone)); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
}

// TestLockOfAKilledProcess: a lock ends with its process.
func TestLockOfAKilledProcess(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, dir)
	cmd.Env = append(os.Environ(), roleEnv+"=holder")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := agent.Lock(ended, dir); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while it is held: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	unlock, err := agent.Lock(ctx, dir)
	if err != nil {
		t.Fatalf("after it was killed: %v", err)
	}
	unlock()
}
