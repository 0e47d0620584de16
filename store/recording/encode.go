package recording

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"math/bits"
	"strconv"
	"time"
	"unicode/utf8"
)

// Codes of events. b and z are VaultPAM's own (see the package comment).
const (
	codeOutput = 'o'
	codeInput  = 'i'
	codeResize = 'r'
	codeMarker = 'm'
	codeBytes  = 'b'
	codeEnd    = 'z'
)

// streamError names standard error in a "b" event.
const streamError = 'e'

const hexDigits = "0123456789abcdef"

// appendEvent appends the beginning of an event's line, up to its text; endLine
// ends it. Seconds have six digits after the point.
func appendEvent(dst []byte, at time.Duration, code byte) []byte {
	us := at.Microseconds()
	dst = append(dst, '[')
	dst = strconv.AppendInt(dst, us/1e6, 10)
	dst = append(dst, '.')
	for unit := int64(1e5); unit > 0; unit /= 10 {
		dst = append(dst, '0'+byte(us/unit%10))
	}
	return append(dst, ',', '"', code, '"', ',', '"')
}

func endLine(dst []byte) []byte { return append(dst, '"', ']', '\n') }

// appendText appends p, which is valid UTF-8, as the inside of a JSON string.
// Everything that could act on a terminal or end a line in some reader's eyes is
// escaped: C0 and C1 controls, DEL, U+2028 and U+2029.
func appendText(dst, p []byte) []byte {
	start, i := 0, 0
	for i < len(p) {
		if i += plainPrefix(p[i:]); i == len(p) {
			break
		}
		r, size := rune(p[i]), 1
		switch {
		case r < utf8.RuneSelf:
		case r == 0xc2 || r == 0xe2: // begins each rune outside of ASCII that needs an escape
			r, size = utf8.DecodeRune(p[i:])
		default:
			i++
			for i < len(p) && p[i] >= utf8.RuneSelf && p[i] != 0xc2 && p[i] != 0xe2 {
				i++
			}
			continue
		}
		if needsEscape(r) {
			dst = appendEscape(append(dst, p[start:i]...), r)
			start = i + size
		}
		i += size
	}
	return append(dst, p[start:]...)
}

// plainPrefix returns how many bytes at the beginning of p are ASCII that stands
// for itself in a JSON string. It looks at eight bytes at once: for each byte x
// below 0x80, x-n has its high bit set where x < n, and x^c-1 where x is c. A
// borrow can only disturb bytes behind the first that is found.
func plainPrefix(p []byte) int {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(p); i += 8 {
		w := binary.LittleEndian.Uint64(p[i:])
		quote, backslash, del := w^ones*'"', w^ones*'\\', w^ones*0x7f
		found := (w | (w - ones*0x20) | (quote - ones) | (backslash - ones) | (del - ones)) & high
		if found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for i < len(p) && p[i] < utf8.RuneSelf && !needsEscape(rune(p[i])) {
		i++
	}
	return i
}

func needsEscape(r rune) bool {
	return r < 0x20 || r == '"' || r == '\\' || 0x7f <= r && r < 0xa0 || r == '\u2028' || r == '\u2029'
}

func appendEscape(dst []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(dst, '\\', byte(r))
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// appendDisplay appends what players are shown of p: U+FFFD for each run of
// bytes that are not UTF-8, and no NUL, which a terminal ignores.
func appendDisplay(dst, p []byte) []byte {
	replaced := false
	for i := 0; i < len(p); {
		r, size := rune(p[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(p[i:])
		}
		switch invalid := r == utf8.RuneError && size == 1; {
		case invalid && !replaced:
			dst = utf8.AppendRune(dst, r)
		case invalid, r == 0:
		case needsEscape(r):
			dst = appendEscape(dst, r)
		default:
			dst = append(dst, p[i:i+size]...)
		}
		replaced = r == utf8.RuneError && size == 1
		i += size
	}
	return dst
}

// A stream turns the bytes of one direction into events. It remembers a rune
// that was cut at the end of the last write, for the players' sake only: its
// bytes are recorded already.
type stream struct {
	name byte
	// data says that players need not be shown what looks like data: there is no
	// terminal that it went to.
	data bool
	cut  [utf8.UTFMax]byte
	n    int
}

// append appends the events of p to dst.
func (s *stream) append(dst []byte, at time.Duration, p []byte) []byte {
	if len(p) == 0 {
		return dst
	}
	if s.n > 0 {
		var n int
		dst, n = s.appendCut(dst, at, p)
		p = p[n:]
	}
	body, tail := splitTail(p)
	if len(body) > 0 {
		dst = s.appendBody(dst, at, body)
	}
	if len(tail) > 0 {
		s.n = copy(s.cut[:], tail)
		dst = s.appendBytes(dst, at, tail, nil)
	}
	return dst
}

// appendCut continues the rune that was cut and returns how many bytes of p
// belong to it.
func (s *stream) appendCut(dst []byte, at time.Duration, p []byte) ([]byte, int) {
	n := 0
	for n < len(p) && !utf8.FullRune(s.cut[:s.n]) && !utf8.RuneStart(p[n]) {
		s.cut[s.n] = p[n]
		s.n++
		n++
	}
	if n == len(p) && !utf8.FullRune(s.cut[:s.n]) {
		return s.appendBytes(dst, at, p, nil), n
	}
	dst = s.appendBytes(dst, at, p[:n], s.cut[:s.n])
	s.n = 0
	return dst, n
}

// appendBody appends p, which does not end inside of a rune. Text with many
// NULs would be six times its size as JSON, so that it goes as bytes.
func (s *stream) appendBody(dst []byte, at time.Duration, p []byte) []byte {
	if s.name != streamError && bytes.Count(p, []byte{0}) <= len(p)/8 && utf8.Valid(p) {
		return endLine(appendText(appendEvent(dst, at, s.name), p))
	}
	if s.data && bytes.IndexByte(p, 0) >= 0 {
		return s.appendBytes(dst, at, p, nil)
	}
	return s.appendBytes(dst, at, p, p)
}

// appendBytes appends a "b" event with p and the event that displays it.
func (s *stream) appendBytes(dst []byte, at time.Duration, p, display []byte) []byte {
	dst = append(appendEvent(dst, at, codeBytes), s.name, ':')
	dst = endLine(base64.StdEncoding.AppendEncode(dst, p))
	return endLine(appendDisplay(appendEvent(dst, at, displayCode(s.name)), display))
}

// displayCode returns the code of the event that shows the bytes of a stream.
func displayCode(name byte) byte {
	if name == codeInput {
		return codeInput
	}
	return codeOutput
}

// splitTail cuts off a rune that is not whole at the end of p.
func splitTail(p []byte) (body, tail []byte) {
	for i := len(p) - 1; i >= 0 && i > len(p)-utf8.UTFMax; i-- {
		if utf8.RuneStart(p[i]) {
			if utf8.FullRune(p[i:]) {
				break
			}
			return p[:i], p[i:]
		}
	}
	return p, nil
}
