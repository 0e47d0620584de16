package recording_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/store/recording"
)

// TestR5 (and S24): a full disk ends the session with an error that says so; the
// recording stays readable; when there is room everything works again.
func TestR5FullDisk(t *testing.T) {
	// The small file system is in a mount namespace of the child, and goes with
	// it. Who isn't root needs a user namespace for that.
	cmd := child(t, "full disk", t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	if err := cmd.Run(); err != nil {
		t.Error(err)
	}
}

func childFullDisk(dir string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,mode=700"); err != nil {
		return err
	}
	s, err := childStore(dir)
	if err != nil {
		return err
	}
	reserve := filepath.Join(dir, "reserve")
	if err := os.WriteFile(reserve, make([]byte, 64<<10), 0o600); err != nil {
		return err
	}
	if err := fillByOutput(s); err != nil {
		return err
	}
	if err := os.Remove(reserve); err != nil {
		return err
	}
	ballast := filepath.Join(dir, "ballast")
	if err := fillBeforeChannel(s, ballast); err != nil {
		return err
	}
	if _, err := s.Create(context.Background(), seedID(2), testHead()); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("creating a recording on a full disk: %v, want ENOSPC", err)
	}
	if err := os.Remove(ballast); err != nil {
		return err
	}
	if _, err := s.Recover(context.Background(), time.Now()); err != nil {
		return err
	}
	if err := checkReadable(s, 1, []byte("shown"), recording.ReasonInterrupted); err != nil {
		return err
	}
	if err := checkReadable(s, 4, nil, recording.ReasonRecorder); err != nil {
		return err
	}
	r, err := s.Create(context.Background(), seedID(2), testHead())
	if err != nil {
		return fmt.Errorf("creating a recording when there is room again: %w", err)
	}
	sum, err := r.Close("")
	if err != nil || sum.SHA256 == (recording.Hash{}) {
		return fmt.Errorf("closing it: %v, %w", sum, err)
	}
	return s.Close()
}

// fillByOutput records until the disk is full. There is room for an end marker
// once the torn line is gone.
func fillByOutput(s *recording.Store) error {
	r, err := s.Create(context.Background(), seedID(4), testHead())
	if err != nil {
		return err
	}
	c, err := r.Channel(recording.ChannelInfo{Kind: recording.Exec, Command: "cat"})
	if err != nil {
		return err
	}
	other, err := r.Channel(terminal())
	if err != nil {
		return err
	}
	var shown []byte
	for data := stream(1, 4<<20); ; data = data[7000:] {
		if err = c.Output(data[:7000]); err != nil {
			break
		}
		shown = append(shown, data[:7000]...)
	}
	if !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, recording.ErrRecorder) {
		return fmt.Errorf("a full disk gives %v, want ENOSPC and ErrRecorder", err)
	}
	<-r.Failed()
	for _, err := range []error{other.Output([]byte("x")), c.Input([]byte("x")), r.Note(0, "a.b", ""), r.Err()} {
		if !errors.Is(err, recording.ErrRecorder) || !errors.Is(err, syscall.ENOSPC) {
			return fmt.Errorf("after a failure a call returns %v, want ErrRecorder", err)
		}
	}
	if sum, err := r.Close(""); !errors.Is(err, syscall.ENOSPC) || sum.SHA256 == (recording.Hash{}) {
		return fmt.Errorf("closing after a failure: %+v and %v, want the hash and the failure", sum, err)
	}
	return checkReadable(s, 4, shown, recording.ReasonRecorder)
}

// fillBeforeChannel fills the disk to the last block before a channel is opened:
// its file cannot be begun, so that the end marker is missing until Recover.
func fillBeforeChannel(s *recording.Store, ballast string) error {
	r, err := s.Create(context.Background(), seedID(1), testHead())
	if err != nil {
		return fmt.Errorf("creating a recording in the last kilobytes: %w", err)
	}
	c, err := r.Channel(terminal())
	if err != nil {
		return err
	}
	if err := c.Output([]byte("shown")); err != nil {
		return err
	}
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("filling the rest: %v, want ENOSPC", err)
	}
	if _, err := r.Channel(terminal()); !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, recording.ErrRecorder) {
		return fmt.Errorf("opening a channel on a full disk: %v, want ENOSPC and ErrRecorder", err)
	}
	if sum, err := r.Close(""); !errors.Is(err, syscall.ENOSPC) || sum.SHA256 != (recording.Hash{}) {
		return fmt.Errorf("closing after a failure: %+v and %v, want the failure and no hash", sum, err)
	}
	return nil
}

// checkReadable requires that the recording has what was shown, and an end.
func checkReadable(s *recording.Store, seed uint64, shown []byte, reason string) error {
	session, err := s.OpenSession(seedID(seed))
	if err != nil {
		return err
	}
	defer session.Close()
	sum := session.Summary()
	if err := session.Verify(sum.SHA256); err != nil {
		return err
	}
	if sum.Reason != reason {
		return fmt.Errorf("the recording ended because %q, want %q", sum.Reason, reason)
	}
	got, err := content(session, 1, recording.Output)
	if err != nil || !bytes.HasPrefix(got, shown) {
		return fmt.Errorf("%d of %d bytes are recorded: %w", len(got), len(shown), err)
	}
	return nil
}
