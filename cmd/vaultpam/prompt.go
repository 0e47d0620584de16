package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// errNoTerminal is returned where a question has nobody to answer it.
var errNoTerminal = errors.New("there is no terminal to ask on")

// maxLine bounds a line that is typed or piped in.
const maxLine = 256

// ask writes a question to the terminal and reads one line from it, whatever
// the standard streams are.
func (a *app) ask(ctx context.Context, question string) (string, error) {
	tty, err := a.OpenTTY()
	if err != nil {
		return "", errNoTerminal
	}
	defer tty.Close()
	if _, err := io.WriteString(tty, question); err != nil {
		return "", fmt.Errorf("asking on the terminal: %w", err)
	}
	return readLine(ctx, tty)
}

// confirm asks a question that only "y" or "yes" answers.
func (a *app) confirm(ctx context.Context, question string) (bool, error) {
	answer, err := a.ask(ctx, question+" [y/N] ")
	if err != nil {
		return false, err
	}
	answer = strings.ToLower(answer)
	return answer == "y" || answer == "yes", nil
}

// readLine reads one line, without what surrounds it. The goroutine that reads
// ends with its line, or with the process when the context ended first.
func readLine(ctx context.Context, r io.Reader) (string, error) {
	type result struct {
		line string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		line, err := bufio.NewReaderSize(io.LimitReader(r, maxLine), maxLine).ReadString('\n')
		if errors.Is(err, io.EOF) && line == "" {
			err = errors.New("it ended before one came")
		}
		if err != nil && !errors.Is(err, io.EOF) {
			done <- result{err: fmt.Errorf("reading the answer: %w", err)}
			return
		}
		done <- result{line: strings.TrimSpace(line)}
	}()
	select {
	case r := <-done:
		return r.line, r.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colours reports whether a stream may get colours (no-color.org).
func (a *app) colours(stream any) bool {
	return isTerminal(stream) && a.env("NO_COLOR") == "" && a.env("TERM") != "dumb"
}
