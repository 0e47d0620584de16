package api

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// No l and o, no 0 and 1: codes are typed from paper. 32 characters are 5 bits
	// each, without bias.
	recoveryAlphabet = "abcdefghijkmnpqrstuvwxyz23456789"
	recoveryLength   = 24 // 120 bits
	recoveryGroup    = 4
)

// NewRecoveryCode draws a recovery code of 120 bits from random: six groups of
// four lower-case letters and digits, joined by hyphens.
func NewRecoveryCode(random io.Reader) (string, error) {
	raw := make([]byte, recoveryLength)
	if _, err := io.ReadFull(random, raw); err != nil {
		return "", fmt.Errorf("drawing a recovery code: %w", err)
	}
	for i, b := range raw {
		raw[i] = recoveryAlphabet[int(b)%len(recoveryAlphabet)]
	}
	return groupRecoveryCode(string(raw)), nil
}

// ParseRecoveryCode returns the text of NewRecoveryCode for what somebody typed:
// in any case, with spaces and hyphens anywhere or nowhere. Its error repeats
// nothing of it.
func ParseRecoveryCode(typed string) (string, error) {
	compact := strings.ToLower(strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "", "-", "", "\u00a0", "").Replace(typed))
	if len(compact) != recoveryLength || strings.Trim(compact, recoveryAlphabet) != "" {
		return "", errors.New("a recovery code is six groups of four letters and digits, without l, o, 0 and 1")
	}
	return groupRecoveryCode(compact), nil
}

func groupRecoveryCode(compact string) string {
	groups := make([]string, 0, recoveryLength/recoveryGroup)
	for ; compact != ""; compact = compact[recoveryGroup:] {
		groups = append(groups, compact[:recoveryGroup])
	}
	return strings.Join(groups, "-")
}
