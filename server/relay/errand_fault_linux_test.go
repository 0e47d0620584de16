package relay_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

// A fullDisk is a clock that counts, because a recording asks for the time
// before each of its writes: at the last of them its files become /dev/full.
type fullDisk struct {
	t    *testing.T
	dir  string
	full *os.File

	mu   sync.Mutex // guards left
	left int
}

func (d *fullDisk) now() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left--; d.left == 0 {
		d.fill()
	}
	return time.Now()
}

// fill puts /dev/full into the place of every file of a recording that is open.
func (d *fullDisk) fill() {
	links, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		d.t.Error(err)
	}
	for _, link := range links {
		name, err := os.Readlink("/proc/self/fd/" + link.Name())
		if err != nil || !strings.HasPrefix(name, d.dir) || filepath.Ext(name) == "" {
			continue // closed meanwhile, or not a recording's
		}
		var fd int
		fmt.Sscan(link.Name(), &fd)
		if err := syscall.Dup3(int(d.full.Fd()), fd, syscall.O_CLOEXEC); err != nil {
			d.t.Error(err)
		}
	}
}

// TestS24ErrandWhoseRecorderFailsAtEachWrite lets the first write fail, then the
// second, until one errand has made all of its own.
func TestS24ErrandWhoseRecorderFailsAtEachWrite(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	w := newWorld(t, withoutSshd)
	s, _ := transcript(t, func(c ssh.Channel) {
		buf := make([]byte, 1<<10)
		for {
			n, err := c.Read(buf)
			if err != nil {
				break
			}
			c.Write(buf[:n])
			c.Stderr().Write(buf[:n])
		}
		c.SendRequest("exit-status", false, []byte{0, 0, 0, 7})
		c.Close()
	})
	s.behind(w)
	for n := 1; ; n++ {
		disk := &fullDisk{t: t, dir: t.TempDir(), full: full, left: n}
		if w.onDisk(disk) {
			if n < 8 { // opened twice, input, output, standard error, closed twice
				t.Errorf("an errand made %d writes", n-1)
			}
			break
		}
		if n > 1000 {
			t.Fatal("no errand ends")
		}
	}
}

// onDisk runs an errand that is recorded on disk, and reports whether that could
// take all of it.
func (w *world) onDisk(disk *fullDisk) bool {
	w.t.Helper()
	log := slog.New(slog.DiscardHandler)
	recordings, err := recording.Open(disk.dir, recording.Options{Now: disk.now, Log: log})
	if err != nil {
		w.t.Fatal(err)
	}
	defer recordings.Close()
	r, err := relay.New(relay.Config{
		Gate: w.gate, Recordings: recordings, Name: relayName, Suffix: "pam", Log: log, Now: time.Now, Rand: rand.Reader,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	a := w.admit()
	watchdog := time.AfterFunc(time.Minute, func() { panic("the errand does not end") })
	defer watchdog.Stop()
	got, err := r.Run(w.t.Context(), a, relay.Errand{Command: "a command", Input: []byte("some input"), MaxOutput: 100})
	ended := w.endOf(a)
	if err == nil {
		if disk.left <= 0 || string(got.Output) != "some input" || ended.Reason != store.EndedByUser || len(ended.Files) != 2 {
			w.t.Errorf("%+v came back from a full disk", got)
		}
		return true
	}
	failed, ok := errors.AsType[*relay.ErrandError](err)
	if !ok || failed.Reason != store.EndedByRecorder || ended.Reason != store.EndedByRecorder || len(ended.Files) > 0 {
		w.t.Errorf("%v; session ended by %s with %d files", err, ended.Reason, len(ended.Files))
	}
	w.checkRecovered(recordings, a.Session, got)
	return false
}

// checkRecovered closes a recording as the next start would, and finds what came
// back in it.
func (w *world) checkRecovered(recordings *recording.Store, id store.SessionID, got relay.Outcome) {
	w.t.Helper()
	if _, err := recordings.Recover(w.t.Context(), time.Now()); err != nil {
		w.t.Fatal(err)
	}
	session, err := recordings.OpenSession(id)
	if errors.Is(err, fs.ErrNotExist) && len(got.Output)+len(got.Stderr) == 0 {
		return // it was never begun
	}
	if err != nil {
		w.t.Fatal(err)
	}
	defer session.Close()
	if session.Summary().Reason == "" {
		w.t.Error("the recording has no end marker")
	}
	recorded := map[recording.EventKind][]byte{}
	for _, channel := range session.Summary().Channels {
		for event, err := range session.Events(channel.Number) {
			if err != nil {
				w.t.Fatal(err)
			}
			recorded[event.Kind] = append(recorded[event.Kind], event.Data...)
		}
	}
	if !bytes.HasPrefix(recorded[recording.Output], got.Output) || !bytes.HasPrefix(recorded[recording.Stderr], []byte(got.Stderr)) {
		w.t.Errorf("%q and %q came back, recorded is %q", got.Output, got.Stderr, recorded)
	}
}
