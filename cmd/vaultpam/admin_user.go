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
		email  string
		send   bool
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "add HANDLE",
		Short: "add a person and print their invitation",
		Long: `admin user add prints an invitation: a link that works once and ends by itself.
Whoever has it becomes that person, so hand it over where nobody else reads it.

With --email the person gets notices at that address of what happens to their
account. With --send the invitation goes there, and is not printed: whoever reads
that mail before them becomes that person.`,
		Args: wantArgs("HANDLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			handle, err := parseHandle(cmd, args[0])
			if err != nil {
				return err
			}
			q := api.AddUserRequest{Handle: string(handle), Send: send}
			for _, w := range words {
				role, err := store.ParseRole(w)
				if err != nil {
					return &usageError{command: cmd.CommandPath(), why: client.Clean(err.Error())}
				}
				q.Roles = append(q.Roles, string(role))
			}
			if email != "" {
				address, err := parseEmail(cmd, email)
				if err != nil {
					return err
				}
				q.Email = string(address)
			}
			if send && email == "" {
				return &usageError{command: cmd.CommandPath(), why: "--send takes --email ADDRESS"}
			}
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			added, err := n.client.AddPerson(cmd.Context(), q)
			if err != nil {
				return err
			}
			return a.printInvitation(added, asJSON)
		},
	}
	cmd.Flags().StringSliceVar(&words, "role", []string{string(store.RoleEngineer)}, "`ROLE` of the person: engineer, approver, administrator, auditor; may be given several times")
	cmd.Flags().StringVar(&email, "email", "", "`ADDRESS` at which the person gets notices")
	cmd.Flags().BoolVar(&send, "send", false, "send the invitation there, and print it nowhere")
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

// withHandle begins what is about somebody: their handle is read first, so that a
// mistyped one asks no server.
func (a *app) withHandle(cmd *cobra.Command, word string) (*node, store.Handle, error) {
	handle, err := parseHandle(cmd, word)
	if err != nil {
		return nil, "", err
	}
	n, err := a.signedIn(cmd.Context())
	return n, handle, err
}

func (a *app) printInvitation(r api.AddUserResponse, asJSON bool) error {
	if asJSON {
		return printJSON(a.Stdout, r)
	}
	if r.Invitation == "" {
		a.say("the invitation of %s, until %s, is sent to %s", client.Clean(r.User.Handle), a.local(r.Expires), client.Clean(r.User.Email))
		return nil
	}
	a.say("invitation for %s, until %s; they run: vaultpam enroll INVITATION", client.Clean(r.User.Handle), a.local(r.Expires))
	_, err := fmt.Fprintln(a.Stdout, r.Invitation)
	return err
}

func (a *app) userInviteCommand() *cobra.Command {
	var send, asJSON bool
	cmd := &cobra.Command{
		Use:   "invite HANDLE",
		Short: "print a new invitation for a person, or send it to them",
		Args:  wantArgs("HANDLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, handle, err := a.withHandle(cmd, args[0])
			if err != nil {
				return err
			}
			invite := n.client.InviteUser
			if send {
				invite = n.client.SendInvitation
			}
			invited, err := invite(cmd.Context(), handle)
			if err != nil {
				return err
			}
			return a.printInvitation(invited, asJSON)
		},
	}
	cmd.Flags().BoolVar(&send, "send", false, "send it to the person's address, and print it nowhere")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) userLsCommand() *cobra.Command {
	return listing[api.User]{
		use: "ls", short: "list people", ask: (*client.Client).Users,
		head: []string{"handle", "roles", "enrolled", "id", "e-mail"},
		row: func(_ *node, u api.User) []string {
			enrolled := "no"
			if u.Enrolled {
				enrolled = "yes"
			}
			return []string{u.Handle, strings.Join(u.Roles, ","), enrolled, u.ID, u.Email}
		},
	}.command(a)
}

func (a *app) userRmCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rm HANDLE",
		Short: "remove a person: they can do nothing from then on",
		Args:  wantArgs("HANDLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, handle, err := a.withHandle(cmd, args[0])
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
