package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

func (a *app) userAddCommand() *cobra.Command {
	var (
		words  []string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "add HANDLE",
		Short: "add a person and print their invitation",
		Long: `admin user add prints an invitation: a link that works once and ends by itself.
Whoever has it becomes that person, so hand it over where nobody else reads it.`,
		Args: wantArgs("HANDLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			handle, err := parseHandle(cmd, args[0])
			if err != nil {
				return err
			}
			roles := make([]store.Role, len(words))
			for i, w := range words {
				if roles[i], err = store.ParseRole(w); err != nil {
					return &usageError{command: cmd.CommandPath(), why: client.Clean(err.Error())}
				}
			}
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			added, err := n.client.AddUser(cmd.Context(), handle, roles)
			if err != nil {
				return err
			}
			return a.printInvitation(added, asJSON)
		},
	}
	cmd.Flags().StringSliceVar(&words, "role", []string{string(store.RoleEngineer)}, "`ROLE` of the person: engineer, approver, administrator, auditor; may be given several times")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func parseHandle(cmd *cobra.Command, s string) (store.Handle, error) {
	handle, err := store.ParseHandle(s)
	if err != nil {
		return "", &usageError{command: cmd.CommandPath(), why: client.Clean(err.Error())}
	}
	return handle, nil
}

func (a *app) printInvitation(r api.AddUserResponse, asJSON bool) error {
	if asJSON {
		return printJSON(a.Stdout, r)
	}
	a.say("invitation for %s, until %s; they run: vaultpam enroll INVITATION", client.Clean(r.User.Handle), a.local(r.Expires))
	_, err := fmt.Fprintln(a.Stdout, r.Invitation)
	return err
}

func (a *app) userInviteCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "invite HANDLE",
		Short: "print a new invitation for a person",
		Args:  wantArgs("HANDLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			handle, err := parseHandle(cmd, args[0])
			if err != nil {
				return err
			}
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			invited, err := n.client.InviteUser(cmd.Context(), handle)
			if err != nil {
				return err
			}
			return a.printInvitation(invited, asJSON)
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) userLsCommand() *cobra.Command {
	return listing[api.User]{
		use: "ls", short: "list people", ask: (*client.Client).Users,
		head: []string{"handle", "roles", "enrolled", "id"},
		row: func(_ *node, u api.User) []string {
			enrolled := "no"
			if u.Enrolled {
				enrolled = "yes"
			}
			return []string{u.Handle, strings.Join(u.Roles, ","), enrolled, u.ID}
		},
	}.command(a)
}

func (a *app) userRmCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rm HANDLE",
		Short: "remove a person: they can do nothing from then on",
		Args:  wantArgs("HANDLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			handle, err := parseHandle(cmd, args[0])
			if err != nil {
				return err
			}
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			if err := n.client.RemoveUser(cmd.Context(), handle); err != nil {
				return err
			}
			a.say("removed %s", handle)
			return nil
		},
	}
}
