package recording_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/store/recording"
)

// TestS24 (and R6): what a killed process had shown is in the recording.
func TestS24KilledProcessLosesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "recordings")
	s := openStore(t, dir)
	kills := campaign(20, 200)
	for n := range kills {
		seed := uint64(n + 1)
		shown := killWriter(t, dir, seed)
		sums, err := s.Recover(t.Context(), time.Now())
		check(t, err)
		if len(sums) != 1 || sums[0].Head.Session != seedID(seed) || sums[0].Reason != recording.ReasonInterrupted {
			t.Fatalf("kill %d: recovered %+v, want the session that was killed", n, sums)
		}
		session := openSession(t, s, seedID(seed))
		check(t, session.Verify(sums[0].SHA256))
		got, err := content(session, 1, recording.Output)
		check(t, err)
		if want := stream(seed, childStream); len(got) < shown || !bytes.Equal(got, want[:len(got)]) {
			t.Fatalf("kill %d: %d bytes are recorded, want the %d that were shown", n, len(got), shown)
		}
	}
}

// killWriter kills a writer after it has shown a random number of bytes, and
// returns how many those were.
func killWriter(t *testing.T, dir string, seed uint64) int {
	t.Helper()
	cmd := child(t, "writer", dir)
	cmd.Env = append(cmd.Env, fmt.Sprintf("VAULTPAM_RECORDING_SEED=%d", seed))
	out, err := cmd.StdoutPipe()
	check(t, err)
	const setPipeSize = 1031 // F_SETPIPE_SZ: the writer shall not run far ahead
	_, _, errno := syscall.Syscall(syscall.SYS_FCNTL, out.(*os.File).Fd(), setPipeSize, 4096)
	if errno != 0 {
		t.Fatal(errno)
	}
	check(t, cmd.Start())
	limit := uint64(rand.New(rand.NewPCG(seed, 2)).IntN(childStream / 2))
	shown, killed := uint64(0), false
	for {
		var b [8]byte
		if _, err := io.ReadFull(out, b[:]); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if shown = binary.BigEndian.Uint64(b[:]); shown >= limit && !killed {
			killed = true
			check(t, cmd.Process.Kill())
		}
	}
	if err := cmd.Wait(); !killed {
		t.Fatalf("the writer ended by itself: %v", err)
	}
	return int(shown)
}

// A power cut loses at most SyncEvery: after a write comes an fsync, although
// the session does nothing more.
func TestIdleSessionIsSynced(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "recordings")
	trace, traceEnd, err := os.Pipe()
	check(t, err)
	defer trace.Close()
	cmd := child(t, "once", dir, "strace", "-f", "-y", "-e", "trace=write,fsync", "-o", "/dev/fd/3")
	cmd.ExtraFiles = []*os.File{traceEnd}
	stdin, err := cmd.StdinPipe()
	check(t, err)
	check(t, cmd.Start()) // strace has to be installed: apt-get install strace
	check(t, traceEnd.Close())
	giveUp := time.AfterFunc(30*time.Second, func() { _ = stdin.Close() }) // the child ends, and the trace with it
	defer giveUp.Stop()
	written, synced := false, false
	for lines := bufio.NewScanner(trace); lines.Scan(); {
		line := lines.Text()
		isCast := strings.Contains(line, "1.cast>")
		written = written || isCast && strings.Contains(line, "write(") && strings.Contains(line, "[0.")
		if written && isCast && strings.Contains(line, "fsync(") && !synced {
			synced = true
			check(t, stdin.Close()) // the child may end
		}
	}
	if err := cmd.Wait(); err != nil || !synced {
		t.Errorf("written: %v, synced: %v, child: %v", written, synced, err)
	}
}
