package demo

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os/exec"
	"strings"
)

// Enrol runs `vaultpam enroll --code-stdin INVITATION` as a person would: the
// secret that the client shows (base32) goes into the authenticator, and the
// code that this shows is typed back. It returns what the client said beside the
// secret; its error wraps an *exec.ExitError where the client refused.
func Enrol(cmd *exec.Cmd, authenticator func(secret string) (code string, err error)) (said string, err error) {
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("starting vaultpam: %w", err)
	}
	err = errors.Join(answer(stdout, stdin, authenticator), cmd.Wait())
	return errs.String(), err
}

func answer(shown io.Reader, typed io.WriteCloser, authenticator func(string) (string, error)) error {
	defer typed.Close()
	line, err := bufio.NewReader(shown).ReadString('\n')
	if err != nil {
		return fmt.Errorf("reading the secret: %w", err)
	}
	link, err := url.Parse(strings.TrimSpace(line))
	if err != nil {
		return fmt.Errorf("reading the secret: %w", err)
	}
	code, err := authenticator(link.Query().Get("secret"))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(typed, code)
	return err
}
