package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/client/agent"
)

func (a *app) logoutCommand() *cobra.Command {
	var other uint64
	cmd := &cobra.Command{
		Use:   "logout",
		Short: "end the sign-in, here and on the server",
		Long: `logout ends the sign-in session on the server, and takes the sign-in, the key and
the certificate off this machine and out of the ssh-agent. Sessions that run go
on. Where the server can't be reached everything here is taken away all the
same, and the exit code says so.

--sign-in ends another sign-in session of yours, as "vaultpam status --all" lists
them, and leaves this one.`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if other != 0 {
				return a.endSignIn(cmd.Context(), other)
			}
			return a.logout(cmd.Context())
		},
	}
	cmd.Flags().Uint64Var(&other, "sign-in", 0, "end the sign-in session with this `ID` instead")
	return cmd
}

func (a *app) endSignIn(ctx context.Context, id uint64) error {
	n, err := a.signedIn(ctx)
	if err != nil {
		return err
	}
	if err := n.client.EndSignIn(ctx, id); err != nil {
		return err
	}
	a.say("sign-in session %d has ended", id)
	return nil
}

func (a *app) logout(ctx context.Context) error {
	n, err := a.known()
	if err != nil {
		return err
	}
	var told error
	signedIn, err := n.withSession(ctx)
	if err == nil {
		told = signedIn.client.SignOut(ctx)
	}
	if agents, err := a.agent(n.settings); err == nil {
		if err := agents.Remove(ctx); err != nil && !errors.Is(err, agent.ErrNoAgent) {
			a.warn(err)
		}
	}
	gone := errors.Join(n.home.ForgetSession(ctx), agent.RemoveIdentity(n.home.Dir()), n.home.ForgetDirect())
	switch {
	case gone != nil:
		return gone
	case errors.Is(err, client.ErrNotSignedIn):
		a.say("nobody was signed in")
		return nil
	case err != nil:
		return err
	case told != nil && exitCode(told) != exitNotSignedIn:
		return withHint(told, "signed out on this machine; on the server the sign-in ends by itself")
	}
	a.say("signed out of %s", n.settings.Name)
	return nil
}
