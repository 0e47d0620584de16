package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
)

func (a *app) adminRecoveryShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "show which recovery of an administrator is under way",
		Args:  wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			r, err := n.client.Recovery(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(a.Stdout, r)
			}
			if r.Entry == 0 {
				a.say("no recovery of an administrator is under way")
				return nil
			}
			_, err = fmt.Fprintf(a.Stdout, "%s: begun on the server's own machine at %s (entry %d); can be finished from %s to %s\n",
				client.Clean(r.Handle), a.local(r.Begun), r.Entry, a.local(r.Ready), a.local(r.Ends))
			return err
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) adminRecoveryStopCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "stop",
		Short: "stop it before it makes somebody an administrator",
		Long: `admin recovery stop takes back what "vaultpamd recover-admin" began on the server's
own machine. Any administrator may, until it is finished. It is an entry, and all
administrators are told.`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			if err := n.client.StopRecovery(cmd.Context()); err != nil {
				return err
			}
			a.say("stopped; look who can run programs on the server's machine, if nobody knows of it")
			return nil
		},
	}
}
