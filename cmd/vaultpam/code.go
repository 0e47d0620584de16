package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
)

// A codeFlag says where the code of a second factor comes from.
type codeFlag struct {
	stdin    bool
	recovery accepted
}

// accepted is what a code may be.
type accepted int

const (
	authenticatorOnly accepted = iota
	recoveryToo
)

func (f *codeFlag) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.stdin, "code-stdin", false, "read the code from standard input, for scripts")
}

// read returns the code that the user's authenticator shows.
func (f *codeFlag) read(ctx context.Context, a *app, question string) (string, error) {
	ask := a.ask
	if f.stdin {
		ask = func(ctx context.Context, _ string) (string, error) { return readLine(ctx, a.Stdin) }
	}
	line, err := ask(ctx, question)
	if errors.Is(err, errNoTerminal) {
		return "", withHint(err, "in a script: --code-stdin")
	}
	if err != nil {
		return "", err
	}
	if recovery, err := api.ParseRecoveryCode(line); err == nil && f.recovery == recoveryToo {
		return recovery, nil
	}
	code := strings.ReplaceAll(line, " ", "")
	if len(code) < 6 || len(code) > 8 || strings.Trim(code, "0123456789") != "" {
		return "", withHint(errNotACode, "type the 6 digits that your authenticator shows now")
	}
	return code, nil
}

// tries is how often a person may mistype a code before the command ends. A
// script gets one.
func (f *codeFlag) tries() int {
	if f.stdin {
		return 1
	}
	return 3
}

// errNotACode is returned for what no authenticator shows.
var errNotACode = errors.New("that is not a code")

// untilAccepted asks for a code until use accepts one. An error that another
// code can't mend ends it.
func (f *codeFlag) untilAccepted(ctx context.Context, a *app, question string, use func(code string) error) error {
	for left := f.tries() - 1; ; left-- {
		code, err := f.read(ctx, a, question)
		if err == nil {
			err = use(code)
		}
		mistyped := errors.Is(err, errNotACode) || client.IsKind(err, api.KindUnauthenticated)
		if left <= 0 || !mistyped {
			return err
		}
		a.warn(err)
	}
}
