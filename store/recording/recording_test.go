package recording_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

func TestRecordingTellsWhatHappened(t *testing.T) {
	s, dir := newStore(t)
	r := create(t, s)
	check(t, r.Note(0, "env.refused", "LD_PRELOAD"))
	shell := channel(t, r, terminal())
	check(t, shell.Output([]byte("$ ")))
	check(t, shell.Input([]byte("sudo -s\nhunter2\n")))
	check(t, shell.Resize(100, 0))
	check(t, shell.Marker("grant ends in a minute"))
	cmd := channel(t, r, command("sh -s"))
	check(t, cmd.Input([]byte("ls /nowhere\n")))
	check(t, cmd.Stderr([]byte("ls: cannot access '/nowhere'\n")))
	status := 2
	if _, err := cmd.Close(recording.Exit{Status: &status}); err != nil {
		t.Fatal(err)
	}
	sftp := channel(t, r, recording.ChannelInfo{Kind: recording.Subsystem, Command: "sftp"})
	check(t, sftp.Input([]byte("abc")))
	check(t, sftp.Output([]byte("abcdef")))
	got, err := r.Close("grant ended")
	check(t, err)

	want := []recording.ChannelSummary{
		{Number: 1, Kind: recording.Shell, Label: recording.Replayable, BytesIn: 16, BytesOut: 2},
		{
			Number: 2, Kind: recording.Exec, Label: recording.Metadata, Exit: recording.Exit{Status: &status},
			BytesIn: 12, BytesErr: 29, InputSHA256: sha256.Sum256([]byte("ls /nowhere\n")),
		},
		{Number: 3, Kind: recording.Subsystem, Label: recording.Opaque, BytesIn: 3, BytesOut: 6},
	}
	for i, c := range got.Channels {
		b, err := os.ReadFile(filepath.Join(dir, r.ID().String(), string(rune('0'+c.Number))+".cast"))
		check(t, err)
		if c.SHA256 != sha256.Sum256(b) || c.Size != int64(len(b)) || c.Duration <= 0 {
			t.Errorf("channel %d: summary %+v is not that of its file", c.Number, c)
		}
		want[i].SHA256, want[i].Size, want[i].Duration = c.SHA256, c.Size, c.Duration
		if bytes.Contains(b, []byte("hunter2")) {
			t.Errorf("a terminal's keystrokes are in %s", b)
		}
	}
	if diff := cmp.Diff(want, got.Channels); diff != "" {
		t.Errorf("channels (-want +got):\n%s", diff)
	}
	if got.Reason != "grant ended" || got.Head.Handle != "carol" || got.Head.Session != r.ID() {
		t.Errorf("summary is %+v", got)
	}
	session := openSession(t, s, r.ID())
	if diff := cmp.Diff(got, session.Summary()); diff != "" {
		t.Errorf("summary on disk (-want +got):\n%s", diff)
	}
	check(t, session.Verify(got.SHA256))
	var events []string
	for _, l := range session.Log() {
		events = append(events, l.Event)
	}
	wantLog := "session.opened env.refused channel.opened channel.opened channel.closed channel.opened" //nolint:dupword // two channels in a row
	if got := strings.Join(events[:6], " "); got != wantLog {
		t.Errorf("log is %s, want %s", got, wantLog)
	}
}

func TestEventsComeBack(t *testing.T) {
	s, _ := newStore(t)
	r := create(t, s)
	c := channel(t, r, command("cat"))
	check(t, c.Input([]byte("in\xff")))
	check(t, c.Output([]byte("a\x00\x1b[31mé\u2028\"\\")))
	check(t, c.Stderr([]byte("err")))
	check(t, c.Resize(0, 1<<20))
	check(t, c.Marker("m\xffn"))
	if _, err := c.Close(recording.Exit{Signal: "KILL"}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Close(""); err != nil {
		t.Fatal(err)
	}
	var got []recording.Event
	for e, err := range openSession(t, s, r.ID()).Events(1) {
		check(t, err)
		e.At = 0
		got = append(got, e)
	}
	want := []recording.Event{
		{Kind: recording.Input, Data: []byte("in\xff")},
		{Kind: recording.Output, Data: []byte("a\x00\x1b[31mé\u2028\"\\")},
		{Kind: recording.Stderr, Data: []byte("err")},
		{Kind: recording.Resized, Cols: 80, Rows: 65535},
		{Kind: recording.Marker, Data: []byte("m\uFFFDn")},
		{Kind: recording.Ended, End: &recording.End{
			Reason: "closed", Exit: recording.Exit{Signal: "KILL"}, BytesIn: 3, BytesOut: 14, BytesErr: 3,
			InputSHA256: sha256.Sum256([]byte("in\xff")),
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestInputIsBoundedThenHashed(t *testing.T) {
	s, _ := newStore(t)
	r := create(t, s)
	c := channel(t, r, command("cat > file"))
	input := bytes.Repeat([]byte("0123456789abcde\n"), (recording.InputLimit+70_000)/16)
	for p := input; len(p) > 0; {
		n := min(len(p), 32<<10+5)
		check(t, c.Input(p[:n]))
		p = p[n:]
	}
	sum, err := c.Close(recording.Exit{})
	check(t, err)
	_, err = r.Close("")
	check(t, err)
	session := openSession(t, s, r.ID())
	got, err := content(session, 1, recording.Input)
	check(t, err)
	if !bytes.Equal(got, input[:recording.InputLimit]) {
		t.Errorf("%d bytes of input are recorded, want the first %d", len(got), recording.InputLimit)
	}
	if sum.InputSHA256 != sha256.Sum256(input) || sum.BytesIn != uint64(len(input)) {
		t.Errorf("summary has %d bytes with hash %v", sum.BytesIn, sum.InputSHA256)
	}
	markers, err := content(session, 1, recording.Marker)
	check(t, err)
	if n := strings.Count(string(markers), "is not recorded"); n != 1 || !strings.Contains(string(markers), sum.InputSHA256.String()) {
		t.Errorf("markers are %q", markers)
	}
}

func TestOpenRefuses(t *testing.T) {
	ok := recording.Options{Now: newClock().now, Log: slog.New(slog.DiscardHandler)}
	open := t.TempDir()
	check(t, os.Chmod(open, 0o777))
	for name, tt := range map[string]struct {
		dir  string
		opts recording.Options
		want string
	}{
		"no clock":      {t.TempDir(), recording.Options{Log: ok.Log}, "no clock"},
		"no log":        {t.TempDir(), recording.Options{Now: ok.Now}, "no log"},
		"slow sync":     {t.TempDir(), recording.Options{Now: ok.Now, Log: ok.Log, SyncEvery: time.Minute}, "at most 1s"},
		"open to write": {open, ok, "run chmod 700"},
		"a file":        {"helpers_test.go", ok, "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := recording.Open(tt.dir, tt.opts)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is %v, want %q", err, tt.want)
			}
		})
	}
}

func TestModes(t *testing.T) {
	s, dir := newStore(t)
	r := create(t, s)
	channel(t, r, terminal())
	_, err := r.Close("")
	check(t, err)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		check(t, err)
		info, err := d.Info()
		check(t, err)
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), want)
		}
		return nil
	})
	check(t, err)
}

func TestMisuseIsRefused(t *testing.T) {
	s, _ := newStore(t)
	r := create(t, s)
	if _, err := s.Create(t.Context(), r.ID(), testHead()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second recording of a live session: %v, want fs.ErrExist", err)
	}
	for _, id := range []store.SessionID{{}, {1, 2, 3}} {
		if _, err := s.Create(t.Context(), id, testHead()); err == nil {
			t.Errorf("recording of session %v was created", id)
		}
		if _, err := s.OpenSession(id); err == nil {
			t.Errorf("recording of session %v was opened", id)
		}
	}
	if _, err := r.Channel(recording.ChannelInfo{}); err == nil {
		t.Error("a channel of no kind was opened")
	}
	if _, err := r.Channel(command(strings.Repeat("x", recording.MaxText+1))); err == nil {
		t.Error("an endless command was accepted")
	}
	for _, event := range []string{"", ".", "a", "a.", ".a", "session.ended", "a.b.c", "a.b\nc", "A.b"} {
		if err := r.Note(0, event, ""); err == nil {
			t.Errorf("note %q was accepted", event)
		}
	}
	c := channel(t, r, terminal())
	first, err := r.Close("")
	check(t, err)
	second, err := r.Close("other")
	check(t, err)
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("second Close differs (-first +second):\n%s", diff)
	}
	for name, err := range map[string]error{
		"Output": c.Output([]byte("x")), "Input": c.Input([]byte("x")), "Stderr": c.Stderr(nil),
		"Resize": c.Resize(1, 1), "Marker": c.Marker("x"), "Note": r.Note(0, "a.b", ""),
	} {
		if !errors.Is(err, recording.ErrRecorder) || !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s after Close: %v, want ErrRecorder and os.ErrClosed", name, err)
		}
	}
	if _, err := r.Channel(terminal()); !errors.Is(err, recording.ErrRecorder) {
		t.Errorf("Channel after Close: %v, want ErrRecorder", err)
	}
	if _, err := s.Create(t.Context(), r.ID(), testHead()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second recording of an ended session: %v, want fs.ErrExist", err)
	}
	if _, err := s.OpenSession(newSessionID(t)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opening what is not there: %v, want fs.ErrNotExist", err)
	}
}

func TestLiveRecordingCanBeRead(t *testing.T) {
	s, _ := newStore(t)
	r := create(t, s)
	c := channel(t, r, terminal())
	check(t, c.Output([]byte("so far")))
	session := openSession(t, s, r.ID())
	got, err := content(session, 1, recording.Output)
	if string(got) != "so far" || !errors.Is(err, recording.ErrUnfinished) {
		t.Errorf("read %q and %v, want ErrUnfinished", got, err)
	}
	if sum := session.Summary(); sum.Reason != "" || sum.SHA256 != (recording.Hash{}) {
		t.Errorf("summary of a live session is %+v", sum)
	}
	if err := session.Verify(recording.Hash{}); err == nil {
		t.Error("an unfinished recording verifies")
	}
	if sums, err := s.Recover(t.Context(), time.Now()); err != nil || len(sums) != 0 {
		t.Errorf("recovering a live session: %v, %v", sums, err)
	}
	check(t, c.Output([]byte("more")))
}
