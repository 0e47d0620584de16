package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/mdp/qrterminal/v3"
	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

func (a *app) enrollCommand() *cobra.Command {
	var code codeFlag
	cmd := &cobra.Command{
		Use:   "enroll INVITATION",
		Short: "use an invitation: put a TOTP secret into your authenticator",
		Long: `enroll uses the invitation that your administrator sent you, once. It shows a QR
code for your authenticator, asks for one code back, and remembers the server.
Then it shows ten recovery codes, once: each of them signs you in one time when
you don't have your authenticator.

With --code-stdin the otpauth:// link is printed instead of the QR code, the code
is read from standard input, and the recovery codes are printed behind the link,
one a line.`,
		Args: wantArgs("INVITATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.enroll(cmd.Context(), args[0], &code)
		},
	}
	code.add(cmd)
	return cmd
}

func (a *app) enroll(ctx context.Context, link string, code *codeFlag) error {
	inv, err := api.ParseInvitation(link)
	if err != nil {
		return &usageError{command: "vaultpam enroll", why: client.Clean(err.Error())}
	}
	home, err := a.home()
	if err != nil {
		return err
	}
	c, err := a.connect(client.Config{Server: inv.Host, Pin: inv.Pin})
	if err != nil {
		return err
	}
	info, err := c.Info(ctx)
	if err != nil {
		return err
	}
	begun, err := c.EnrollBegin(ctx, inv.Token)
	if err != nil {
		return err
	}
	settings, err := client.NewSettings(c.Server(), inv.Pin, store.Handle(begun.Handle), info)
	if err != nil {
		return err
	}
	// Before the invitation is used up: a machine that belongs to another server
	// stays as it is, and so does the invitation.
	if err := a.mayReplace(home, settings); err != nil {
		return err
	}
	n, err := newNode(home, settings, c)
	if err != nil {
		return err
	}
	if _, err := n.ledger.Follow(ctx); err != nil {
		return err
	}
	if err := a.showSecret(begun, code); err != nil {
		return err
	}
	if n.client, err = n.client.WithNewKey(); err != nil {
		return err
	}
	var session api.SignInResponse
	err = code.untilAccepted(ctx, a, "code that it shows now: ", func(code string) (err error) {
		session, err = n.client.EnrollFinish(ctx, inv.Token, code, a.machine())
		return err
	})
	if err != nil {
		return err
	}
	n.settings.Factor = store.FactorTOTP
	if err := a.open(ctx, n, session); err != nil {
		return withHint(err, "you are enrolled, and this machine does not know it yet: %s", loginLine(settings))
	}
	a.say("enrolled as %s at %s, and signed in until %s", settings.Handle, settings.Name, a.local(session.Expires))
	if len(session.RecoveryCodes) > 0 {
		if err := a.showRecoveryCodes(session.RecoveryCodes, code); err != nil {
			a.warn(withHint(err, "your recovery codes could not be shown; make new ones: vaultpam recovery new"))
		}
	}
	a.say("next: %s", nextStep(session.Roles))
	return a.firstCertificate(ctx, n)
}

// nextStep is what somebody with these roles does first.
func nextStep(roles []string) string {
	switch {
	case slices.Contains(roles, string(store.RoleEngineer)):
		return "vaultpam config ssh"
	case slices.Contains(roles, string(store.RoleAdministrator)):
		return "vaultpam admin user add HANDLE, and vaultpam admin target add NAME"
	case slices.Contains(roles, string(store.RoleAuditor)):
		return "vaultpam audit ls"
	}
	return "vaultpam status"
}

// loginLine is the command that signs in where nothing is known yet.
func loginLine(s client.Settings) string {
	line := "vaultpam login --server " + s.Server
	if len(s.Pin) > 0 {
		line += " --pin " + pinText(s.Pin)
	}
	return line + " --handle " + string(s.Handle)
}

// mayReplace refuses to forget the server that this machine knows: what it
// remembers of that server's ledger would be lost.
func (a *app) mayReplace(home *client.Home, next client.Settings) error {
	now, err := home.Settings()
	switch {
	case errors.Is(err, client.ErrNoServer):
		return nil
	case err != nil:
		return err
	case now.Bot != next.Bot && now.Bot:
		return refuse("use a directory of its own: vaultpam --home DIR …", "%s belongs to the bot %s", home.Dir(), now.Handle)
	case now.Bot != next.Bot:
		return refuse("use a directory of its own for the bot: vaultpam --home DIR …", "%s belongs to %s, who is a person", home.Dir(), now.Handle)
	case now.Name == next.Name && string(now.LogKey) == string(next.LogKey):
		return nil
	case now.Name == next.Name:
		return client.ErrOtherLedger
	}
	return refuse("use a directory of its own for the other: vaultpam --home DIR enroll …",
		"%s belongs to %s, not to %s", home.Dir(), now.Name, next.Name)
}

// showSecret shows the secret where its user, and no log, sees it.
func (a *app) showSecret(begun api.EnrollBeginResponse, code *codeFlag) error {
	if code.stdin {
		_, err := fmt.Fprintln(a.Stdout, begun.URI)
		return err
	}
	tty, err := a.OpenTTY()
	if err != nil {
		return withHint(errNoTerminal, "in a script: --code-stdin")
	}
	defer tty.Close()
	if _, err := io.WriteString(tty, "Scan this with your authenticator (any TOTP app):\n\n"); err != nil {
		return fmt.Errorf("showing the QR code: %w", err)
	}
	qrterminal.GenerateHalfBlock(begun.URI, qrterminal.L, tty)
	_, err = fmt.Fprintf(tty, "\nor type it in: %s\n\n", begun.Secret)
	return err
}
