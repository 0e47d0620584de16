package ca

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// No l and o, no 0 and 1: a printed passphrase is read from paper. 32
	// characters are 5 bits each, without bias.
	passphraseAlphabet = "abcdefghijkmnpqrstuvwxyz23456789"
	passphraseLength   = 28 // 140 bits
	passphraseGroup    = 4
)

// NewPassphrase draws a passphrase of 140 bits from random: seven groups of four
// lower-case letters and digits, joined by hyphens. This very text, hyphens
// included, encrypts the key, so that it can be typed into ssh-keygen.
func NewPassphrase(random io.Reader) (string, error) {
	raw := make([]byte, passphraseLength)
	if _, err := io.ReadFull(random, raw); err != nil {
		return "", fmt.Errorf("drawing passphrase: %w", err)
	}
	for i, b := range raw {
		raw[i] = passphraseAlphabet[int(b)%len(passphraseAlphabet)]
	}
	return groupPassphrase(string(raw)), nil
}

// ParsePassphrase returns the text of NewPassphrase for what somebody typed from
// paper: in any case, with spaces and hyphens anywhere or nowhere. Its errors
// repeat nothing of it.
func ParsePassphrase(typed string) (string, error) {
	compact := strings.ToLower(strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "", "-", "").Replace(typed))
	for i := range len(compact) {
		if strings.IndexByte(passphraseAlphabet, compact[i]) < 0 {
			return "", errors.New("passphrase holds a character that none has: there is no l, o, 0 or 1, and nothing but letters and digits")
		}
	}
	if len(compact) != passphraseLength {
		return "", fmt.Errorf("passphrase has %d letters and digits, want %d", len(compact), passphraseLength)
	}
	return groupPassphrase(compact), nil
}

func groupPassphrase(compact string) string {
	var groups []string
	for ; compact != ""; compact = compact[passphraseGroup:] {
		groups = append(groups, compact[:passphraseGroup])
	}
	return strings.Join(groups, "-")
}
