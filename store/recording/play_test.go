package recording_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/store/recording"
)

// outputs are the events of a terminal that showed these.
func outputs(parts ...string) iter.Seq2[recording.Event, error] {
	return func(yield func(recording.Event, error) bool) {
		for i, p := range parts {
			e := recording.Event{At: time.Duration(i) * time.Second, Kind: recording.Output, Data: []byte(p)}
			if !yield(e, nil) {
				return
			}
		}
	}
}

func noWait(context.Context, time.Duration) error { return nil }

func plain(t testing.TB, parts ...string) string {
	t.Helper()
	var b bytes.Buffer
	check(t, recording.Plain(&b, outputs(parts...)))
	return b.String()
}

func replayed(t testing.TB, parts ...string) string {
	t.Helper()
	var b bytes.Buffer
	check(t, recording.Replay(t.Context(), &b, outputs(parts...), 1, noWait))
	return b.String()
}

// hostile sequences, none of which may reach an auditor's terminal. Each is
// followed by text that must stay visible.
func hostile() []string {
	sequences := []string{
		// Titles, icons, colours, directories, links, notifications, clipboard: OSC.
		"\x1b]0;title\x07", "\x1b]0;title\x1b\\", "\x1b]1;icon\x07", "\x1b]2;title\x9c", "\u009d2;title\u009c", "\x1b]2;title\u009c",
		"\x1b]4;1;?\x07", "\x1b]7;file:///etc\x07", "\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "\x1b]9;notify\x07", "\x1b]10;?\x07",
		"\x1b]11;?\x1b\\", "\x1b]12;red\x07", "\x1b]50;font\x07", "\x1b]52;c;cm0gLXJmIC8=\x07", "\x1b]52;c;?\x07", "\x1b]104\x07",
		"\x1b]133;C\x07", "\x1b]777;notify;a;b\x07", "\x1b]1337;File=inline=1:AAAA\x07", "\x1b]1337;SetMark\x07", "\x1b]\x07",
		// DCS, APC, PM, SOS.
		"\x1bP$qm\x1b\\", "\x1bP+q544e\x1b\\", "\x1bP1$r0m\x1b\\", "\x1bP0;1|17/17\x1b\\", "\x1bPq#0;2;0;0;0\x1b\\", "\u0090$qm\u009c",
		"\x1bPtmux;\x1b\x1b]52;c;AAAA\x07\x1b\\", "\x1b_Ga=q;AAAA\x1b\\", "\u009fGa=T\u009c", "\x1b^private\x1b\\", "\u009eprivate\u009c", "\x1bXsos\x1b\\", "\u0098sos\u009c",
		// Questions that a terminal answers as if its user typed.
		"\x1b[c", "\x1b[0c", "\x1b[>c", "\x1b[=c", "\u009bc", "\x1bZ", "\x1b[5n", "\x1b[6n", "\x1b[?6n", "\x1b[?15n", "\x1b[x", "\x1b[?1$p", "\x1b[>q",
		"\x1b[?u", "\x1b[18t", "\x1b[19t", "\x1b[20t", "\x1b[21t", "\x05", "\x1b[1;1;1;1;1;1*y", "\x1b[6\nn", "\x1b[?1\x1b[6n",
		// Windows, printers, keys, mouse, settings.
		"\x1b[3;0;0t", "\x1b[8;1;1t", "\x1b[2t", "\x1b[22;0t", "\x1b[5i", "\x1b[4i", "\x1b[?5i", "\x1b[?1h", "\x1b[?1000h", "\x1b[?1003;1006h", "\x1b[?1004h",
		"\x1b[?2004h", "\x1b[?9h", "\x1b[?3h", "\x1b[?66h", "\x1b[20h", "\x1b[2h", "\x1b[12h", "\x1b[>4;2m", "\x1b[>1u", "\x1b[=1;1u", "\x1b=", "\x1b>",
		"\x1b[!p", "\x1b[3J", "\x1b[03J", "\x1b[;3J", "\x1b[1;2s", "\x1b[1;2;3;4;5T", "\x1b[;;;;T", "\x1b[4 q", "\x1b[1\"q", "\x1b#8", "\x1b%@", "\x1b(K", "\x1bN", "\x1bO",
		"\x1b[999999999b", "\x1b[99999999999999999999A", "\x1b[" + strings.Repeat("1;", 500) + "m", "\x1b[?47;6h", "\x07", "\x1b[?25;6n",
		// Format characters that turn or hide text.
		"\u202e", "\u2066", "\u200b", "\ufeff", "\u00ad", "\U000e0041", "\u2028", "\u2029", "\u0085\u008d\u0084",
	}
	return sequences
}

var (
	// passed are the sequences that only move, delete and colour.
	passed = regexp.MustCompile(`^(\x1b\[[0-9;]{0,128}[@A-IK-MPSXZabdefr` + "`" + `]|\x1b\[[0-9:;]{0,128}m|\x1b\[[0-2]?J|\x1b\[[0-9]{0,4}T|\x1b\[[su]|\x1b\[4[hl]|` +
		`\x1b\[\?(7|25|1049)[hl]|\x1b[78DEM]|\x1b[()][0B]|[\n\r\t\x08\x0e\x0f])`)
	number = regexp.MustCompile(`[0-9]{5}`)
)

// acts returns the first thing in a replay that could act on a terminal.
func acts(s string) string {
	for len(s) > 0 {
		if m := passed.FindString(s); m != "" && !number.MatchString(m) {
			s = s[len(m):]
			continue
		}
		for i, r := range s {
			if i > 0 {
				s = s[i:]
				break
			}
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) && r != '\u200c' && r != '\u200d' || unicode.In(r, unicode.Zl, unicode.Zp) {
				return s[:min(len(s), 40)]
			}
			if len(s) == len(string(r)) {
				return ""
			}
		}
	}
	return ""
}

// actsOnText is the same for what Plain writes.
func actsOnText(s string) bool {
	s = strings.NewReplacer("\n", "", "\t", "", "\b", "!", "\r", "!", "\x1b", "!\x00").Replace(s)
	return acts(s) != ""
}

// TestS28: an auditor's terminal shows a recording, and does not obey it.
func TestS28ReplayNeutralises(t *testing.T) {
	sequences := hostile()
	if len(sequences) < 60 {
		t.Fatalf("the corpus has %d sequences, want 60", len(sequences))
	}
	for _, sequence := range sequences {
		// Whole, cut at every byte, and doubled.
		variants := [][]string{{"before" + sequence + "after"}, {sequence, sequence, "after"}, append(strings.Split("x"+sequence, ""), "after")}
		for i := range sequence {
			variants = append(variants, []string{"before" + sequence[:i], sequence[i:] + "after"})
		}
		for _, v := range variants {
			text, screen := plain(t, v...), replayed(t, v...)
			if actsOnText(text) {
				t.Errorf("%q: the text is %q", v, text)
			}
			if bad := acts(screen); bad != "" {
				t.Errorf("%q: the replay has %q in %q", v, bad, screen)
			}
			if !strings.Contains(text, "after") || !strings.Contains(screen, "after") {
				t.Errorf("%q hides what follows: text %q, replay %q", v, text, screen)
			}
		}
	}
	t.Logf("%d sequences", len(sequences))
}

func TestReplayPassesWhatIsSeen(t *testing.T) {
	screen := "a\x1b[1;38;2;1;2;3mb\x1b[38:5:1mc\x1b[H\x1b[2J\x1b[10;20H\x1b[K\x1b(0q\x1b(B\x1b7\x1b8\x1b[?25l\x1b[?1049h\x1b[2;5r\x1b[4h\b\r\n\té日🎉👩\u200d🚀\ue0b0"
	got := replayed(t, screen)
	if !strings.HasPrefix(got, screen) {
		t.Errorf("the replay is %q, want first %q", got, screen)
	}
	for _, undo := range []string{"\x1b[?1049l", "\x1b[?25h", "\x1b[0m", "\x1b[r", "\x1b[4l", "\x1b(B"} {
		if !strings.Contains(got[len(screen):], undo) {
			t.Errorf("%q is not at the end of %q", undo, got)
		}
	}
	if got := replayed(t, "just text\r\n"); got != "just text\r\n" {
		t.Errorf("text alone is replayed as %q", got)
	}
	if got := replayed(t, "a\x1b[?47hb\x1bcc"); !strings.Contains(got, "b\x0f\x1b(B") && !strings.Contains(got, "\x1b[?1049l") {
		t.Errorf("a full reset is replayed as %q", got)
	}
}

func TestPlain(t *testing.T) {
	for name, tt := range map[string]struct {
		in   []string
		want string
	}{
		"prompt":             {[]string{"\x1b]0;root@db1\x07\x1b[01;32mroot@db1\x1b[00m:~# ", "ls\r\n", "a  b\r\n"}, "root@db1:~# ls\na  b\n"},
		"progress":           {[]string{"10%\r20%\r", "\n"}, "10%\n20%\n"},
		"screen":             {[]string{"\x1b[H\x1b[2Jone\x1b[2;1Htwo\x1b[5Cthree"}, "one\ntwo three"},
		"cut rune":           {[]string{"\xe6\x97", "\xa5", "\xe6"}, "日\uFFFD"},
		"cut sequence":       {[]string{"a\x1b", "[3", "1mb"}, "ab"},
		"unended title":      {[]string{"a\x1b]0;hidden\r\n", "shown\r\n"}, "a0;hidden\nshown\n"},
		"unended at the end": {[]string{"a\x1bPhidden"}, "ahidden"},
		"long string":        {[]string{"\x1b]" + strings.Repeat("x", 9000) + "\x07end"}, strings.Repeat("x", 9000) + "end"},
		"cancelled":          {[]string{"\x1b[31\x18a\x1b]0;t\x1ab\x1b\u00e9"}, "abé"},
		"tab, backspace":     {[]string{"a\tb\b\bc"}, "a\tbc"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, plain(t, tt.in...)); diff != "" {
				t.Errorf("text (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReplayKeepsTime(t *testing.T) {
	var waits []time.Duration
	wait := func(_ context.Context, d time.Duration) error {
		waits = append(waits, d)
		if len(waits) == 3 {
			return context.Canceled
		}
		return nil
	}
	var b bytes.Buffer
	err := recording.Replay(t.Context(), &b, outputs("a\x1b[31m", "b", "c"), 2, wait)
	if !errors.Is(err, context.Canceled) || !strings.HasPrefix(b.String(), "a\x1b[31mb") || !strings.HasSuffix(b.String(), "\x1b[0m") {
		t.Errorf("a cancelled replay wrote %q and returned %v", &b, err)
	}
	if diff := cmp.Diff([]time.Duration{0, 500 * time.Millisecond, 500 * time.Millisecond}, waits); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
	for _, speed := range []float64{0, -1} {
		if err := recording.Replay(t.Context(), &b, outputs("a"), speed, noWait); err == nil {
			t.Errorf("speed %v was accepted", speed)
		}
	}
}

// FuzzPlay: no bytes make Plain or Replay pass what acts, however they are cut.
func FuzzPlay(f *testing.F) {
	for _, s := range hostile() {
		f.Add([]byte(s+"after"), uint8(3))
	}
	f.Fuzz(func(t *testing.T, data []byte, cut uint8) {
		var parts []string
		for p := data; len(p) > 0; {
			n := min(len(p), int(cut)+1)
			parts = append(parts, string(p[:n]))
			p = p[n:]
		}
		if text := plain(t, parts...); actsOnText(text) {
			t.Fatalf("%q: the text is %q", data, text)
		}
		if bad := acts(replayed(t, parts...)); bad != "" {
			t.Fatalf("%q: the replay has %q", data, bad)
		}
	})
}
