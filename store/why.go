package store

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxWhy is the longest reason of a lock in characters.
const MaxWhy = 500

// ParseWhy parses the sentence in which somebody says why they did something: 1 to
// 500 printable characters, no space at either end.
func ParseWhy(text string) (string, error) {
	switch {
	case text == "":
		return "", errors.New("say why, in a sentence")
	case !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "", errors.New("why: the sentence holds what can't be shown")
	case utf8.RuneCountInString(text) > MaxWhy:
		return "", fmt.Errorf("why: the sentence is longer than %d characters", MaxWhy)
	case strings.TrimSpace(text) != text:
		return "", errors.New("why: the sentence begins or ends with a space")
	}
	return text, nil
}
