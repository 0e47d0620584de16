package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/client/agent"
)

func (a *app) logoutCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "logout",
		Short: "end the sign-in, here and on the server",
		Long: `logout ends the sign-in session on the server, and takes the sign-in, the key and
the certificate off this machine and out of the ssh-agent. Sessions that run go
on. Where the server can't be reached everything here is taken away all the
same, and the exit code says so.`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.logout(cmd.Context()) },
	}
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
	gone := errors.Join(n.home.ForgetSession(ctx), agent.RemoveIdentity(n.home.Dir()))
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
