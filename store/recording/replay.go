package recording

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// A replay writes, of what a vt reports, only what is on its lists: it never
// passes a sequence because it does not know it. Sources: ECMA-48 and xterm's
// ctlseqs.
type replay struct {
	buf           []byte
	alternate     bool // the alternate screen is on
	scrollRegion  bool // a scroll region was set
	wroteSequence bool
}

func (p *replay) text(r rune) { p.buf = utf8.AppendRune(p.buf, visible(r)) }

func (p *replay) control(c byte) {
	switch c {
	case '\n', '\r', '\t', '\b':
		p.buf = append(p.buf, c)
	case '\v', '\f':
		p.buf = append(p.buf, '\n')
	case 0x0e, 0x0f: // shift out and in: line drawing
		p.buf, p.wroteSequence = append(p.buf, c), true
	}
}

func (p *replay) escape(e escape) {
	switch {
	case e.inter == "" && strings.IndexByte("78DEM", e.final) >= 0, // save, restore, index, next line, reverse index
		(e.inter == "(" || e.inter == ")") && (e.final == '0' || e.final == 'B'): // line drawing, ASCII
		p.write("\x1b" + e.inter + string(rune(e.final)))
	case e.inter == "" && e.final == 'c': // a full reset would take the scroll-back and the settings too
		p.restore()
		p.write("\x1b[H\x1b[2J")
	}
}

func (p *replay) write(s string) { p.buf, p.wroteSequence = append(p.buf, s...), true }

// restore undoes what the recording may have left switched on.
func (p *replay) restore() {
	if !p.wroteSequence {
		return
	}
	if p.scrollRegion { // resetting it moves the cursor
		p.write("\x1b7\x1b[r\x1b8")
	}
	if p.alternate {
		p.write("\x1b[?1049l")
	}
	p.write("\x0f\x1b(B\x1b)B\x1b[4l\x1b[?7h\x1b[?25h\x1b[0m")
	p.scrollRegion, p.alternate = false, false
}

func (p *replay) csi(c csi) {
	params, ok := parseParams(c.params)
	if !ok || c.inter != "" {
		return
	}
	switch {
	case c.private == '?' && (c.final == 'h' || c.final == 'l'):
		p.mode(params, c.final)
	case c.private == 0 && allowedCSI(c.final, c.params):
		p.scrollRegion = p.scrollRegion || c.final == 'r'
		p.write("\x1b[" + c.params + string(rune(c.final)))
	}
}

// mode passes the private modes that concern what is seen: wrapping, the
// visible cursor, the alternate screen.
func (p *replay) mode(params []int, final byte) {
	for _, n := range params {
		switch n {
		case 47, 1047, 1049:
			// One form, so that restore ends what was begun.
			p.alternate = final == 'h'
			n = 1049
		case 7, 25:
		default:
			continue
		}
		p.write("\x1b[?" + strconv.Itoa(n) + string(rune(final)))
	}
}

// allowedCSI is the list of control sequences that only move, delete and colour.
func allowedCSI(final byte, text string) bool {
	switch final {
	case '@', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'K', 'L', 'M', 'P', 'S', 'X', 'Z',
		'`', 'a', 'b', 'd', 'e', 'f', 'r':
		return !strings.Contains(text, ":")
	case 'm':
		return true
	case 'T': // with more parameters it is mouse tracking
		return !strings.ContainsAny(text, ";:")
	case 'J': // 3 deletes the scroll-back
		return text == "" || text == "0" || text == "1" || text == "2"
	case 's', 'u': // with parameters s sets margins
		return text == ""
	case 'h', 'l': // insert mode; 20 would change the Enter key
		return text == "4"
	}
	return false
}

// parseParams parses parameters. Numbers of more digits than any screen needs
// are refused: they would only keep a terminal busy.
func parseParams(s string) ([]int, bool) {
	const digits = 4
	var params []int
	for field := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ';' || r == ':' }) {
		n, err := strconv.Atoi(field)
		if err != nil || n < 0 || len(field) > digits {
			return nil, false
		}
		params = append(params, n)
	}
	return params, true
}
