package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// The exit codes. They are part of the program's interface: scripts rely on
// them.
const (
	exitOK          = 0
	exitOther       = 1
	exitUsage       = 2
	exitNotSignedIn = 3
	exitRefused     = 4
	exitNotFound    = 5
	exitUnavailable = 6
	exitLedger      = 7
	exitIdentity    = 8
	exitChanges     = 9
	exitFindings    = 10
	exitInterrupted = 130
)

const exitCodesText = `vaultpam ends with one of these codes:

    0  done
    1  something else went wrong; the message says what
    2  the command line, or what it asks for, is not well-formed
    3  not signed in, or this machine knows no server yet
    4  the server refuses: no grant or role allows it, it is at odds with what
       is there, or there were too many attempts
    5  what was asked for does not exist
    6  the server, the relay or a host can't be reached, or can't answer at the
       moment
    7  the ledger does not verify: it forked, was rolled back, or an entry in it
       is not what was signed
    8  the server is not the one that this machine knows: its key is not the
       pinned one, or its certificate does not verify
    9  admin apply --dry-run would change something
   10  audit findings found what --fail-on names
  130  interrupted

vaultpam without a command ends as the ssh that it ran.`

func exitCodesTopic() *cobra.Command {
	return &cobra.Command{Use: "exit-codes", Short: "what the exit codes mean", Long: exitCodesText}
}

// A usageError says what is wrong with a command line.
type usageError struct {
	command string // its path
	why     string
}

func (e *usageError) Error() string { return e.why }

// A hintError is an error with the next command to type.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

func withHint(err error, format string, args ...any) error {
	return &hintError{err: err, hint: fmt.Sprintf(format, args...)}
}

// refuse is a refusal of this program itself.
func refuse(hint, format string, args ...any) error {
	return &hintError{err: fmt.Errorf(format, args...), hint: hint}
}

// report prints an error and its hint and returns the exit code.
func (a *app) report(err error) int {
	code := exitCode(err)
	if code == exitInterrupted {
		a.say("vaultpam: interrupted")
		return code
	}
	a.warn(err)
	return code
}

func exitCode(err error) int {
	var (
		usage       *usageError
		fork        *client.ForkError
		bad         *client.BadEntryError
		unreachable *client.UnreachableError
		refused     *api.Error
	)
	switch {
	case errors.As(err, &fork), errors.As(err, &bad), errors.Is(err, store.ErrCheckpoint),
		errors.Is(err, store.ErrProof), errors.Is(err, client.ErrOtherLedger):
		return exitLedger
	case errors.Is(err, client.ErrPin), errors.Is(err, client.ErrIdentity):
		return exitIdentity
	case errors.Is(err, errNotApproved):
		return exitRefused
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, client.ErrNotSignedIn), errors.Is(err, client.ErrNoServer):
		return exitNotSignedIn
	case errors.As(err, &unreachable):
		return exitUnavailable
	case errors.As(err, &refused):
		return kindCode(refused.Kind)
	}
	return exitOther
}

func kindCode(k api.Kind) int {
	switch k {
	case api.KindInvalid:
		return exitUsage
	case api.KindUnauthenticated:
		return exitNotSignedIn
	case api.KindForbidden, api.KindConflict, api.KindLimited:
		return exitRefused
	case api.KindNotFound:
		return exitNotFound
	case api.KindUnavailable:
		return exitUnavailable
	}
	return exitOther
}

// hintFor is the next thing to do: what the error brings, or what its kind
// asks for.
func hintFor(err error) string {
	var (
		hinted      *hintError
		usage       *usageError
		fork        *client.ForkError
		exposed     *client.ExposedError
		readable    *client.ReadableError
		unreachable *client.UnreachableError
		refused     *api.Error
	)
	switch {
	case errors.As(err, &fork):
		return forkHint(fork)
	case errors.As(err, &hinted):
		return hinted.hint
	case errors.As(err, &usage):
		return strings.TrimSpace("vaultpam help" + strings.TrimPrefix(usage.command, "vaultpam"))
	case errors.Is(err, client.ErrPin):
		return "if your administrator says that the server's key was changed, ask for a new invitation; if not, somebody stands between you and the server"
	case errors.Is(err, client.ErrIdentity):
		return "if your company has a certificate authority of its own, install it on this machine; a server with a self-signed certificate is recognised by the pin of an invitation: ask your administrator for one"
	case errors.Is(err, client.ErrOtherLedger):
		return "ask your administrator whether the server was set up anew before you go on"
	case errors.Is(err, client.ErrNoServer):
		return "vaultpam enroll INVITATION, with the link from your administrator"
	case errors.Is(err, client.ErrNotSignedIn):
		return "vaultpam login"
	case errors.As(err, &exposed):
		return "chmod go-w " + shellQuote(exposed.Path)
	case errors.As(err, &readable):
		return "chmod go-rwx " + shellQuote(readable.Path)
	case errors.As(err, &unreachable):
		return "check the network and the address, then try again; your administrator sees the server with: vaultpamd serve --check"
	case errors.As(err, &refused):
		return refusedHint(refused)
	}
	return ""
}

func refusedHint(e *api.Error) string {
	switch {
	case e.Hint != "":
		return e.Hint
	case e.Kind == api.KindUnauthenticated:
		return "vaultpam login"
	case e.Kind == api.KindLimited && e.RetryAfter > 0:
		return fmt.Sprintf("try again in %d seconds", e.RetryAfter)
	}
	return ""
}

func forkHint(e *client.ForkError) string {
	evidence := shellQuote(e.Remembered)
	if e.Shown != "" {
		evidence += " and " + shellQuote(e.Shown)
	}
	return "the ledger was rewritten or rolled back since this machine saw it. Keep " + evidence +
		" as evidence and ask an auditor. Only if they confirm that a backup was restored: mv " +
		shellQuote(dirOf(e.Remembered)) + " " + shellQuote(dirOf(e.Remembered)+".before")
}
