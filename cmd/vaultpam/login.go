package main

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/client/agent"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// A loginFlags is who signs in where.
type loginFlags struct {
	handle, server, pin string
	totp, device        bool
	browser             bool // though this machine's last sign-in was by a code
	passkeys            bool // the server offers them
	code                codeFlag
}

func (a *app) loginCommand() *cobra.Command {
	var flags loginFlags
	cmd := &cobra.Command{
		Use:   "login",
		Short: "sign in",
		Long: `login opens your browser, where you touch your passkey, and comes back by itself.
Where this machine has no browser, --device shows a code to type at a browser on
another machine of the same network. --totp asks for the code of your
authenticator app, or for one of your recovery codes.

It verifies that the server's ledger grew out of what this machine saw of it
before, and gets a certificate. The sign-in is kept in your desktop's keyring, or
in a file that only you can read where there is none (VAULTPAM_KEYRING=off always
uses the file). It is bound to a key that never leaves this machine.

On a machine that you did not enroll on, --server names the server and --pin its
key, as they stand in an invitation.`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if flags.device && (flags.totp || flags.code.stdin) {
				return &usageError{command: cmd.CommandPath(), why: "--device asks for no code: want it without --totp and --code-stdin"}
			}
			if flags.browser && (flags.device || flags.totp || flags.code.stdin) {
				return &usageError{command: cmd.CommandPath(), why: "--browser is a way of its own: want it without --device, --totp and --code-stdin"}
			}
			return a.login(cmd.Context(), &flags)
		},
	}
	cmd.Flags().StringVar(&flags.handle, "handle", "", "sign in as this `HANDLE` (default: who enrolled here)")
	cmd.Flags().StringVar(&flags.server, "server", "", "the server, `HOST[:PORT]`, where this machine knows none yet")
	cmd.Flags().StringVar(&flags.pin, "pin", "", "the server's key, `PIN`, as in an invitation behind the dot")
	cmd.Flags().BoolVar(&flags.totp, "totp", false, "type a code of your authenticator app, or a recovery code")
	cmd.Flags().BoolVar(&flags.device, "device", false, "show a code to type at a browser on another machine")
	cmd.Flags().BoolVar(&flags.browser, "browser", false, "open the browser, for a passkey or the company's provider")
	flags.code.add(cmd)
	flags.code.recovery = recoveryToo
	return cmd
}

func (a *app) login(ctx context.Context, flags *loginFlags) error {
	n, err := a.loginNode(ctx, flags)
	if err != nil {
		return err
	}
	// Before anything is proved: a ledger that forked gets nothing.
	if _, err := n.ledger.Follow(ctx); err != nil {
		return err
	}
	if n.client, err = n.client.WithNewKey(); err != nil {
		return err
	}
	var session api.SignInResponse
	way := flags.way(a, n)
	switch way {
	case wayCode:
		session, err = a.loginByCode(ctx, n, &flags.code)
	case wayBrowser:
		session, err = a.loginByBrowser(ctx, n)
	case wayDevice:
		session, err = a.loginByDevice(ctx, n)
	}
	if err != nil {
		return err
	}
	if n.settings.Handle != "" && session.Handle != string(n.settings.Handle) && flags.handle != "" {
		return a.notKept(ctx, n, session, refuse("choose "+flags.handle+"'s passkey in the browser", "%s signed in, and not %s", session.Handle, flags.handle))
	}
	n.settings.Handle = store.Handle(session.Handle)
	n.settings.Factor = nextFactor(n.settings.Factor, store.FactorKind(session.Factor), way)
	if err := a.open(ctx, n, session); err != nil {
		return err
	}
	a.say("signed in to %s as %s until %s", n.settings.Name, session.Handle, a.local(session.Expires))
	if session.Factor == string(store.FactorRecovery) {
		a.usedRecoveryCode(session.RecoveryLeft)
	}
	return a.firstCertificate(ctx, n)
}

// nextFactor is what the next sign-in on this machine begins with. A code that was
// typed in the browser was asked for after the company's provider: that is where the
// next one begins too.
func nextFactor(before, now store.FactorKind, way loginWay) store.FactorKind {
	switch {
	case now == store.FactorRecovery:
		return before
	case now == store.FactorTOTP && way == wayBrowser:
		return store.FactorSSO
	}
	return now
}

// open keeps a sign-in session that the server has just opened, or ends it:
// nobody else holds its token.
func (a *app) open(ctx context.Context, n *node, session api.SignInResponse) error {
	err := a.keepSession(ctx, n, session)
	if err == nil {
		return nil
	}
	return a.notKept(ctx, n, session, err)
}

// notKept ends a session that is not wanted, and returns why.
func (a *app) notKept(ctx context.Context, n *node, session api.SignInResponse, err error) error {
	if c, terr := n.client.WithSession(n.client.Opened(session.Token)); terr == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = c.SignOut(ctx) // where it fails, the session ends by itself
	}
	return err
}

// keepSession verifies the ledger with the sign-in in it, and then keeps the
// token and the settings.
func (a *app) keepSession(ctx context.Context, n *node, session api.SignInResponse) error {
	if _, err := n.ledger.Follow(ctx); err != nil {
		return err
	}
	if err := n.home.SaveSettings(n.settings); err != nil {
		return err
	}
	if err := n.home.SaveDevice(n.settings.Handle, session.Device); err != nil {
		return err
	}
	_, err := n.home.SaveSession(ctx, n.client.Opened(session.Token))
	return err
}

// firstCertificate replaces a certificate of an earlier sign-in, which the
// relay would refuse. Without one, ssh gets it when it needs it.
func (a *app) firstCertificate(ctx context.Context, n *node) error {
	n, err := n.withSession(ctx)
	if err != nil {
		return err
	}
	keeper := a.keeper(n.home, func(context.Context) (*node, error) { return n, nil })
	id, err := keeper.Replace(ctx)
	if err != nil {
		a.warn(err)
		return agent.RemoveIdentity(n.home.Dir())
	}
	if err := a.load(ctx, n.settings, id); err != nil && !errors.Is(err, agent.ErrNoAgent) {
		a.warn(err)
	}
	return nil
}

// loginNode returns the server to sign in to: the known one with what it says
// of itself now, or the one that the flags name.
func (a *app) loginNode(ctx context.Context, flags *loginFlags) (*node, error) {
	home, err := a.home()
	if err != nil {
		return nil, err
	}
	known, err := home.Settings()
	if err != nil && !errors.Is(err, client.ErrNoServer) {
		return nil, err
	}
	config := known.Config()
	if flags.server != "" {
		if config, err = flags.config(); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	handle := known.Handle
	if flags.handle != "" {
		if handle, err = store.ParseHandle(flags.handle); err != nil {
			return nil, &usageError{command: "vaultpam login", why: err.Error()}
		}
	}
	c, err := a.connect(config)
	if err != nil {
		return nil, err
	}
	info, err := c.Info(ctx)
	if err != nil {
		return nil, err
	}
	settings, err := client.NewSettings(c.Server(), config.Pin, handle, info)
	if err != nil {
		return nil, err
	}
	if err := a.mayReplace(home, settings); err != nil {
		return nil, err
	}
	settings.Factor = known.Factor
	flags.passkeys = slices.Contains(info.Factors, string(store.FactorPasskey))
	if known.Name != "" && (known.Relay != settings.Relay || known.Suffix != settings.Suffix || known.HostCA != settings.HostCA) {
		a.say("the server's relay, suffix or host key changed since this machine was set up")
		a.say("hint: vaultpam config ssh")
	}
	return newNode(home, settings, c)
}

func (f *loginFlags) config() (client.Config, error) {
	config := client.Config{Server: f.server}
	if f.pin == "" {
		return config, nil
	}
	pin, err := base64.RawURLEncoding.DecodeString(f.pin)
	if err != nil || len(pin) != 32 {
		return client.Config{}, &usageError{command: "vaultpam login", why: "the pin is not one: want the 43 characters behind the dot of an invitation"}
	}
	config.Pin = pin
	return config, nil
}

func pinText(pin []byte) string { return base64.RawURLEncoding.EncodeToString(pin) }
