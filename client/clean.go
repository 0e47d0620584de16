package client

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxClean bounds what one text from elsewhere may take on a screen, in bytes.
const maxClean = 8 << 10

// Clean makes a text from elsewhere safe for one line of a terminal or a log:
// control characters, characters that turn the direction of writing or show
// nothing, line separators and bytes that are no UTF-8 are replaced by visible
// escapes in Go's notation. What is longer than 8 KiB is cut.
func Clean(s string) string {
	if len(s) > maxClean {
		s = s[:maxClean] + "…"
	}
	if isClean(s) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && isBadByte(s[i:]):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unsafeRune(r) && r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case unsafeRune(r) && r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		case unsafeRune(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// CleanJSON escapes inside a JSON text what encoding/json leaves as it is and a
// terminal may act on. The text stays the same JSON value.
func CleanJSON(data []byte) []byte {
	if isClean(strings.ReplaceAll(string(data), "\n", "")) {
		return data
	}
	var b strings.Builder
	for _, r := range string(data) {
		switch {
		case r == '\n' || !unsafeRune(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := (r-0x10000)>>10+0xd800, (r-0x10000)&0x3ff+0xdc00
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return []byte(b.String())
}

func isClean(s string) bool {
	for i, r := range s {
		if unsafeRune(r) || r == utf8.RuneError && isBadByte(s[i:]) {
			return false
		}
	}
	return true
}

func isBadByte(s string) bool {
	_, size := utf8.DecodeRuneInString(s)
	return size == 1
}

// unsafeRune: Cc holds ESC, CSI and the newlines; Cf the bidirectional controls,
// the tag characters and the zero-width ones; Zl and Zp the other line ends.
func unsafeRune(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}
