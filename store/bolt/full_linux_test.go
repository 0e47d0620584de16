package bolt_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/storetest"
)

// TestR5DiskFull fills a small disk: what finds no room is ErrFull and changes
// nothing, and the same back end goes on by itself when there is room again.
func TestR5DiskFull(t *testing.T) {
	dir, ok := smallDisk(t)
	if !ok {
		return // the child process ran the test
	}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	h := storetest.NewHistory(t)
	b := open(t, dir)
	accepted := 0
	for {
		batch := h.Batch(t, 20)
		err := b.Append(t.Context(), batch)
		if errors.Is(err, store.ErrFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		h.Appended(t, batch)
		accepted++
	}
	t.Logf("%d batches of 20 before the disk was full", accepted)
	for range campaign(5, 100) {
		for name, write := range writes(b, h.Batch(t, 50)) {
			if err := write(t.Context()); err != nil && !errors.Is(err, store.ErrFull) {
				t.Fatalf("%s on a full disk: %v", name, err)
			}
		}
		// A small write may still fit into a free page; follow it.
		if err := h.Follow(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if err := storetest.Check(t.Context(), b, h.Origin, h.LogKey); err != nil {
			t.Fatal(err)
		}
	}
	if h.Head().Size < uint64(20*accepted) {
		t.Errorf("%d entries, but %d were accepted", h.Head().Size, 20*accepted)
	}
	// Who starts on the full disk finds what the journal keeps.
	if err := b.Close(); !errors.Is(err, store.ErrFull) {
		t.Errorf("closing on a full disk: error %v, want ErrFull", err)
	}
	b = open(t, dir)
	if err := storetest.Check(t.Context(), b, h.Origin, h.LogKey); err != nil {
		t.Fatal(err)
	}
	if head, err := b.Head(t.Context()); err != nil || head.Size != h.Head().Size {
		t.Errorf("after a start on a full disk %d entries, error %v, want %d", head.Size, err, h.Head().Size)
	}
	if err := b.Append(t.Context(), h.Batch(t, 50)); !errors.Is(err, store.ErrFull) {
		t.Errorf("append after a start on a full disk: error %v, want ErrFull", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	appendSome(t, b, h, 10)
	reopenAndCheck(t, b, dir, h)
}

// smallDisk runs the test again in a child process that has a mount namespace
// of its own, and returns a folder of 3 MiB there and true. In the parent it
// waits for the child and returns false.
func smallDisk(t *testing.T) (string, bool) {
	t.Helper()
	const child = "VAULTPAM_TEST_SMALL_DISK"
	if dir := os.Getenv(child); dir != "" {
		if err := syscall.Mount("small", dir, "tmpfs", 0, "size=3m,mode=0700"); err != nil {
			t.Fatalf("mounting a small disk: %v", err)
		}
		return dir, true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), child+"="+t.TempDir())
	// Unlike Cloneflags, this keeps the mount from spreading to the parent.
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 { // an ordinary user is root in a user namespace
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	t.Logf("child:\n%s", out)
	if err != nil {
		t.Errorf("in a mount namespace with a disk of 3 MiB: %v", err)
	}
	return "", false
}
