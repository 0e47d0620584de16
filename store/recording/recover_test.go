package recording_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

var end = time.Date(2026, 8, 2, 0, 0, 0, 0, time.UTC)

// finished returns the files of a recording with two channels, by name.
func finished(t *testing.T, id store.SessionID) map[string][]byte {
	t.Helper()
	s, dir := newStore(t)
	r, err := s.Create(t.Context(), id, testHead())
	check(t, err)
	c := channel(t, r, terminal())
	check(t, c.Output([]byte("日本")))
	check(t, c.Output([]byte("\xe8\xaa")))
	check(t, c.Output([]byte("\x9e\r\n")))
	check(t, c.Resize(10, 10))
	cmd := channel(t, r, command("true"))
	check(t, cmd.Input([]byte("in\xff")))
	_, err = cmd.Close(recording.Exit{})
	check(t, err)
	_, err = r.Close("")
	check(t, err)
	return readAll(t, filepath.Join(dir, id.String()))
}

func readAll(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	check(t, err)
	files := map[string][]byte{}
	for _, e := range entries {
		files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name()))
		check(t, err)
	}
	return files
}

// lay writes files as the recording of id into a new directory of recordings.
func lay(t *testing.T, id store.SessionID, files map[string][]byte) (*recording.Store, string) {
	t.Helper()
	s, dir := newStore(t)
	check(t, os.Mkdir(filepath.Join(dir, id.String()), 0o700))
	for name, b := range files {
		check(t, os.WriteFile(filepath.Join(dir, id.String(), name), b, 0o600))
	}
	return s, filepath.Join(dir, id.String())
}

func with(files map[string][]byte, name string, b []byte) map[string][]byte {
	out := map[string][]byte{}
	for n, old := range files {
		out[n] = old
	}
	out[name] = b
	if b == nil {
		delete(out, name)
	}
	return out
}

// lastLine cuts the last line off.
func lastLine(b []byte) []byte {
	return b[:bytes.LastIndexByte(b[:len(b)-1], '\n')+1]
}

// A process may die at any byte of any file; Recover is one of them, so that the
// files that it leaves are cut at every byte too.
func TestRecoverAtEveryByte(t *testing.T) {
	id := newSessionID(t)
	whole := finished(t, id)
	open := with(whole, "session.jsonl", lastLine(lastLine(whole["session.jsonl"]))) // without channel 1's end
	open = with(open, "1.cast", lastLine(whole["1.cast"]))
	s, dir := lay(t, id, open)
	recoverOnce(t, s, id)
	recovered := readAll(t, dir)
	step := campaign(7, 1)
	for base, files := range map[string]map[string][]byte{"written": open, "recovered": recovered} {
		for name := range files {
			content := files[name]
			from := 0
			if base == "recovered" {
				from = len(open[name])
			}
			others := open
			if name == "session.jsonl" && base == "recovered" {
				others = recovered // the log comes last
			}
			if name == "2.cast" {
				continue // closed, and in the log as such
			}
			for n := from; n < len(content); n += step {
				s, dir := lay(t, id, with(others, name, content[:n]))
				sum := recoverOnce(t, s, id)
				if len(sum.Channels) == 0 && n > 600 {
					t.Fatalf("%s %s cut at %d: no channels in %+v", base, name, n, sum)
				}
				for _, c := range sum.Channels {
					if c.Damaged {
						t.Fatalf("%s %s cut at %d: channel %d is called damaged: %q", base, name, n, c.Number, readAll(t, dir))
					}
				}
			}
		}
	}
}

// recoverOnce recovers the one recording, requires that it is whole then, and
// that a second call finds nothing to do and changes nothing.
func recoverOnce(t *testing.T, s *recording.Store, id store.SessionID) recording.Summary {
	t.Helper()
	sums, err := s.Recover(t.Context(), end)
	check(t, err)
	if len(sums) != 1 || sums[0].Reason != recording.ReasonInterrupted || !sums[0].Ended.Equal(end) || sums[0].Head.Session != id {
		t.Fatalf("recovered %+v, want the interrupted session", sums)
	}
	session := openSession(t, s, id)
	if diff := cmp.Diff(sums[0], session.Summary()); diff != "" {
		t.Fatalf("summary on disk (-returned +disk):\n%s", diff)
	}
	check(t, session.Verify(sums[0].SHA256))
	for _, c := range sums[0].Channels {
		if _, err := content(session, c.Number, recording.Output); err != nil {
			t.Fatal(err)
		}
	}
	again, err := s.Recover(t.Context(), end.Add(time.Hour))
	if err != nil || len(again) != 0 {
		t.Fatalf("recovering again: %+v, %v", again, err)
	}
	check(t, session.Verify(sums[0].SHA256))
	return sums[0]
}

func TestRecoverKeepsWhatWasRecorded(t *testing.T) {
	id := newSessionID(t)
	files := finished(t, id)
	lines := bytes.SplitAfter(files["session.jsonl"], []byte{'\n'})
	opened := bytes.Join(lines[:3], nil) // session, channel 1, channel 2
	for name, files := range map[string]map[string][]byte{
		"no end in the log": with(files, "session.jsonl", opened),
		"torn line":         with(with(files, "session.jsonl", opened), "1.cast", slices.Concat(lastLine(files["1.cast"]), []byte(`[0.1,"o","x`))),
		"zeros at the end":  with(with(files, "session.jsonl", opened), "1.cast", slices.Concat(lastLine(files["1.cast"]), make([]byte, 5000))),
		"no log":            with(files, "session.jsonl", nil),
		"torn first line":   with(files, "session.jsonl", lines[0][:20]),
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := lay(t, id, files)
			sum := recoverOnce(t, s, id)
			if len(sum.Channels) != 2 || sum.Channels[0].Label != recording.Replayable || sum.Channels[1].Label != recording.Metadata {
				t.Errorf("channels are %+v", sum.Channels)
			}
			session := openSession(t, s, id)
			if got, err := content(session, 1, recording.Output); err != nil || string(got) != "日本語\r\n" {
				t.Errorf("output is %q, %v", got, err)
			}
			if got, err := content(session, 2, recording.Input); err != nil || string(got) != "in\xff" {
				t.Errorf("input is %q, %v", got, err)
			}
		})
	}
}

func TestRecoverOfNothing(t *testing.T) {
	id := newSessionID(t)
	s, _ := lay(t, id, nil)
	if sum := recoverOnce(t, s, id); len(sum.Channels) != 0 {
		t.Errorf("an empty directory has channels: %+v", sum)
	}
}

// What cannot be read is evidence: it stays, and is said to be damaged.
func TestRecoverLeavesDamageAlone(t *testing.T) {
	id := newSessionID(t)
	whole := finished(t, id)
	log := bytes.Join(bytes.SplitAfter(whole["session.jsonl"], []byte{'\n'})[:3], nil)
	damaged := bytes.Replace(whole["1.cast"], []byte(`"o"`), []byte(`"?"`), 1)
	s, dir := lay(t, id, with(with(whole, "session.jsonl", log), "1.cast", damaged))
	sums, err := s.Recover(t.Context(), end)
	check(t, err)
	if len(sums) != 1 || !sums[0].Channels[0].Damaged || sums[0].Channels[1].Damaged {
		t.Fatalf("recovered %+v, want channel 1 damaged", sums)
	}
	if got := readAll(t, dir)["1.cast"]; !bytes.Equal(got, damaged) {
		t.Errorf("the damaged file was changed to %q", got)
	}
	session := openSession(t, s, id)
	check(t, session.Verify(sums[0].SHA256))
	if _, err := content(session, 1, recording.Output); !errors.Is(err, recording.ErrDamaged) {
		t.Errorf("reading it gives %v, want ErrDamaged", err)
	}
}
