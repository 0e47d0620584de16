package login

import (
	"crypto/subtle"
	"net/netip"
	"strings"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
)

// The code that a machine without a browser shows, and that its user types on
// another one: eight letters out of those that are no vowels, so that they make no
// words (RFC 8628, section 6.1), in two groups. 20^8 is 2.6·10^10.
const (
	deviceLetters = "BCDFGHJKLMNPQRSTVWXZ"
	deviceLength  = 8
	// maxGuesses is how many wrong codes a source may type in the life of a code,
	// and maxAllGuesses all sources together: with maxCeremonies waiting codes the
	// chance to find one is 4·10^-4 at worst.
	maxGuesses    = 5
	maxAllGuesses = 1000
)

// guesses are wrong codes since a moment.
type guesses struct {
	since time.Time
	count int
}

func (l *Login) newDeviceCode() (string, error) {
	var code []byte
	for len(code) < deviceLength {
		var b [1]byte
		if err := l.draw(b[:]); err != nil {
			return "", err
		}
		// 240 is the largest multiple of 20 in a byte: above it a letter would be
		// likelier than another.
		if b[0] < 240 {
			code = append(code, deviceLetters[int(b[0])%len(deviceLetters)])
		}
	}
	return string(code[:4]) + "-" + string(code[4:]), nil
}

// FindDevice returns the ID of the ceremony whose code somebody typed.
func (l *Login) FindDevice(typed string, source netip.Addr) (string, error) {
	wanted := plainDeviceCode(typed)
	t := l.ceremonies
	t.mu.Lock()
	defer t.mu.Unlock()
	from, now := prefix(source), l.Now()
	for _, key := range []string{from, ""} {
		g := t.guesses[key]
		most := maxGuesses
		if key == "" {
			most = maxAllGuesses
		}
		if wait := g.since.Add(ceremonyLife).Sub(now); g.count >= most && wait > 0 {
			return "", limited(wait)
		}
	}
	id := ""
	for _, c := range t.open {
		if c.device == "" || c.ended || t.late(c) {
			continue
		}
		if subtle.ConstantTimeCompare([]byte(plainDeviceCode(c.device)), []byte(wanted)) == 1 {
			id = c.id
		}
	}
	if id != "" {
		return id, nil
	}
	for _, key := range []string{from, ""} {
		g := t.guesses[key]
		if now.Sub(g.since) >= ceremonyLife {
			g = guesses{since: now}
		}
		g.count++
		t.guesses[key] = g
	}
	t.forgetGuesses(now)
	return "", &access.Refusal{
		Kind: access.NotFound, Message: "no machine shows this code", Hint: "look at the code again; it lives for five minutes",
	}
}

// forgetGuesses keeps the table as small as five minutes' guesses; the mutex is
// held.
func (t *ceremonies) forgetGuesses(now time.Time) {
	for key, g := range t.guesses {
		if now.Sub(g.since) >= ceremonyLife {
			delete(t.guesses, key)
		}
	}
}

// plainDeviceCode is a code as it is compared: without what people type between its
// letters, in capitals.
func plainDeviceCode(typed string) string {
	if len(typed) > 64 {
		return ""
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(deviceLetters, r) {
			return r
		}
		return -1
	}, strings.ToUpper(typed))
}
