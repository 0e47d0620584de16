//go:build linux

package crash_test

import (
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/api"
)

// wreck overwrites, in the ledger's file, what was written to it and not synced
// when the trace ended, each write with the given chance: all of it, or from
// some byte on. It returns how many writes there were.
func (h *house) wreck(t *testing.T, trace string, chance float64) int {
	t.Helper()
	d := newDisk(h.dir)
	for _, s := range readTrace(t, trace) {
		d.take(t, s)
	}
	f, err := os.OpenFile(h.path("ledger.db"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	lost := d.files[h.path("ledger.db")]
	for _, w := range lost {
		if mathrand.Float64() >= chance {
			continue
		}
		torn := int64(0)
		if chance < 1 && mathrand.IntN(2) == 0 {
			torn = mathrand.Int64N(w.size + 1)
		}
		garbage := make([]byte, w.size-torn)
		rand.Read(garbage)
		if _, err := f.WriteAt(garbage, w.from+torn); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return len(lost)
}

// TestR3UnsyncedIsLost kills the server while people ask, and destroys what the
// disk had not been told to keep: all of it, or some writes and not others, whole
// or torn. The server starts on what is left, and nothing that was answered is
// missing.
func TestR3UnsyncedIsLost(t *testing.T) {
	h := newHouse(t, filepath.Join(t.TempDir(), "data"))
	h.serves.stop(t, h)
	rounds, lost, hit := campaign(8, 100), 0, 0
	for i := range rounds {
		trace := filepath.Join(t.TempDir(), "trace")
		p := h.serve(t, traced(trace)...)
		h.check(t)
		people := h.ask(t, h.issuers)
		wait := time.NewTimer(time.Duration(20+mathrand.IntN(150)) * time.Millisecond)
		<-wait.C
		h.signal(t, syscall.SIGKILL)
		p.wait(t)
		people.disperse(t)
		n := h.wreck(t, trace, []float64{1, 0.5}[i%2])
		if lost += n; n > 0 {
			hit++
		}
	}
	h.serve(t)
	h.checkAll(t)
	t.Logf("R3: %d kills, %d of them with unsynced writes, %d writes destroyed or torn; %d certificates acknowledged, 0 lost", rounds, hit, lost, len(h.audit.have))
	if hit == 0 {
		t.Error("no kill came while something was unsynced")
	}
}

// TestR4FailedSync has writes and syncs of the ledger fail with EIO. Nothing of
// the batch that they belong to is handed out, nothing after it either, the file
// is not touched again, and the server ends with a sentence. It starts again by
// itself, even where the disk kept nothing of what failed.
func TestR4FailedSync(t *testing.T) {
	h := newHouse(t, filepath.Join(t.TempDir(), "data"))
	h.serves.stop(t, h)
	rounds := 0
	for range campaign(1, 10) {
		for _, call := range []string{"fdatasync", "pwrite64"} {
			for _, when := range []int{1, 2, 5, 20, 50} {
				h.failedSync(t, call, when)
				if rounds++; t.Failed() {
					t.Fatalf("with %s failing from the %d. time on", call, when)
				}
			}
		}
	}
	h.serve(t)
	h.checkAll(t)
	t.Logf("R4: %d servers with EIO from the ledger's disk, 0 certificates afterwards; %d acknowledged before, 0 lost", rounds, len(h.audit.have))
}

// failedSync has a call fail from some time on: strace counts for each thread.
func (h *house) failedSync(t *testing.T, call string, when int) {
	t.Helper()
	trace := filepath.Join(t.TempDir(), "trace")
	p := h.serve(t, traced(trace, "-e", fmt.Sprintf("inject=%s:error=EIO:when=%d+", call, when))...)
	people := h.ask(t, h.issuers)
	p.wait(t)
	people.disperse(t)
	if code := p.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if !strings.Contains(p.log.text(), "\nvaultpamd: the ledger can't be written: ") || !strings.Contains(p.log.text(), "input/output error") {
		t.Errorf("vaultpamd does not say why it ended:\n%s", p.log.text())
	}
	if people.late > 0 || len(people.refused) == 0 {
		t.Errorf("%d certificates for those who asked after the first of %d refusals", people.late, len(people.refused))
	}
	for _, r := range people.refused {
		if r.Kind != api.KindUnavailable || !strings.Contains(r.Detail, "can't write its ledger, so nothing is allowed") {
			t.Errorf("somebody was refused with: %v", r)
		}
	}
	h.afterFailure(t, trace, people.last)
	h.wreck(t, trace, 1)
	again := h.serve(t)
	h.check(t)
	again.stop(t, h)
}

// afterFailure requires that the ledger's file was left alone after the first
// failure, and that the last certificate arrived within a second of it.
func (h *house) afterFailure(t *testing.T, trace string, last time.Time) {
	t.Helper()
	var failed time.Time
	for _, s := range readTrace(t, trace) {
		switch {
		case s.path != h.path("ledger.db") || s.name == "openat":
		case !failed.IsZero():
			t.Errorf("after a failure the ledger's file is touched again: %s", s)
		case s.failed:
			failed = s.at
		}
	}
	if failed.IsZero() {
		t.Fatal("nothing failed")
	}
	if late := last.Sub(failed); late > time.Second {
		t.Errorf("the last certificate arrived %v after the failure", late)
	}
}

// TestR4FailedRecordingSync has every sync but the first of each thread fail:
// sessions end with a sentence, certificates are issued as before, and what was
// shown is on record.
func TestR4FailedRecordingSync(t *testing.T) {
	h := newHouse(t, filepath.Join(t.TempDir(), "data"))
	h.serves.stop(t, h)
	trace := filepath.Join(t.TempDir(), "trace")
	p := h.serve(t, traced(trace, "-e", "inject=fsync:error=EIO:when=2+")...)
	k := h.talk(t.Context())
	k.wait(t)
	if !strings.Contains(k.told, "the recording can't go on (input/output error)") {
		t.Errorf("the session ended with %v, and its user reads:\n%s", k.err, k.told)
	}
	people := h.ask(t, h.issuers)
	people.await(t, 50, 0)
	people.disperse(t)
	if len(people.refused) > 0 {
		t.Errorf("a certificate was refused: %v", people.refused[0])
	}
	h.signal(t, syscall.SIGKILL)
	p.wait(t)
	h.serve(t)
	h.check(t)
	h.checkRecording(t, h.audit.newest, k.shown)
}
