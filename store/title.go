package store

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxTitle is the longest title in characters.
const MaxTitle = 64

// ParseTitle parses what people call a thing of theirs, such as a factor or a
// machine: 1 to 64 printable characters, no space at either end. It is text to
// show, never a name that something is found by.
func ParseTitle(text string) (string, error) {
	switch {
	case text == "":
		return "", fmt.Errorf("a name is needed")
	case !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "", fmt.Errorf("the name %q holds what can't be shown", clip(text))
	case utf8.RuneCountInString(text) > MaxTitle:
		return "", fmt.Errorf("the name %q is longer than %d characters", clip(text), MaxTitle)
	case strings.TrimSpace(text) != text:
		return "", fmt.Errorf("the name %q begins or ends with a space", clip(text))
	}
	return text, nil
}

// MaxSentence is the longest sentence in characters.
const MaxSentence = 500

// ParseSentence parses what a person writes for another one to read, such as the
// reason of a request: 1 to 500 printable characters on one line, no space at
// either end.
func ParseSentence(text string) (string, error) {
	switch {
	case text == "":
		return "", fmt.Errorf("some words are needed")
	case !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "", fmt.Errorf("%q holds what can't be shown on one line", clip(text))
	case utf8.RuneCountInString(text) > MaxSentence:
		return "", fmt.Errorf("%q is longer than %d characters", clip(text), MaxSentence)
	case strings.TrimSpace(text) != text:
		return "", fmt.Errorf("%q begins or ends with a space", clip(text))
	}
	return text, nil
}
