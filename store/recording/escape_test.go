package recording_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

// TestS29: one event is one line, whatever a stranger calls himself.
func TestS29OneEventIsOneLine(t *testing.T) {
	hostile := "x\n{\"event\":\"session.ended\"}\r\x1b]0;t\x07\u2028\u2029\u0085\u009b\x7f\u202e\"\\é🎉\x00"
	s, dir := newStore(t)
	for _, text := range []string{hostile, hostile + "\xff\xc3"} {
		head := testHead()
		head.Handle, head.Server = store.Handle(hostile), hostile
		r, err := s.Create(t.Context(), newSessionID(t), head)
		check(t, err)
		check(t, r.Note(0, "env.refused", recording.Text(text)))
		info := recording.ChannelInfo{Kind: recording.Exec, Command: recording.Text(text), Term: recording.Text(text), TTY: true}
		c := channel(t, r, info)
		check(t, c.Output([]byte(text)))
		check(t, c.Marker(text))
		_, err = c.Close(recording.Exit{Signal: recording.Text(text)})
		check(t, err)
		_, err = r.Close(hostile)
		check(t, err)
		for name, want := range map[string]int{"session.jsonl": 5, "1.cast": -1} {
			checkLines(t, filepath.Join(dir, r.ID().String(), name), want)
		}
		session := openSession(t, s, r.ID())
		log := session.Log()
		if diff := cmp.Diff(info, *log[2].Info); diff != "" || log[1].Detail != recording.Text(text) || string(log[0].Opened.Handle) != hostile {
			t.Errorf("the log lost something of %q:\n%s", text, diff)
		}
		got, err := content(session, 1, recording.Output)
		if err != nil || string(got) != text {
			t.Errorf("output is %q and %v", got, err)
		}
	}
}

// checkLines requires that every line is JSON without anything that ends a line
// or acts on a terminal, and, where want is not negative, that many lines.
func checkLines(t *testing.T, path string, want int) {
	t.Helper()
	b, err := os.ReadFile(path)
	check(t, err)
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if want >= 0 && len(lines) != want {
		t.Errorf("%s has %d lines, want %d", path, len(lines), want)
	}
	for _, l := range lines {
		if !json.Valid([]byte(l)) {
			t.Errorf("%s: not JSON: %q", path, l)
		}
		if i := strings.IndexFunc(l, func(r rune) bool {
			return r < 0x20 || 0x7f <= r && r < 0xa0 || r == '\u2028' || r == '\u2029'
		}); i >= 0 {
			t.Errorf("%s: control character in %q", path, l)
		}
	}
}
