package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// What is compared with a pattern of commands. ssh hands a command to the
// account's shell as one text, so words are compared only where every shell reads
// the same words: A-Z a-z 0-9 and the signs of plainSigns, with spaces between
// them. Everything else refuses, because some shell makes more or other words of
// it:
//
//	; & | newline         end a command and begin the next
//	$ ` ( ) { }           expand, run and group
//	< >                   open files
//	* ? [ ] ^             stand for names of files, and for each other (zsh: ^)
//	~                     stands for a home
//	! #                   history and negation, and the rest as a comment
//	" ' \                 join and split words in ways of their own
//	tab, NUL, controls    separate words in some shells, end them in others
//	beyond ASCII          spaces that look like none, letters that look like others
//
// And so do a first word that assigns (NAME=value before a command sets its
// environment, LD_PRELOAD with it), and any word that begins with "=", which zsh
// replaces by the path of a program.
const plainSigns = "_-./:,+@%="

// maxCommand bounds, in bytes, what is compared with patterns.
const maxCommand = 8 << 10

// plainWords returns the words of a command, or says what in it is not plain.
func plainWords(command string) ([]string, error) {
	if len(command) > maxCommand {
		return nil, fmt.Errorf("the command has %d bytes, more than %d", len(command), maxCommand)
	}
	for i := range len(command) {
		if c := command[i]; c != ' ' && !isPlain(c) {
			return nil, fmt.Errorf("the command holds %s, which a shell may read as more than itself", nameByte(command, i))
		}
	}
	words := strings.FieldsFunc(command, func(r rune) bool { return r == ' ' })
	if len(words) == 0 {
		return nil, errors.New("the command is empty")
	}
	for i, w := range words {
		if w[0] == '=' || i == 0 && strings.Contains(w, "=") {
			return nil, fmt.Errorf("the word %q of the command is read as an assignment, or replaced", clip(w))
		}
	}
	if c := words[0][0]; c == '-' || c == '%' || c == '+' || c == ',' {
		return nil, fmt.Errorf("the command begins with %q, which is no program", clip(words[0]))
	}
	return words, nil
}

func isPlain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(plainSigns, c) >= 0
}

// nameByte names the sign at s[i] without repeating what a terminal would act on.
func nameByte(s string, i int) string {
	switch c := s[i]; {
	case c == '\n' || c == '\r':
		return "a line's end"
	case c < ' ' || c == 0x7f:
		return fmt.Sprintf("the control character %#02x", c)
	case c >= 0x80:
		return "a sign beyond ASCII"
	default:
		return string(c)
	}
}

// canonicalPattern returns the canonical text of a pattern of commands: plain
// words with one space between them, of which the last may be "*": any further
// words, or none. A "*" elsewhere or as part of a word is refused, and so is "*"
// alone, because exec without limits says that better. A program is compared as
// it is written: rsync and /usr/bin/rsync are two.
func canonicalPattern(pattern string) (string, error) {
	fixed, rest := strings.CutSuffix(strings.TrimRight(pattern, " "), " *")
	if strings.Contains(fixed, "*") {
		return "", fmt.Errorf(`exec=%s: "*" stands alone as the last word, behind the words that are fixed`, clip(pattern))
	}
	words, err := plainWords(fixed)
	if err != nil {
		return "", fmt.Errorf("exec=%q: want plain words: %w", clip(pattern), err)
	}
	if rest {
		words = append(words, "*")
	}
	return strings.Join(words, " "), nil
}

// fitsPattern reports whether plain words fit a canonical pattern.
func fitsPattern(words []string, pattern string) bool {
	fixed, rest := strings.CutSuffix(pattern, " *")
	want := strings.Split(fixed, " ")
	if rest {
		return len(words) >= len(want) && slices.Equal(words[:len(want)], want)
	}
	return slices.Equal(words, want)
}
