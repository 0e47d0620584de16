package main

import (
	"crypto/sha256"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

const sessionID = "5f0c7c7e-3a54-4c7f-9d0b-0d9f1f6f3c11"

// record makes a recording of one terminal that showed text.
func record(t *testing.T, id store.SessionID, text string) []byte {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "recordings")
	recordings, err := recording.Open(dir, recording.Options{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer recordings.Close()
	r, err := recordings.Create(t.Context(), id, recording.Head{Session: id, Handle: "carol", Login: "root", Target: "db1", Started: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.Channel(recording.ChannelInfo{Kind: recording.Shell, TTY: true, Term: "xterm", Cols: 80, Rows: 24})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Output([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Close(recording.Exit{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Close(string(store.EndedByUser)); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, id.String(), "1.cast"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// append puts an event of the test's into the ledger and returns its index.
func (s *fakeServer) append(e store.Event) uint64 { return s.appendBy(store.UserID{}, e) }

// appendBy appends what somebody caused.
func (s *fakeServer) appendBy(who store.UserID, e store.Event) uint64 {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	index := s.tree.Size()
	data, err := (&store.Entry{Index: store.Index(index), Time: 1_700_000_000_000, Actor: store.Actor{User: who}, Event: e}).Encode()
	if err != nil {
		s.t.Fatal(err)
	}
	tree, hashes, err := s.tree.Append([][]byte{data})
	if err != nil {
		s.t.Fatal(err)
	}
	s.tree, s.hashes, s.records = tree, append(s.hashes, hashes...), append(s.records, data)
	return index
}

func TestPlay(t *testing.T) {
	id, err := store.ParseSessionID(sessionID)
	if err != nil {
		t.Fatal(err)
	}
	cast := record(t, id, "root@db1:~# \x1b]52;c;ZXZpbA==\x07\x1b[1mid\x1b[0m\r\nuid=0(root)\r\n")
	s := newFakeServer(t)
	m := enrolled(t, s)
	ended := s.append(&store.SessionEnded{
		Session: id, User: store.UserID{1}, Target: 3, Started: 4, Reason: store.EndedByUser,
		Files: []store.RecordingFile{{Name: "1.cast", Label: "replayable", Size: int64(len(cast)), SHA256: sha256.Sum256(cast)}},
	})
	resp := api.RecordingResponse{Session: sessionID, Ended: ended, Files: []api.RecordingFile{{Name: "1.cast", Data: cast}}}
	s.set(api.RouteRecording, resp)
	for _, what := range []string{sessionID, "5"} {
		r := m.run("play", what)
		r.want(t, exitOK, "session "+sessionID+": verified against the ledger")
		if r.out != "root@db1:~# id\nuid=0(root)\n" {
			t.Errorf("it shows %q", r.out)
		}
	}
	m.run("play", "2").want(t, exitOther, "entry 2 belongs to no session")

	changed := resp
	changed.Files = []api.RecordingFile{{Name: "1.cast", Data: []byte(strings.Replace(string(cast), "uid=0", "uid=1", 1))}}
	s.set(api.RouteRecording, changed)
	r := m.run("play", sessionID)
	r.want(t, exitLedger, "1.cast of the recording is not what was recorded")
	if r.out != "" {
		t.Errorf("it was shown all the same: %q", r.out)
	}

	running := resp
	running.Ended = 0
	s.set(api.RouteRecording, running)
	m.run("play", sessionID).want(t, exitOK, "the session has not ended", "uid=0(root)")
	s.set(api.RouteRecording, api.NewError(api.KindForbidden, "", "only an auditor may see recordings"))
	m.run("play", sessionID).want(t, exitRefused)
}
