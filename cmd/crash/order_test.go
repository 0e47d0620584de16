//go:build linux

package crash_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/vaultpam/vaultpam/server/demo"
)

// TestR3InitIsDurableFirst: the configuration, whose presence says that a data
// directory is one, gets its name after everything else is on disk, and the
// secrets are shown after the configuration is.
func TestR3InitIsDurableFirst(t *testing.T) {
	h := &house{dir: filepath.Join(t.TempDir(), "data"), https: freeAddress(t), ssh: freeAddress(t)}
	trace := filepath.Join(t.TempDir(), "trace")
	line := append(traced(trace), append([]string{program("vaultpamd")}, h.initArgs()...)...)
	if out, err := exec.Command(line[0], line[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("vaultpamd init: %v\n%s", err, out)
	}
	d := newDisk(h.dir)
	marked, shown := false, false
	for _, s := range readTrace(t, trace) {
		switch p := s.paths(); {
		case strings.HasPrefix(s.name, "rename") && p[1] == h.path("vaultpam.yaml"):
			marked = true
			// Leftovers of making a file are nobody's.
			if lost := d.lost(".tmp", ".new-"); len(lost) > 0 {
				t.Errorf("the directory is marked as complete, and not on disk is: %v", lost)
			}
		case s.name == "write" && strings.HasPrefix(s.args, "1<"):
			shown = true
			if lost := d.lost(".tmp", ".new-"); len(lost) > 0 {
				t.Errorf("the secrets are shown, and not on disk is: %v", lost)
			}
		}
		d.take(t, s)
	}
	if !marked || !shown {
		t.Errorf("marked: %v, shown: %v", marked, shown)
	}
}

// TestR3CommitIsDurableFirst: whoever waits for a batch hears of it after it is on
// disk in the journal; the page that makes batches count in the ledger's file is
// written when they are on disk there; and the journal is written over when that
// page is.
func TestR3CommitIsDurableFirst(t *testing.T) {
	h := newHouse(t, filepath.Join(t.TempDir(), "data"))
	h.serves.stop(t, h)
	trace := filepath.Join(t.TempDir(), "trace")
	p := h.serve(t, traced(trace)...)
	const n = 400 // more than the journal holds
	for range n { // one after the other: an answer can't be somebody else's
		if _, err := h.carol.certificate(t.Context(), h.carol.client, h.userCA); err != nil {
			t.Fatal(err)
		}
	}
	p.stop(t, h)
	d := newDisk(h.dir)
	ledger, journal := h.path("ledger.db"), h.path("ledger.db.journal")
	var batches, commits, over, answers int
	held := map[int64]int{} // by place in the journal: how many commits had begun when it was written
	for _, s := range readTrace(t, trace) {
		switch {
		case s.state == ends:
		case s.name == "pwrite64" && s.path == ledger && isMeta(t, s):
			commits++
			if lost := d.files[ledger]; len(lost) > 0 {
				t.Errorf("batches are made to count, and %d of their writes are not on disk", len(lost))
			}
		case s.name == "pwrite64" && s.path == journal:
			batches++
			from, _ := s.offset(t)
			if before, ok := held[from]; ok {
				over++
				if durable := commits - min(1, len(d.files[ledger])); durable <= before {
					t.Errorf("the journal is written over at %d, and what it held is not on disk", from)
				}
			}
			held[from] = commits
		case s.name == "write" && strings.HasPrefix(s.path, "socket:"):
			answers++
			if lost := d.files[journal]; len(lost) > 0 {
				t.Errorf("somebody is answered, and %d writes are not on disk", len(lost))
			}
		}
		d.take(t, s)
	}
	if batches < n || answers < n || commits < 2 || over == 0 {
		t.Errorf("%d batches, %d answers, %d commits, %d writes over others; want at least %d, %d, 2 and 1", batches, answers, commits, over, n, n)
	}
	h.serve(t)
	h.check(t)
}

// isMeta reports whether a write is of one of bbolt's two meta pages, which are
// the first of the file.
func isMeta(t *testing.T, s step) bool {
	t.Helper()
	from, size := s.offset(t)
	return from < 2*pageSize && size == pageSize
}

const pageSize = 4096 // store/bolt fixes it

// TestR3SessionIsDurableFirst: the target is not spoken to before the session's
// entry and the beginning of its recording are on disk, and the entry that holds
// a recording's hashes is written when the recording is.
func TestR3SessionIsDurableFirst(t *testing.T) {
	h := newHouse(t, filepath.Join(t.TempDir(), "data"))
	h.serves.stop(t, h)
	trace := filepath.Join(t.TempDir(), "trace")
	p := h.serve(t, traced(trace)...)
	k := h.talk(t.Context())
	t.Cleanup(func() { k.wait(t) })
	h.awaitLive(t, k)
	h.host.Stop() // the session ends with its target
	k.wait(t)
	p.stop(t, h)
	_, port, err := net.SplitHostPort(h.host.Address())
	if err != nil {
		t.Fatal(err)
	}
	d := newDisk(h.dir)
	unpromised := []string{"vaultpamd.pid", "vaultpamd.sock"}
	connected, ended, recorded := false, false, false
	for _, s := range readTrace(t, trace) {
		switch {
		case s.name == "connect" && strings.Contains(s.args, "htons("+port+")") && s.state != ends:
			connected = true
			delete(d.files, h.path("ledger.db")) // what is not on disk there is in the journal
			if lost := d.lost(unpromised...); len(lost) > 0 {
				t.Errorf("the target is connected to, and not on disk is: %v", lost)
			}
		case s.name == "write" && strings.HasSuffix(s.path, ".cast"):
			recorded = true
		case s.name == "pwrite64" && recorded && s.path == h.path("ledger.db.journal") && s.state != ends:
			ended = true
			if lost := d.lost(append(unpromised, "ledger.db")...); len(lost) > 0 {
				t.Errorf("the session's end is written, and not on disk is: %v", lost)
			}
		}
		d.take(t, s)
	}
	if !connected || !recorded || !ended {
		t.Errorf("connected: %v, recorded: %v, ended: %v", connected, recorded, ended)
	}
	h.serve(t)
	h.check(t)
	h.checkRecording(t, h.audit.newest, k.shown)
}

// TestR3ClientReplacesWhole: what a user's machine knows is replaced by files
// that were on disk before they got their names.
func TestR3ClientReplacesWhole(t *testing.T) {
	h := newHouse(t, filepath.Join(t.TempDir(), "data"))
	added, err := h.ada.client.InviteUser(t.Context(), "carol")
	if err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(t.TempDir(), "home")
	trace := filepath.Join(t.TempDir(), "trace")
	line := append(traced(trace), program("vaultpam"), "--home", home, "enroll", "--code-stdin", added.Invitation)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = append(os.Environ(), "VAULTPAM_KEYRING=off", "SSH_AUTH_SOCK=")
	said, err := demo.Enrol(cmd, func(secret string) (string, error) { return totp.GenerateCode(secret, time.Now()) })
	if err != nil {
		t.Fatalf("vaultpam enroll: %v\n%s", err, said)
	}
	d := newDisk(home)
	replaced := map[string]bool{}
	for _, s := range readTrace(t, trace) {
		if p := s.paths(); strings.HasPrefix(s.name, "rename") && d.within(p[1]) {
			name := strings.TrimPrefix(p[1], home)
			replaced[filepath.Base(filepath.Dir(name))+"/"+filepath.Base(name)] = true
			// What can't be read of an identity is made anew.
			if len(d.files[p[0]]) > 0 && !strings.Contains(p[1], "id_ed25519") {
				t.Errorf("%s gets its name before its content is on disk", name)
			}
		}
		d.take(t, s)
	}
	for _, want := range []string{"//config.json", "//session"} {
		if !replaced[want] {
			t.Errorf("%s was not replaced, only %v", want, replaced)
		}
	}
}
