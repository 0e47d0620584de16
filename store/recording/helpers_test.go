package recording_test

import (
	"bytes"
	"crypto/rand"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

// campaign returns the long count for `make campaign`, the short one otherwise.
func campaign(short, long int) int {
	if os.Getenv("VAULTPAM_CAMPAIGN") == "1" {
		return long
	}
	return short
}

// A clock advances by a millisecond with each reading.
type clock struct{ t chan time.Time }

func newClock() *clock {
	c := &clock{make(chan time.Time, 1)}
	c.t <- time.Date(2026, 8, 1, 14, 0, 0, 0, time.UTC)
	return c
}

func (c *clock) now() time.Time {
	t := (<-c.t).Add(time.Millisecond)
	c.t <- t
	return t
}

func newSessionID(t testing.TB) store.SessionID {
	t.Helper()
	id, err := uuid.NewRandomFromReader(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return store.SessionID(id)
}

func openStore(t testing.TB, dir string) *recording.Store {
	t.Helper()
	s, err := recording.Open(dir, recording.Options{Now: newClock().now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// newStore returns a store in a directory of its own.
func newStore(t testing.TB) (*recording.Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "recordings")
	return openStore(t, dir), dir
}

func testHead() recording.Head {
	return recording.Head{
		Handle: "carol", Login: "root", Target: "db1", Server: "pam.example.eu",
		Started: time.Date(2026, 8, 1, 14, 0, 0, 0, time.UTC),
	}
}

func create(t testing.TB, s *recording.Store) *recording.Recording {
	t.Helper()
	r, err := s.Create(t.Context(), newSessionID(t), testHead())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close("") })
	return r
}

func channel(t testing.TB, r *recording.Recording, info recording.ChannelInfo) *recording.Channel {
	t.Helper()
	c, err := r.Channel(info)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func openSession(t testing.TB, s *recording.Store, id store.SessionID) *recording.Session {
	t.Helper()
	session, err := s.OpenSession(id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}

func terminal() recording.ChannelInfo {
	return recording.ChannelInfo{Kind: recording.Shell, TTY: true, Term: "xterm-256color", Cols: 120, Rows: 40}
}

func command(line string) recording.ChannelInfo {
	return recording.ChannelInfo{Kind: recording.Exec, Command: recording.Text(line)}
}

// content returns the exact bytes of one stream of a channel, and the error that
// ended reading, if any.
func content(session *recording.Session, number int, kind recording.EventKind) ([]byte, error) {
	var b bytes.Buffer
	for e, err := range session.Events(number) {
		if err != nil {
			return b.Bytes(), err
		}
		if e.Kind == kind {
			b.Write(e.Data)
		}
	}
	return b.Bytes(), nil
}

// check fails the test with err unless it is nil.
func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
