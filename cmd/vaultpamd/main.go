// Command vaultpamd is the server of VaultPAM: it signs people in, issues SSH
// certificates, relays and records sessions, and keeps the ledger.
//
// Run `vaultpamd help` for its commands. Exit codes: 0 done, 1 failed, 2 wrong
// usage, 3 the data directory is held by another process, 4 and 5 findings of
// fsck, 6 a restore that could lose entries.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
)

// version is stamped by the build.
var version = "devel"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := &program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv}
	code := p.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// A program is the command with what it takes from outside.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
}

// The exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitHeld   = 3
	// exitRepairable: fsck found what a start of the server mends.
	exitRepairable = 4
	// exitDamage: fsck found what it does not.
	exitDamage = 5
	// exitRollback: a restore is refused because entries could be lost.
	exitRollback = 6
)

// usageError is an error of how the command was called.
type usageError struct{ error }

func (p *program) run(ctx context.Context, args []string) int {
	root := p.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	fmt.Fprintf(p.stderr, "vaultpamd: %v\n", err)
	if hint := hintOf(cmd, err); hint != "" {
		fmt.Fprintf(p.stderr, "hint: %s\n", hint)
	}
	var held *server.HeldError
	var usage usageError
	var found *findingsError
	var rollback *server.RollbackError
	switch {
	case errors.As(err, &held):
		return exitHeld
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &found) && found.damage == 0:
		return exitRepairable
	case errors.As(err, &found):
		return exitDamage
	case errors.As(err, &rollback):
		return exitRollback
	}
	return exitFailed
}

// hintOf is the next thing to do after an error of a command.
func hintOf(cmd *cobra.Command, err error) string {
	var refused *access.Refusal
	var problem *api.Error
	var held *server.HeldError
	var usage usageError
	var rollback *server.RollbackError
	switch {
	case errors.As(err, &refused):
		return refused.Hint
	case errors.As(err, &problem):
		return problem.Hint
	case errors.As(err, &held):
		return "stop it first, or ask it: vaultpamd status"
	case errors.As(err, &usage):
		if cmd.Name() == "help" {
			cmd = cmd.Root()
		}
		return strings.TrimSpace("vaultpamd help" + strings.TrimPrefix(cmd.CommandPath(), "vaultpamd"))
	case errors.As(err, &rollback):
		return "vaultpamd restore --help"
	case errors.Is(err, server.ErrNotServing):
		return "vaultpamd serve"
	case errors.Is(err, fs.ErrPermission):
		return "be root, or the account that the data directory belongs to; an account of its own takes --dir, and ports above 1023"
	}
	return ""
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "vaultpamd",
		Short: "the server of VaultPAM: SSH certificates, a recording relay, a ledger",
		Long: `vaultpamd signs people in, issues SSH certificates, relays and records
sessions, and keeps the ledger.

Begin with: vaultpamd init --name pam.example.eu

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the data directory is held by
another process, 4 fsck found what a start of the server mends, 5 fsck found
other damage, 6 a restore is refused because entries could be lost.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          known,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetIn(p.stdin)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetHelpCommand(helpCommand())
	root.PersistentFlags().String("dir", p.defaultDir(), "data directory, `DIR` (VAULTPAMD_DIR)")
	root.AddCommand(
		p.initCommand(), p.serveCommand(), p.statusCommand(), p.settingCommand(), p.clockCommand(), p.recoverAdminCommand(),
		p.backupCommand(), p.restoreCommand(), p.fsckCommand(), p.doctorCommand(),
		p.targetCommand(), p.ssoCommand(), p.emergencyCommand(), p.versionCommand(), p.demoCommand(),
	)
	return root
}

func (p *program) defaultDir() string {
	if dir := p.getenv("VAULTPAMD_DIR"); dir != "" {
		return dir
	}
	return "/var/lib/vaultpam"
}

func dirOf(cmd *cobra.Command) server.Dir {
	dir, err := cmd.Flags().GetString("dir")
	if err != nil {
		return "" // the flag is the root's own
	}
	return server.Dir(dir)
}

// known refuses what is no command of a command that only holds others.
func known(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%s has no command %q", cmd.CommandPath(), args[0])}
	}
	return nil
}

// exactly asks for the named arguments and no others.
func exactly(words ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < len(words):
			return usageError{errors.New("missing " + strings.Join(words[len(args):], " "))}
		case len(args) > len(words):
			return usageError{fmt.Errorf("%q is one word too many", args[len(words)])}
		}
		return nil
	}
}

// group returns a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, Args: known, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	g.AddCommand(commands...)
	return g
}

// helpCommand is cobra's, but for a topic that does not exist: that is an error.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "help about a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usageError{fmt.Errorf("no help about %q", strings.Join(args, " "))}
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version", Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(p.stdout, version)
			return err
		},
	}
}
