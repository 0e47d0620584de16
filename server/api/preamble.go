package api

import (
	"errors"
	"strings"
)

// The preamble is one line that `vaultpam proxy` sends on the relay's port
// before the SSH version exchange (RFC 4253, section 4.2, has the client begin
// with "SSH-", so the two can't be confused): "VAULTPAM/1 TARGET\n". The relay
// answers with nothing; the SSH handshake follows, with a host certificate for
// the target. Any grammatical name is answered alike, so that strangers can't
// learn which targets there are.

const preambleWord = "VAULTPAM/1 "

// MaxPreamble bounds a preamble's bytes, the newline included.
const MaxPreamble = 256

// ErrPreamble is returned for a line that is not a preamble.
var ErrPreamble = errors.New("malformed preamble")

// FormatPreamble returns the preamble for a target name, which the caller has
// held to its grammar.
func FormatPreamble(target string) string { return preambleWord + target + "\n" }

// ParsePreamble returns the target name of a preamble line, with or without its
// newline. The caller holds the name to its grammar.
func ParsePreamble(line string) (string, error) {
	name, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), preambleWord)
	if !ok || name == "" || len(line) > MaxPreamble || strings.ContainsAny(name, " \t\r\n\x00") {
		return "", ErrPreamble
	}
	return name, nil
}
