package main

import (
	"github.com/spf13/cobra"
)

func (a *app) targetRenameCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rename NAME NEW",
		Short: "give a target another name",
		Long: `Give a target another name. Its grants, labels, locks and running sessions stay.

Its host answers to the name that it was set up for. Until it is set up for the new
one nobody gets in by VaultPAM. A host whose other doors are shut is set up first,
through the relay: vaultpamd target setup NEW | ssh root@NAME.pam sh.

The old name is free for another target when a session or a look has shown that the
host answers to the new one, and no direct certificate for the old one is good any
more.`,
		Example: "  vaultpam admin target rename db1 db1.prod",
		Args:    wantArgs("NAME", "NEW"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := parseTarget(cmd, args[0])
			if err != nil {
				return err
			}
			to, err := parseTarget(cmd, args[1])
			if err != nil {
				return err
			}
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			if err := n.client.RenameTarget(cmd.Context(), name, to); err != nil {
				return err
			}
			a.say("%s is called %s from now on; nobody gets into its host by VaultPAM until it is set up for that name", name, to)
			a.say("next: on the server, vaultpamd target setup %s | ssh root@HOST sh", to)
			a.say("then: vaultpam admin target check %s", to)
			return nil
		},
	}
}
