package recording_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/store/recording"
)

// TestS24: the bytes that come out of a recording are those that went in, however
// they were cut, and interleaved streams don't mix.
func TestS24BytesComeBackExactly(t *testing.T) {
	s, _ := newStore(t)
	piece := rapid.OneOf(
		rapid.SliceOfN(rapid.Byte(), 0, 40),
		rapid.Map(rapid.String(), func(s string) []byte { return []byte(s) }),
		rapid.SampledFrom([][]byte{
			[]byte("日本語"), []byte("\xe6\x97"), []byte("\xa5"), []byte("\xf0\x9f\x8e"), []byte("\x89"), []byte("\xed\xa0\x80"),
			make([]byte, 30), []byte("\x1b[31m"), []byte("plain text, longer than eight bytes"), []byte("\xc2"), []byte("\x9b"),
		}),
	)
	rapid.Check(t, func(rt *rapid.T) {
		r, err := s.Create(t.Context(), newSessionID(t), testHead())
		if err != nil {
			rt.Fatal(err)
		}
		c, err := r.Channel(command("cat"))
		if err != nil {
			rt.Fatal(err)
		}
		want := map[recording.EventKind]*bytes.Buffer{recording.Output: {}, recording.Stderr: {}, recording.Input: {}}
		for range rapid.IntRange(0, 30).Draw(rt, "writes") {
			kind := rapid.SampledFrom([]recording.EventKind{recording.Output, recording.Stderr, recording.Input}).Draw(rt, "stream")
			p := piece.Draw(rt, "bytes")
			write := map[recording.EventKind]func([]byte) error{
				recording.Output: c.Output, recording.Stderr: c.Stderr, recording.Input: c.Input,
			}[kind]
			if err := write(p); err != nil {
				rt.Fatal(err)
			}
			want[kind].Write(p)
		}
		if _, err := r.Close(""); err != nil {
			rt.Fatal(err)
		}
		session, err := s.OpenSession(r.ID())
		if err != nil {
			rt.Fatal(err)
		}
		defer session.Close()
		for kind, w := range want {
			if got, err := content(session, 1, kind); err != nil || !bytes.Equal(got, w.Bytes()) {
				rt.Fatalf("%s is %q and %v, want %q", kind, got, err, w.Bytes())
			}
		}
	})
}

// A large write is split into events that any reader takes.
func TestLargeWrite(t *testing.T) {
	s, _ := newStore(t)
	r := create(t, s)
	c := channel(t, r, command("cat"))
	data := bytes.Repeat([]byte("\x1b\xff\x00é\n "), 700_000)
	check(t, c.Output(data))
	_, err := r.Close("")
	check(t, err)
	got, err := content(openSession(t, s, r.ID()), 1, recording.Output)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back of %d: %v", len(got), len(data), err)
	}
}

const castHeader = `{"version":2,"width":80,"height":24,"timestamp":0,"vaultpam":{"format":1,` +
	`"session":"00000000-0000-4000-8000-000000000000","channel":1,"started":"2026-08-01T14:00:00Z","label":"metadata","info":{"kind":"exec"}}}`

// FuzzReader: no file crashes the reader, and what it accepts as an event is
// JSON that means the same to others.
func FuzzReader(f *testing.F) {
	f.Add([]byte(castHeader + "\n"))
	for _, events := range []string{
		`[0.000000,"o","a\n\u001b"]`, `[1.500000,"b","e:/w=="]` + "\n" + `[1.500000,"o","\ufffd"]`,
		`[2.000000,"r","80x24"]`, `[4294967295.999999,"z","{\"reason\":\"closed\"}"]`, `[01.000000,"o",""]`, `[1.0,"o",""]`,
		`[1.000000,"m","\u009b\u2028"]`, `[1.000000,"m","` + "\u2028" + `"]`, `[1.000000,"i","\ud800"]`, "", "[", "[.",
	} {
		f.Add([]byte(castHeader + "\n" + events + "\n"))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := recording.NewReader(bytes.NewReader(file))
		if err != nil {
			return
		}
		lines := bytes.Split(file, []byte{'\n'})[1:]
		for e, err := range r.Events() {
			if err != nil {
				break
			}
			for len(lines) > 0 && e.Kind == recording.Marker {
				var event [3]any
				if err := json.Unmarshal(lines[0], &event); err != nil {
					t.Fatalf("a line was accepted that is not JSON: %q", lines[0])
				}
				lines = lines[1:]
				if event[1] == "m" {
					if event[2] != string(e.Data) {
						t.Fatalf("marker %q was read as %q", event[2], e.Data)
					}
					break
				}
			}
		}
	})
}

// FuzzRoundTrip: any bytes come back, cut anywhere; each line is JSON without a
// control character; and text that is not cut is shown to players as it is.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("hello\r\n\x1b[0m"), uint16(3))
	f.Add([]byte("日本語\xff\xc2\x9b\x00\u2028\u00a0"), uint16(1))
	f.Add(bytes.Repeat([]byte{0}, 40), uint16(17))
	f.Fuzz(func(t *testing.T, data []byte, cut uint16) {
		for _, label := range []recording.Label{recording.Replayable, recording.Metadata} {
			encode := recording.NewEncoder(label)
			var lines []byte
			for p := data; len(p) > 0; {
				n := min(len(p), int(cut)+1)
				lines = encode(lines, p[:n])
				p = p[n:]
			}
			shown := checkEvents(t, lines)
			if bytes.IndexByte(data, 0) < 0 && utf8.Valid(data) && shown != string(data) {
				t.Fatalf("players are shown %q of %q", shown, data)
			}
			r, err := recording.NewReader(io.MultiReader(strings.NewReader(castHeader+"\n"), bytes.NewReader(lines)))
			check(t, err)
			var got []byte
			for e, err := range r.Events() {
				if err != nil && !errors.Is(err, recording.ErrUnfinished) {
					t.Fatal(err)
				}
				got = append(got, e.Data...)
			}
			if !bytes.Equal(got, data) {
				t.Fatalf("%q came back as %q", data, got)
			}
		}
	})
}

// checkEvents requires that each line is an asciicast event, and returns what a
// player shows.
func checkEvents(t *testing.T, lines []byte) string {
	t.Helper()
	var shown strings.Builder
	for line := range bytes.Lines(lines) {
		line = bytes.TrimSuffix(line, []byte{'\n'})
		var event [3]any
		if err := json.Unmarshal(line, &event); err != nil || bytes.ContainsFunc(line, unicode.IsControl) {
			t.Fatalf("not one line of JSON: %q: %v", line, err)
		}
		if event[1] == "o" {
			shown.WriteString(event[2].(string))
		}
	}
	return shown.String()
}
