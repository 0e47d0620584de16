//go:build linux

package crash_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// TestR5FullDisk fills small disks while people work, again and again: the
// ledger's, the recordings', and one that holds both. What can't be written is
// refused within a second and in words, everything else goes on, and with room
// again all goes on by itself. In the end nothing is lost or damaged. Recordings
// stay, so their disk has to hold those of all rounds.
func TestR5FullDisk(t *testing.T) {
	for _, f := range []full{
		{name: "ledger", disk: ".", size: "16m", ledger: true},
		{name: "recordings", disk: "recordings", size: "64m", recordings: true},
		{name: "both", disk: ".", size: "64m", ledger: true, recordings: true},
	} {
		t.Run(f.name, func(t *testing.T) {
			if dir, ok := ownMounts(t); ok {
				f.run(t, dir)
			}
		})
	}
}

// full says which disk is small, and what stops when it is full.
type full struct {
	name, disk, size   string
	ledger, recordings bool
	house              *house
	seen               map[store.SessionID]*talk // sessions that the disk was filled under
}

func (f *full) run(t *testing.T, dir string) {
	data := filepath.Join(dir, "data")
	if f.disk == "." {
		mount(t, data, f.size)
	}
	f.house = newHouse(t, data, func(h *house) {
		if !f.ledger || !f.recordings { // recordings have a disk of their own
			size := f.size
			if f.ledger {
				size = "64m"
			}
			mount(t, h.path("recordings"), size)
		}
	})
	f.seen = map[store.SessionID]*talk{}
	h := f.house
	rounds := campaign(5, 50)
	for i := range rounds {
		f.round(t)
		if t.Failed() {
			t.Fatalf("in round %d", i)
		}
	}
	h.serves.stop(t, h)
	checkPages(t, h.path("ledger.db"))
	h.serve(t)
	h.checkAll(t)
	shown := 0
	for id, k := range f.seen {
		shown += len(k.shown)
		if !h.checkBroken(t, id, k.shown) {
			t.Errorf("the recording of %v is not proved by the ledger", id)
		}
	}
	t.Logf("R5 R6: %s full %d times: refused at once, went on by itself; %d certificates acknowledged, 0 lost; %d bytes shown in %d sessions, 0 unrecorded, every recording proved; %d sessions ended by the next start",
		f.name, rounds, len(h.audit.have), shown, len(f.seen), h.audit.broken)
}

// round fills the disk while a session runs, and makes room again.
func (f *full) round(t *testing.T) {
	t.Helper()
	h := f.house
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	k := h.talk(ctx)
	h.awaitLive(t, k)
	h.read(t)
	f.seen[h.audit.newest] = k
	ballast := fill(t, h.path(f.disk))
	if f.recordings {
		k.wait(t)
		f.mustTell(t, k)
		again := h.talk(ctx)
		began := time.Now()
		again.wait(t)
		if took := time.Since(began); took > time.Second {
			t.Errorf("a session was refused after %v", took)
		}
		if !f.ledger {
			f.mustTell(t, again)
		}
	}
	f.askAll(t)
	h.read(t) // nobody's reading depends on the disk
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if _, err := h.carol.certificate(t.Context(), h.carol.client, h.userCA); err != nil {
		t.Errorf("with room again: %v", err)
	}
	after := h.talk(ctx)
	h.awaitLive(t, after)
	cancel()
	k.wait(t)
	after.wait(t)
}

// mustTell requires that a session ended because of its recording, in words.
func (f *full) mustTell(t *testing.T, k *talk) {
	t.Helper()
	if !strings.Contains(k.told, "the recording can't go on (no space left on device)") {
		t.Errorf("the session ended with %v, and its user reads:\n%s", k.err, k.told)
	}
}

// askAll has everybody ask until it is clear what they get.
func (f *full) askAll(t *testing.T) {
	t.Helper()
	people := f.house.ask(t, f.house.issuers)
	if f.ledger {
		// Free pages of the file may still take a few.
		people.await(t, 0, 5*issuers)
	} else {
		people.await(t, 20, 0)
	}
	people.disperse(t)
	if !f.ledger && len(people.refused) > 0 {
		t.Errorf("a certificate was refused although the ledger has room: %v", people.refused[0])
	}
	for _, r := range people.refused {
		if r.Kind != api.KindUnavailable || !strings.Contains(r.Detail, "no room left to write the ledger, so nothing was done") {
			t.Errorf("somebody was refused with: %v", r)
		}
	}
	if people.slowest > time.Second {
		t.Errorf("a refusal took %v", people.slowest)
	}
}

// awaitLive waits until somebody has seen something of their session.
func (h *house) awaitLive(t *testing.T, k *talk) {
	t.Helper()
	select {
	case <-k.live:
	case <-k.ended:
		t.Fatalf("no session: %v\n%s", k.err, k.told)
	case <-time.After(patience):
		t.Fatal("the session shows nothing")
	}
}

// fill writes a file until there is no byte left, and returns its name.
func fill(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, pageSize))
	}
	if err = errors.Join(err, f.Close()); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return path
}

func mount(t *testing.T, dir, size string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("small", dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
		t.Fatalf("mounting a small disk: %v", err)
	}
}

// checkPages has bbolt look for pages that are lost or used twice.
func checkPages(t *testing.T, path string) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.View(func(tx *bbolt.Tx) error {
		var all []error
		for err := range tx.Check() {
			all = append(all, err)
		}
		return errors.Join(all...)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// ownMounts runs the test again in a child process that has a mount namespace of
// its own, and returns a folder there and true. In the parent it waits for the
// child and returns false.
func ownMounts(t *testing.T) (string, bool) {
	t.Helper()
	const child = "VAULTPAM_TEST_CRASH_MOUNTS"
	if dir := os.Getenv(child); dir != "" {
		return dir, true
	}
	name := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+name, "-test.v", "-test.timeout=20m")
	cmd.Env = append(os.Environ(), child+"="+t.TempDir(), inherited+"="+bin)
	// Unlike Cloneflags, this keeps the mounts from spreading to the parent.
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 { // in a user namespace an ordinary user may mount, and stays who they are
		const capSysAdmin = 21
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}}
		cmd.SysProcAttr.AmbientCaps = []uintptr{capSysAdmin}
	}
	out, err := cmd.CombinedOutput()
	t.Logf("child:\n%s", out)
	if err != nil {
		t.Errorf("in a mount namespace with a small disk: %v", err)
	}
	return "", false
}
