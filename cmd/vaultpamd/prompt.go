package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// terminal returns standard input where it is one.
func (p *program) terminal() (*os.File, bool) {
	f, ok := p.stdin.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// askSecret asks for a passphrase on the terminal, or reads a line of at most
// 1024 bytes from standard input where there is none.
func (p *program) askSecret(what string) (string, error) {
	var line string
	var err error
	if tty, ok := p.terminal(); ok {
		line, err = p.typedSecret(tty, what+": ")
	} else {
		line, err = bufio.NewReader(io.LimitReader(p.stdin, 1024)).ReadString('\n')
		if errors.Is(err, io.EOF) {
			err = nil // a line without an end, or nothing: the caller judges it
		}
	}
	if err != nil {
		return "", fmt.Errorf("reading the passphrase: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// typedSecret asks on a terminal without showing what is typed. The echo is off
// before the question is there: who answers at once is not shown either.
func (p *program) typedSecret(tty *os.File, question string) (string, error) {
	before, err := term.MakeRaw(int(tty.Fd()))
	if err != nil {
		return "", err
	}
	screen := struct {
		io.Reader
		io.Writer
	}{tty, p.stderr}
	line, err := term.NewTerminal(screen, "").ReadPassword(question)
	return line, errors.Join(err, term.Restore(int(tty.Fd()), before))
}
