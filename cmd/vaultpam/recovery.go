package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) recoveryCommand() *cobra.Command {
	return group("recovery", "recovery codes, for when you don't have your authenticator",
		a.recoveryNewCommand(), a.recoveryEnrollCommand())
}

func (a *app) recoveryNewCommand() *cobra.Command {
	var code codeFlag
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "new",
		Short: "make ten new recovery codes in place of those you have",
		Long: `new makes ten recovery codes and shows them, once. Those that you had before
count no more. It asks for a code that your authenticator shows now, although you
are signed in: whoever sits down at your machine shall not get a way in.

On a terminal the codes are shown there. With --code-stdin they are printed on
standard output, one a line, and with --json as {"codes": […]}.`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			codes, err := a.newRecoveryCodes(cmd.Context(), &code)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(a.Stdout, map[string][]string{"codes": codes})
			}
			return a.showRecoveryCodes(codes, &code)
		},
	}
	code.add(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) newRecoveryCodes(ctx context.Context, code *codeFlag) ([]string, error) {
	n, err := a.signedIn(ctx)
	if err != nil {
		return nil, err
	}
	var codes []string
	err = code.untilAccepted(ctx, a, "code that your authenticator shows now: ", func(typed string) (err error) {
		codes, err = n.client.NewRecoveryCodes(ctx, typed, n.home.Device(n.settings.Handle))
		return err
	})
	return codes, err
}

func (a *app) recoveryEnrollCommand() *cobra.Command {
	var code codeFlag
	cmd := &cobra.Command{
		Use:   "enroll",
		Short: "put another authenticator in the place of one that is lost",
		Long: `enroll enrols another authenticator, as an invitation does, within 15 minutes of
a sign-in with a recovery code. The authenticator and the recovery codes that you
had count no more, and your other sign-ins end.`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			renewed, err := n.client.RenewFactor(cmd.Context())
			if err != nil {
				return err
			}
			return a.enroll(cmd.Context(), renewed.Invitation, &code)
		},
	}
	code.add(cmd)
	return cmd
}

// showRecoveryCodes shows codes where their user, and no log, sees them: on the
// terminal, or in a script on its standard output.
func (a *app) showRecoveryCodes(codes []string, code *codeFlag) error {
	list := strings.Join(codes, "\n") + "\n"
	if code.stdin {
		_, err := io.WriteString(a.Stdout, list)
		return err
	}
	tty, err := a.OpenTTY()
	if err != nil {
		return withHint(errNoTerminal, "in a script: --code-stdin")
	}
	defer tty.Close()
	_, err = fmt.Fprintf(tty, "\nKeep these recovery codes on paper; each signs you in once without your authenticator, and they are not shown again:\n\n%s\n",
		"  "+strings.Join(codes, "\n  ")+"\n")
	return err
}

// usedRecoveryCode says how many codes are left, and what to do about a lost
// authenticator.
func (a *app) usedRecoveryCode(left int) {
	codes := "recovery codes are"
	if left == 1 {
		codes = "recovery code is"
	}
	a.say("%d %s left; vaultpam recovery new makes ten new ones", left, codes)
	a.say("hint: if your authenticator is lost, enrol another within 15 minutes: vaultpam recovery enroll")
}
