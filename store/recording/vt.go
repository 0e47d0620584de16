package recording

import (
	"unicode"
	"unicode/utf8"
)

// hiddenLimit bounds the text of a control string, in bytes. Terminals don't
// agree on where a control string without an end stops, so that it could hide
// from the auditor what the user saw: beyond the limit, at the end of a line and
// at the end of the recording its text is shown.
const hiddenLimit = 8 << 10

// A screen is what a vt reports to. Text and controls come as they are, and
// still have to be filtered.
type screen interface {
	text(r rune)
	control(c byte) // C0
	escape(e escape)
	csi(c csi)
}

// An escape is ESC, intermediate bytes and a final byte (ECMA-35).
type escape struct {
	inter string
	final byte
}

// A csi is a control sequence (ECMA-48, section 5.4): ESC [, one of < = > ? for
// private ones, parameters of digits ; and :, intermediate bytes, a final byte.
type csi struct {
	private byte
	params  string
	inter   string
	final   byte
}

type vtState int

const (
	ground vtState = iota
	inEscape
	inCSI
	inString
)

// A vt splits a terminal's bytes into text and controls, by ECMA-48 and as
// xterm does in UTF-8. It drops control strings: OSC, DCS, APC, PM and SOS.
type vt struct {
	screen  screen
	state   vtState
	cut     []byte // a rune that isn't whole yet
	private byte
	params  []byte
	inter   []byte
	bad     bool // the sequence is malformed or too long, and is dropped
	osc     bool // BEL ends it
	hidden  []byte
}

func (v *vt) feed(p []byte) {
	if len(v.cut) > 0 {
		p = append(v.cut, p...)
		v.cut = nil
	}
	for len(p) > 0 {
		if !utf8.FullRune(p) {
			v.cut = append([]byte(nil), p...)
			return
		}
		r, size := utf8.DecodeRune(p)
		v.rune(r)
		p = p[size:]
	}
}

// end shows what is still held back.
func (v *vt) end() {
	if len(v.cut) > 0 {
		v.cut = nil
		v.rune(utf8.RuneError)
	}
	v.reveal()
}

func (v *vt) rune(r rune) {
	switch {
	case v.state == inString:
		v.stringRune(r)
	case r == 0x1b:
		v.begin(inEscape)
	case r >= 0x80 && r < 0xa0: // a C1 control is ESC and a letter
		v.begin(inEscape)
		v.escapeRune(r - 0x40)
	case r == 0x18 || r == 0x1a: // CAN and SUB end a sequence
		v.state = ground
	case r < 0x20:
		v.screen.control(byte(r)) // also within a sequence
	case r == 0x7f:
	case v.state == inEscape:
		v.escapeRune(r)
	case v.state == inCSI:
		v.csiRune(r)
	default:
		v.screen.text(r)
	}
}

func (v *vt) begin(s vtState) {
	v.state, v.private, v.bad, v.osc = s, 0, false, false
	v.params, v.inter, v.hidden = v.params[:0], v.inter[:0], v.hidden[:0]
}

func (v *vt) escapeRune(r rune) {
	switch {
	case r >= 0x7f:
		v.state = ground
		v.screen.text(r)
	case r < 0x30:
		v.collect(&v.inter, byte(r))
	case len(v.inter) > 0:
		v.finishEscape(byte(r))
	case r == '[':
		v.begin(inCSI)
	case r == ']':
		v.begin(inString)
		v.osc = true
	case r == 'P' || r == 'X' || r == '^' || r == '_': // DCS, SOS, PM, APC
		v.begin(inString)
	default:
		v.finishEscape(byte(r))
	}
}

func (v *vt) finishEscape(final byte) {
	v.state = ground
	if !v.bad {
		v.screen.escape(escape{string(v.inter), final})
	}
}

func (v *vt) csiRune(r rune) {
	switch {
	case r >= 0x7f:
		v.state = ground
		v.screen.text(r)
	case r >= 0x40:
		v.state = ground
		if !v.bad {
			v.screen.csi(csi{v.private, string(v.params), string(v.inter), byte(r)})
		}
	case r < 0x30:
		v.collect(&v.inter, byte(r))
	case r >= 0x3c && v.private == 0 && len(v.params) == 0 && len(v.inter) == 0:
		v.private = byte(r)
	case r >= 0x3c || len(v.inter) > 0:
		v.bad = true
	default:
		v.collect(&v.params, byte(r))
	}
}

func (v *vt) collect(to *[]byte, c byte) {
	const limit = 128
	if len(*to) == limit {
		v.bad = true
		return
	}
	*to = append(*to, c)
}

func (v *vt) stringRune(r rune) {
	switch {
	case r == 0x1b: // with or without the \ of ST
		v.begin(inEscape)
	case r == 0x9c, r == 0x18, r == 0x1a, r == 0x07 && v.osc:
		v.begin(ground)
	case r == '\n' || r == '\r' || len(v.hidden) >= hiddenLimit:
		v.reveal()
		v.rune(r)
	case r >= 0x20:
		v.hidden = utf8.AppendRune(v.hidden, r)
	}
}

// reveal shows the text of a control string that has no end.
func (v *vt) reveal() {
	if v.state == inString {
		for _, r := range string(v.hidden) {
			v.screen.text(r)
		}
	}
	v.begin(ground)
}

// visible returns r, or U+FFFD for what would act on a terminal or hide in it:
// controls, and format characters such as those that turn the direction of text.
func visible(r rune) rune {
	const zeroWidthNonJoiner, zeroWidthJoiner = '\u200c', '\u200d'
	switch {
	case r == zeroWidthJoiner || r == zeroWidthNonJoiner:
		return r
	case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Cs, unicode.Zl, unicode.Zp):
		return utf8.RuneError
	}
	return r
}
