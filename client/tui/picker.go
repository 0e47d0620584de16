// Package tui has the screens that vaultpam shows on a terminal. For now that is
// one: the picker of a target and a login.
//
// Its promise: a screen is a pure function of its model, fits into the width
// and height that the terminal has, says the same without colours, and shows
// nothing that was not made harmless before. It does not connect to anything
// and does not run ssh; it returns what was chosen.
package tui

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/store"
)

// A Choice is one login on one target.
type Choice struct {
	Target store.TargetName
	Login  store.Login
	Until  time.Time // of the grant; zero where it has no end
}

// A Picker is the screen on which one of the choices is taken: typing filters,
// the arrows move, enter takes.
type Picker struct {
	title   string
	suffix  string
	zone    *time.Location
	all     []Choice
	shown   []int // indexes into all that the filter lets through
	filter  string
	cursor  int // index into shown
	taken   bool
	width   int
	height  int
	leaving bool
}

var _ tea.Model = Picker{}

// NewPicker returns the screen for the choices. The suffix stands behind
// target names, without its dot; ends of grants are shown in the zone.
func NewPicker(title, suffix string, zone *time.Location, choices []Choice) Picker {
	p := Picker{title: client.Clean(title), suffix: client.Clean(suffix), zone: zone, all: choices, width: 80, height: 24}
	p.match()
	return p
}

// Chosen returns what was taken, once the screen was left with enter.
func (p Picker) Chosen() (Choice, bool) {
	if !p.taken || p.cursor >= len(p.shown) {
		return Choice{}, false
	}
	return p.all[p.shown[p.cursor]], true
}

// Init asks for nothing.
func (p Picker) Init() tea.Cmd { return nil }

// Update takes one event.
func (p Picker) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		p.width, p.height = max(1, msg.Width), max(1, msg.Height)
	case tea.PasteMsg:
		p.typed(msg.Content)
	case tea.KeyPressMsg:
		return p.press(msg)
	}
	return p, nil
}

func (p Picker) press(key tea.KeyPressMsg) (tea.Model, tea.Cmd) {
	page := max(1, p.rows()-1)
	switch key.Keystroke() {
	case "ctrl+c":
		p.leaving = true
		return p, tea.Quit
	case "esc":
		if p.filter == "" {
			p.leaving = true
			return p, tea.Quit
		}
		p.filter = ""
		p.match()
	case "enter":
		if len(p.shown) > 0 {
			p.taken, p.leaving = true, true
			return p, tea.Quit
		}
	case "up", "ctrl+p", "shift+tab":
		p.move(-1)
	case "down", "ctrl+n", "tab":
		p.move(1)
	case "pgup":
		p.move(-page)
	case "pgdown":
		p.move(page)
	case "home":
		p.move(-len(p.shown))
	case "end":
		p.move(len(p.shown))
	case "backspace":
		_, size := utf8.DecodeLastRuneInString(p.filter)
		p.filter = p.filter[:len(p.filter)-size]
		p.match()
	case "ctrl+u", "ctrl+w":
		p.filter = ""
		p.match()
	default:
		p.typed(key.Text)
	}
	return p, nil
}

// maxFilter bounds what is typed or pasted, in bytes.
const maxFilter = 200

func (p *Picker) typed(text string) {
	for _, r := range text {
		if unicode.IsPrint(r) && len(p.filter) < maxFilter {
			p.filter += string(r)
		}
	}
	p.match()
}

func (p *Picker) move(by int) {
	p.cursor = max(0, min(len(p.shown)-1, p.cursor+by))
}

// match keeps the choices that hold every word of the filter, whatever their
// order and case.
func (p *Picker) match() {
	words := strings.Fields(strings.ToLower(p.filter))
	p.shown, p.cursor = nil, 0
	for i, c := range p.all {
		name := strings.ToLower(p.name(c))
		if !containsAll(name, words) {
			continue
		}
		p.shown = append(p.shown, i)
	}
}

func containsAll(s string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(s, w) {
			return false
		}
	}
	return true
}

func (p Picker) name(c Choice) string {
	return client.Clean(fmt.Sprintf("%s@%s.%s", c.Login, c.Target, p.suffix))
}

// rows is how many choices fit between the two lines above and the two below.
func (p Picker) rows() int { return max(1, p.height-4) }

// View draws the screen.
func (p Picker) View() tea.View {
	if p.leaving {
		return tea.NewView("")
	}
	bold, faint := lipgloss.NewStyle().Bold(true), lipgloss.NewStyle().Faint(true)
	lines := []string{bold.Render(p.fit(p.title)), p.fit("filter: " + p.filter + "_")}
	if len(p.shown) == 0 {
		lines = append(lines, p.fit(p.nothing()))
	}
	first := max(0, min(p.cursor-p.rows()/2, len(p.shown)-p.rows()))
	for i := first; i < min(first+p.rows(), len(p.shown)); i++ {
		choice := p.all[p.shown[i]]
		if i == p.cursor {
			lines = append(lines, bold.Render(p.row("> ", choice)))
			continue
		}
		lines = append(lines, p.row("  ", choice))
	}
	lines = append(lines, "", faint.Render(p.fit(fmt.Sprintf("%d of %d  ·  ↑↓ move  ·  enter connect  ·  esc quit", len(p.shown), len(p.all)))))
	// A terminal that is too low loses the end, not the choices.
	v := tea.NewView(strings.Join(lines[:min(len(lines), p.height)], "\n"))
	v.AltScreen = true
	v.WindowTitle = "vaultpam"
	return v
}

func (p Picker) nothing() string {
	if len(p.all) == 0 {
		return "  no grant lets you reach a target now"
	}
	return "  nothing matches; esc clears the filter"
}

// row draws a choice. The end of the grant gives way before the name does.
func (p Picker) row(marker string, c Choice) string {
	line := marker + p.name(c)
	if c.Until.IsZero() {
		return p.fit(line)
	}
	until := "until " + c.Until.In(p.zone).Format("2006-01-02 15:04")
	gap := p.width - ansi.StringWidth(line) - ansi.StringWidth(until)
	if gap < 2 {
		return p.fit(line)
	}
	return line + strings.Repeat(" ", min(gap, max(2, 44-ansi.StringWidth(line)))) + until
}

// fit cuts a line to the terminal's width.
func (p Picker) fit(line string) string { return ansi.Truncate(line, p.width, "…") }
