package login

import (
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
)

// The TOTP parameters (RFC 6238) that every authenticator app knows: SHA-1, six
// digits, steps of 30 seconds from the Unix epoch.
const (
	period   = 30
	digits   = otp.DigitsSix
	seedSize = 20 // bytes: RFC 4226 recommends the length of the hash
	drift    = 1  // steps that a clock may be off
)

var seedEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// normalise takes out what people type between digits.
func normalise(code string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '\u00a0' {
			return -1
		}
		return r
	}, code)
}

// step returns the time step that a code belongs to at a moment, and false for
// a code of no step within the drift. It compares every step, so that the time
// it takes says nothing.
func step(seed []byte, code string, now time.Time) (uint64, bool, error) {
	code = normalise(code)
	current := now.Unix() / period
	var found int64
	ok := 0
	for s := current - drift; s <= current+drift; s++ {
		want, err := hotp.GenerateCodeCustom(seedEncoding.EncodeToString(seed), uint64(s), hotp.ValidateOpts{Digits: digits, Algorithm: otp.AlgorithmSHA1})
		if err != nil {
			return 0, false, fmt.Errorf("computing a code: %w", err)
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			found, ok = s, 1
		}
	}
	return uint64(found), ok == 1, nil
}

// uri returns the otpauth URI that authenticator apps scan.
func uri(server, handle string, seed []byte) string {
	q := url.Values{}
	q.Set("secret", seedEncoding.EncodeToString(seed))
	q.Set("issuer", "VaultPAM "+server)
	q.Set("algorithm", "SHA1")
	q.Set("digits", digits.String())
	q.Set("period", fmt.Sprint(period))
	label := url.PathEscape("VaultPAM " + server + ":" + handle)
	// Apps want %20 for a space where url.Values writes "+".
	return "otpauth://totp/" + label + "?" + strings.ReplaceAll(q.Encode(), "+", "%20")
}
