package tui_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/exp/golden"
	"github.com/charmbracelet/x/exp/teatest/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/client/tui"
	"github.com/vaultpam/vaultpam/store"
)

func choices() []tui.Choice {
	until := time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC)
	return []tui.Choice{
		{Target: "db1", Login: "root", Until: until},
		{Target: "db1", Login: "deploy"},
		{Target: "db2.prod", Login: "Postgres$", Until: until.AddDate(0, 1, 0)},
		{Target: "web1", Login: "deploy"},
		{Target: "a-host-with-quite-a-long-name.in-some-datacenter.far-away", Login: "svc-backup@corp.example", Until: until},
	}
}

func newPicker(all []tui.Choice) tui.Picker {
	return tui.NewPicker("pam.example.eu", "pam", time.UTC, all)
}

// key is a key press by its name, or the characters of a text.
func key(name string) tea.KeyPressMsg {
	codes := map[string]rune{
		"up": tea.KeyUp, "down": tea.KeyDown, "enter": tea.KeyEnter, "esc": tea.KeyEscape, "backspace": tea.KeyBackspace,
		"home": tea.KeyHome, "end": tea.KeyEnd, "pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown, "tab": tea.KeyTab,
	}
	if code, ok := codes[name]; ok {
		return tea.KeyPressMsg{Code: code}
	}
	if letter, ok := strings.CutPrefix(name, "ctrl+"); ok {
		return tea.KeyPressMsg{Code: rune(letter[0]), Mod: tea.ModCtrl}
	}
	return tea.KeyPressMsg{Code: rune(name[0]), Text: name}
}

func press(t *testing.T, p tui.Picker, keys ...string) (tui.Picker, bool) {
	t.Helper()
	left := false
	for _, k := range keys {
		m, cmd := p.Update(key(k))
		p = m.(tui.Picker)
		if cmd != nil {
			_, left = cmd().(tea.QuitMsg)
		}
	}
	return p, left
}

func resize(p tui.Picker, width, height int) tui.Picker {
	m, _ := p.Update(tea.WindowSizeMsg{Width: width, Height: height})
	return m.(tui.Picker)
}

// The screens, drawn in a real program without colours, as NO_COLOR has them.
func TestScreens(t *testing.T) {
	many := make([]tui.Choice, 40)
	for i := range many {
		many[i] = tui.Choice{Target: store.TargetName(fmt.Sprintf("host%02d", i)), Login: "root"}
	}
	for _, tt := range []struct {
		name          string
		all           []tui.Choice
		width, height int
		keys          []string
	}{
		{"first", choices(), 80, 24, nil},
		{"narrow", choices(), 24, 12, nil},
		{"very-narrow", choices(), 5, 12, nil},
		{"wide", choices(), 160, 24, nil},
		{"one-line", choices(), 80, 1, nil},
		{"filtered", choices(), 80, 24, []string{"d", "b", " ", "r", "o"}},
		{"nothing-matches", choices(), 80, 24, []string{"z", "z"}},
		{"no-targets", nil, 80, 24, nil},
		{"second", choices(), 80, 24, []string{"down"}},
		{"many", many, 40, 12, nil},
		{"many-in-the-middle", many, 40, 12, []string{"pgdown", "pgdown", "down"}},
		{"many-at-the-end", many, 40, 12, []string{"end"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tm := teatest.NewTestModel(t, newPicker(tt.all), teatest.WithInitialTermSize(tt.width, tt.height),
				teatest.WithProgramOptions(tea.WithEnvironment([]string{"TERM=xterm-256color", "NO_COLOR=1"}), tea.WithColorProfile(colorprofile.ASCII)))
			for _, k := range tt.keys {
				tm.Send(key(k))
			}
			if err := tm.Quit(); err != nil {
				t.Fatal(err)
			}
			p := tm.FinalModel(t, teatest.WithFinalTimeout(10*time.Second)).(tui.Picker)
			screen := ansi.Strip(p.View().Content)
			for line := range strings.SplitSeq(screen, "\n") {
				if w := ansi.StringWidth(line); w > tt.width {
					t.Errorf("a line of %d cells on a terminal of %d: %q", w, tt.width, line)
				}
			}
			if n := strings.Count(screen, "\n") + 1; n > tt.height {
				t.Errorf("%d lines on a terminal of %d", n, tt.height)
			}
			golden.RequireEqual(t, screen+"\n")
		})
	}
}

func TestChoosing(t *testing.T) {
	for _, tt := range []struct {
		name string
		keys []string
		want int // index into choices; -1 is none
		left bool
	}{
		{"the first", []string{"enter"}, 0, true},
		{"the next", []string{"down", "enter"}, 1, true},
		{"not before the first", []string{"up", "up", "enter"}, 0, true},
		{"not behind the last", []string{"end", "down", "tab", "enter"}, 4, true},
		{"there and back", []string{"pgdown", "home", "ctrl+n", "ctrl+n", "ctrl+p", "enter"}, 1, true},
		{"by words in any order", []string{"w", "e", "b", " ", "d", "e", "enter"}, 3, true},
		{"in any case", []string{"P", "O", "S", "T", "G", "enter"}, 2, true},
		{"after a slip", []string{"w", "x", "backspace", "enter"}, 3, true},
		{"after starting anew", []string{"z", "ctrl+u", "enter"}, 0, true},
		{"after clearing", []string{"w", "esc", "enter"}, 0, true},
		{"none of nothing", []string{"z", "z", "enter"}, -1, false},
		{"left", []string{"down", "esc"}, -1, true},
		{"interrupted", []string{"w", "ctrl+c"}, -1, true},
		{"left too early", []string{"down"}, -1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, left := press(t, newPicker(choices()), tt.keys...)
			if left != tt.left {
				t.Errorf("left: %v, want %v", left, tt.left)
			}
			got, taken := p.Chosen()
			if taken != (tt.want >= 0) {
				t.Fatalf("taken: %v (%v)", taken, got)
			}
			if taken {
				if diff := cmp.Diff(choices()[tt.want], got); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// S35: what a server and a paste bring draws letters and moves no cursor.
func TestS35NothingActsOnTheTerminal(t *testing.T) {
	hostile := "\x1b]0;owned\x07\u202e\u009b2J\r\n"
	p := tui.NewPicker(hostile, "pam"+hostile, time.UTC, []tui.Choice{{Target: store.TargetName("db1" + hostile), Login: store.Login(hostile)}})
	m, _ := p.Update(tea.PasteMsg{Content: "d" + hostile})
	p = resize(m.(tui.Picker), 200, 24)
	screen := p.View().Content
	for _, bad := range []string{"\x1b]", "\x07", "\u202e", "\u009b", "\r"} {
		if strings.Contains(screen, bad) {
			t.Errorf("%q is on the screen: %q", bad, screen)
		}
	}
}

func TestPasteIsBounded(t *testing.T) {
	m, _ := newPicker(choices()).Update(tea.PasteMsg{Content: strings.Repeat("x", 1<<20)})
	if got := ansi.StringWidth(resize(m.(tui.Picker), 10_000, 24).View().Content); got > 2000 {
		t.Errorf("the screen is %d cells large", got)
	}
}

// Terminal.Pick runs on what it is given, and ends with its input.
func TestPickRuns(t *testing.T) {
	var out bytes.Buffer
	terminal := tui.Terminal{In: strings.NewReader("web\r"), Out: &out, Env: []string{"TERM=dumb", "NO_COLOR=1"}}
	got, taken, err := terminal.Pick(t.Context(), newPicker(choices()))
	if err != nil || !taken || got.Target != "web1" {
		t.Errorf("got %v, %v (%v), want web1", got, taken, err)
	}
	if _, _, err := (tui.Terminal{}).Pick(t.Context(), newPicker(nil)); err == nil {
		t.Error("a picker without a terminal ran")
	}
}
