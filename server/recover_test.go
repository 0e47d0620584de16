package server_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

// recorded opens a session with a recording of one channel, and returns both.
func (s *site) recorded(who *resident) (*relay.Admission, *recording.Recording) {
	s.t.Helper()
	a := s.started(s.certificate(who), "db1")
	r, err := s.node.Recordings().Create(s.t.Context(), a.Session, recording.Head{
		Handle: a.Identity.Handle, Login: a.Login, Target: a.Target, Server: siteName, Started: s.clock.now(),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := r.Channel(recording.ChannelInfo{Kind: recording.Shell, TTY: true, Term: "xterm", Cols: 80, Rows: 24})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := c.Output([]byte("hello\r\n")); err != nil {
		s.t.Fatal(err)
	}
	return a, r
}

// interruptions are the ends of sessions in the ledger.
func (s *site) interruptions() map[store.SessionID]*store.SessionEnded {
	s.t.Helper()
	all := map[store.SessionID]*store.SessionEnded{}
	for _, e := range s.entriesOf(store.TypeSessionEnded) {
		ended := e.Event.(*store.SessionEnded)
		if all[ended.Session] != nil {
			s.t.Errorf("session %s ended twice", ended.Session)
		}
		all[ended.Session] = ended
	}
	return all
}

func TestRecoverClosesWhatADeadProcessLeft(t *testing.T) {
	s := populated(t)
	s.target("db1")
	carol := s.added("carol", "engineer")
	s.grant("carol", "db1", time.Time{})
	done := s.started(s.certificate(carol), "db1")
	if err := s.node.Gate().End(t.Context(), relay.Ended{Admission: done, Reason: store.EndedByUser}); err != nil {
		t.Fatal(err)
	}
	open, _ := s.recorded(carol)
	closed, r := s.recorded(carol)
	sum, err := r.Close("")
	if err != nil {
		t.Fatal(err)
	}
	bare := s.started(s.certificate(carol), "db1")
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	before := len(s.log.String())
	s.clock.turn(time.Minute)
	s.run()
	ended := s.interruptions()
	for name, id := range map[string]store.SessionID{"recording open": open.Session, "recording closed": closed.Session, "no recording": bare.Session} {
		e := ended[id]
		if e == nil || e.Reason != store.EndedInterrupted || e.Duration < time.Minute.Milliseconds() {
			t.Fatalf("%s: %+v", name, e)
		}
	}
	if len(ended[bare.Session].Files) != 0 {
		t.Errorf("files of no recording: %v", ended[bare.Session].Files)
	}
	want := []store.RecordingFile{
		{Name: "session.jsonl", Label: "metadata", SHA256: store.Hash(sum.SHA256)},
		{Name: "1.cast", Label: "replayable", Size: sum.Channels[0].Size, SHA256: store.Hash(sum.Channels[0].SHA256)},
	}
	if diff := cmp.Diff(want, ended[closed.Session].Files); diff != "" {
		t.Errorf("files of the recording that was closed:\n%s", diff)
	}
	// What the entry names is what verifies.
	for _, id := range []store.SessionID{open.Session, closed.Session} {
		e := ended[id]
		if len(e.Files) != 2 || e.Out != 7 {
			t.Fatalf("%+v", e)
		}
		rec, err := s.node.Recordings().OpenSession(id)
		if err != nil {
			t.Fatal(err)
		}
		if err := rec.Verify(recording.Hash(e.Files[0].SHA256)); err != nil {
			t.Error(err)
		}
		if err := rec.Close(); err != nil {
			t.Error(err)
		}
	}
	for range s.node.Ledger().State().Sessions() {
		t.Error("a session is still live")
	}
	if got := s.log.String()[before:]; strings.Count(got, "a session was interrupted when the relay died") != 3 {
		t.Errorf("the log: %s", got)
	}
	// Again, nothing happens.
	size := s.node.Ledger().State().Next()
	if err := s.node.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.node.Ledger().State().Next() != size {
		t.Error("recovering again made entries")
	}
}
