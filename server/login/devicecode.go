package login

import (
	"crypto/subtle"
	"net/netip"
	"slices"
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

// guesses are the moments of wrong codes, oldest first. Each counts for as long as
// a code lives: a count that began anew now and then would let somebody who waits
// for that moment try twice as many on one code.
type guesses []time.Time

// recent are those that count.
func (g guesses) recent(now time.Time) guesses {
	i := 0
	for i < len(g) && now.Sub(g[i]) >= ceremonyLife {
		i++
	}
	return g[i:]
}

// wait is how long the next one has to wait where so many are allowed.
func (g guesses) wait(most int, now time.Time) time.Duration {
	if g = g.recent(now); len(g) < most {
		return 0
	}
	return g[len(g)-most].Add(ceremonyLife).Sub(now)
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
	if wait := max(t.guesses[from].wait(maxGuesses, now), t.guesses[everybody].wait(maxAllGuesses, now)); wait > 0 {
		return "", tooManyCodes(wait)
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
	t.forgetGuesses(now)
	for _, key := range []string{from, everybody} {
		t.guesses[key] = append(t.guesses[key], now)
	}
	return "", &access.Refusal{
		Kind: access.NotFound, Message: "no machine shows this code", Hint: "look at the code again; it lives for five minutes",
	}
}

// everybody is the source whose guesses are those of all.
const everybody = ""

// tooManyCodes answers a code that was not looked for.
func tooManyCodes(wait time.Duration) error {
	return &access.Refusal{
		Kind: access.Limited, Message: "too many wrong codes were typed", Hint: "wait a few minutes; or sign in on the machine itself: vaultpam login --totp", RetryAfter: wait,
	}
}

// forgetGuesses keeps the table as small as five minutes' guesses, of which there
// are at most maxAllGuesses; the mutex is held.
func (t *ceremonies) forgetGuesses(now time.Time) {
	if all := t.guesses[everybody]; len(all.recent(now)) == len(all) {
		return
	}
	for key, g := range t.guesses {
		if t.guesses[key] = slices.Clone(g.recent(now)); len(t.guesses[key]) == 0 {
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
