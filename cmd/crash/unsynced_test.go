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

// A loss counts writes that a disk did not keep.
type loss struct{ ledger, journal int }

// wreck overwrites, in the ledger's file and in its journal, what was written to
// them and not synced when the trace ended, each write with the given chance: all
// of it, or from some byte on. It returns how many writes there were.
func (h *house) wreck(t *testing.T, trace string, chance float64) loss {
	t.Helper()
	d := newDisk(h.dir)
	for _, s := range readTrace(t, trace) {
		d.take(t, s)
	}
	of := func(name string) int {
		lost := d.files[h.path(name)]
		if len(lost) > 0 {
			destroy(t, h.path(name), lost, chance)
		}
		return len(lost)
	}
	return loss{ledger: of("ledger.db"), journal: of("ledger.db.journal")}
}

func destroy(t *testing.T, path string, lost []span, chance float64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
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
}

// TestR3UnsyncedIsLost kills the server while people ask, and destroys what the
// disk had not been told to keep: all of it, or some writes and not others, whole
// or torn. The server starts on what is left, and nothing that was answered is
// missing.
func TestR3UnsyncedIsLost(t *testing.T) {
	h := newHouse(t, filepath.Join(t.TempDir(), "data"))
	h.serves.stop(t, h)
	rounds, lost, hit := campaign(12, 100), loss{}, loss{}
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
		lost.ledger, lost.journal = lost.ledger+n.ledger, lost.journal+n.journal
		hit.ledger, hit.journal = hit.ledger+min(1, n.ledger), hit.journal+min(1, n.journal)
	}
	h.serve(t)
	h.checkAll(t)
	t.Logf("R3: %d kills; unsynced were %d writes to the journal at %d of them and %d to the ledger's file at %d, destroyed or torn; %d certificates acknowledged, 0 lost",
		rounds, lost.journal, hit.journal, lost.ledger, hit.ledger, len(h.audit.have))
	if hit.ledger+hit.journal == 0 {
		t.Error("no kill came while something was unsynced")
	}
}

// TestR4FailedSync has writes and syncs of the ledger and its journal fail with
// EIO. Nothing is handed out that is not in the one or the other, nothing after it
// either, the file is not touched again, and the server ends with a sentence. It starts again by
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
	// Who has written leaves no journal: the next server's first sync is of a write.
	if _, err := h.carol.certificate(t.Context(), h.carol.client, h.userCA); err != nil {
		t.Error(err)
	}
	again.stop(t, h)
}

// afterFailure requires that the ledger's file, or its journal, was left alone
// after its first failure, and that the last certificate arrived within a second
// of it.
func (h *house) afterFailure(t *testing.T, trace string, last time.Time) {
	t.Helper()
	failed := map[string]time.Time{}
	var first time.Time
	for _, s := range readTrace(t, trace) {
		of, known := failed[s.path], false
		for _, name := range []string{"ledger.db", "ledger.db.journal"} {
			known = known || s.path == h.path(name)
		}
		switch {
		case !known || s.name == "openat":
		case !of.IsZero():
			t.Errorf("after a failure %s is touched again: %s", s.path, s)
		case s.failed:
			failed[s.path] = s.at
			if first.IsZero() {
				first = s.at
			}
		}
	}
	if first.IsZero() {
		t.Fatal("nothing failed")
	}
	if late := last.Sub(first); late > time.Second {
		t.Errorf("the last certificate arrived %v after the failure", late)
	}
}

// TestR4FailedRecordingSync has every sync but the first of each thread fail:
// sessions end with a sentence, certificates are issued as before, and what was
// shown is on record.
func TestR4FailedRecordingSync(t *testing.T) {
	h := newHouse(t, filepath.Join(t.TempDir(), "data"))
	h.serves.stop(t, h)
	// A server that is killed leaves its journal, and the next one need not make
	// it, which takes syncs of this kind.
	p := h.serve(t)
	if _, err := h.carol.certificate(t.Context(), h.carol.client, h.userCA); err != nil {
		t.Fatal(err)
	}
	h.signal(t, syscall.SIGKILL)
	p.wait(t)
	trace := filepath.Join(t.TempDir(), "trace")
	p = h.serve(t, traced(trace, "-e", "inject=fsync:error=EIO:when=2+")...)
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
