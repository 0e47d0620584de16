package recording_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

// TestMain is also the entry of the child processes that some tests start,
// kill, trace, or shut into a small file system.
func TestMain(m *testing.M) {
	role := os.Getenv("VAULTPAM_RECORDING_CHILD")
	if role == "" {
		goleak.VerifyTestMain(m)
		return
	}
	if err := runChild(role, os.Getenv("VAULTPAM_RECORDING_DIR")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// child returns a command that runs this test binary in a role.
func child(t *testing.T, role, dir string, wrapper ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	check(t, err)
	argv := append(slices.Clone(wrapper), exe)
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "VAULTPAM_RECORDING_CHILD="+role, "VAULTPAM_RECORDING_DIR="+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

func runChild(role, dir string) error {
	seed, err := strconv.ParseUint(os.Getenv("VAULTPAM_RECORDING_SEED"), 10, 64)
	if err != nil && role == "writer" {
		return err
	}
	switch role {
	case "writer":
		return childWriter(dir, seed)
	case "once":
		return childOnce(dir)
	case "full disk":
		return childFullDisk(dir)
	}
	return fmt.Errorf("unknown role %q", role)
}

func childStore(dir string) (*recording.Store, error) {
	return recording.Open(dir, recording.Options{
		Now: time.Now, Log: slog.New(slog.DiscardHandler), SyncEvery: 5 * time.Millisecond,
	})
}

// seedID is the session ID that belongs to a seed.
func seedID(seed uint64) store.SessionID {
	var id store.SessionID
	binary.BigEndian.PutUint64(id[:], seed)
	id[6], id[8] = 0x40, 0x80 // version 4, RFC 9562
	return id
}

const childStream = 1 << 20

// stream is what the writer writes: a mixture of text, controls, cut runes and
// binary, the same in parent and child.
func stream(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 24))
	words := []string{"ls -l /etc\r\n", "\x1b[1;31merror\x1b[0m ", "日本語", "é", "🎉", "\x00\x00\x00", "\xff\xfe", "\xe2\x82", "\"\\", "\u2028"}
	b := make([]byte, 0, n+16)
	for len(b) < n {
		b = append(b, words[rng.IntN(len(words))]...)
	}
	return b[:n]
}

// childWriter records, and only then tells on standard output how many bytes the
// user has been shown, until it is killed.
func childWriter(dir string, seed uint64) error {
	s, err := childStore(dir)
	if err != nil {
		return err
	}
	r, err := s.Create(context.Background(), seedID(seed), recording.Head{Handle: "carol", Started: time.Now()})
	if err != nil {
		return err
	}
	c, err := r.Channel(recording.ChannelInfo{Kind: recording.Shell, TTY: true})
	if err != nil {
		return err
	}
	data, rng := stream(seed, childStream), rand.New(rand.NewPCG(seed, 1))
	for at := 0; at < len(data); {
		part := data[at:min(len(data), at+1+rng.IntN(2000))]
		if err := c.Output(part); err != nil {
			return err
		}
		at += len(part)
		if _, err := os.Stdout.Write(binary.BigEndian.AppendUint64(nil, uint64(at))); err != nil {
			return err
		}
	}
	return errors.New("the writer was to be killed, and came to its end")
}

// childOnce records one line, and lives until its standard input ends.
func childOnce(dir string) error {
	s, err := childStore(dir)
	if err != nil {
		return err
	}
	r, err := s.Create(context.Background(), seedID(1), recording.Head{Started: time.Now()})
	if err != nil {
		return err
	}
	c, err := r.Channel(recording.ChannelInfo{Kind: recording.Shell, TTY: true})
	if err != nil {
		return err
	}
	if err := c.Output([]byte("shown to the user")); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, bufio.NewReader(os.Stdin))
	return err
}
