package main

import (
	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/store"
)

func (a *app) userEmailCommand() *cobra.Command {
	var remove bool
	cmd := &cobra.Command{
		Use:   "email HANDLE ADDRESS",
		Short: "say where a person gets notices",
		Long: `admin user email sets the address at which a person hears of what happens to their
account: invitations, new factors, recovery codes, attempts to guess. The address
before is told that notices go elsewhere from now on. Administrators set anybody's,
everybody else their own.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if remove {
				return wantArgs("HANDLE")(cmd, args)
			}
			return wantArgs("HANDLE", "ADDRESS")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			handle, err := parseHandle(cmd, args[0])
			if err != nil {
				return err
			}
			var email store.Email
			if !remove {
				if email, err = parseEmail(cmd, args[1]); err != nil {
					return err
				}
			}
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			if err := n.client.SetContact(cmd.Context(), handle, email); err != nil {
				return err
			}
			if remove {
				a.say("%s gets no notices by mail any more", handle)
				return nil
			}
			a.say("%s gets notices at %s", handle, email)
			return nil
		},
	}
	cmd.Flags().BoolVar(&remove, "remove", false, "take the address away")
	return cmd
}

func parseEmail(cmd *cobra.Command, s string) (store.Email, error) {
	email, err := store.ParseEmail(s)
	if err != nil {
		return "", &usageError{command: cmd.CommandPath(), why: client.Clean(err.Error())}
	}
	return email, nil
}
