package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

func (a *app) groupCommand() *cobra.Command {
	return group("group", "named sets of people", a.groupAddCommand(), a.groupRenameCommand(), a.groupRmCommand(),
		a.groupLsCommand(), a.groupAddMemberCommand(), a.groupRmMemberCommand())
}

func (a *app) groupAddCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "add NAME",
		Short:   "add a group",
		Example: "  vaultpam admin group add dba",
		Args:    wantArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := parseGroup(cmd, args[0])
			if err != nil {
				return err
			}
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			if _, err := n.client.AddGroup(cmd.Context(), name); err != nil {
				return err
			}
			a.say("added group %s", name)
			a.say("next: vaultpam admin group add-member %s HANDLE", name)
			return nil
		},
	}
}

func (a *app) groupRenameCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rename NAME NEW-NAME",
		Short: "give a group another name; its members and what stands on it stay",
		Args:  wantArgs("NAME", "NEW-NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			old, err := parseGroup(cmd, args[0])
			if err != nil {
				return err
			}
			name, err := parseGroup(cmd, args[1])
			if err != nil {
				return err
			}
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			if err := n.client.RenameGroup(cmd.Context(), old, name); err != nil {
				return err
			}
			a.say("group %s is called %s now", old, name)
			return nil
		},
	}
}

func (a *app) groupRmCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rm NAME",
		Short: "remove a group; its members stay people",
		Args:  wantArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := parseGroup(cmd, args[0])
			if err != nil {
				return err
			}
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			if err := n.client.RemoveGroup(cmd.Context(), name); err != nil {
				return err
			}
			a.say("removed group %s", name)
			return nil
		},
	}
}

func (a *app) groupLsCommand() *cobra.Command {
	return listing[api.Group]{
		use: "ls", short: "list groups and their members", ask: (*client.Client).Groups,
		head: []string{"name", "members"},
		row:  func(_ *node, g api.Group) []string { return []string{g.Name, strings.Join(g.Members, ",")} },
	}.command(a)
}

func (a *app) groupAddMemberCommand() *cobra.Command {
	cmd := a.memberCommand((*client.Client).AddMember, "%s belongs to group %s now")
	cmd.Use, cmd.Short = "add-member NAME HANDLE…", "add people to a group"
	cmd.Example = "  vaultpam admin group add-member dba carol dave"
	return cmd
}

func (a *app) groupRmMemberCommand() *cobra.Command {
	cmd := a.memberCommand((*client.Client).RemoveMember, "%s belongs to group %s no more")
	cmd.Use, cmd.Short = "rm-member NAME HANDLE…", "take people out of a group"
	return cmd
}

// memberCommand does one thing with a group and each of some people, and says so
// after each: what was done before somebody can't be found stays done.
func (a *app) memberCommand(do func(*client.Client, context.Context, store.GroupName, store.Handle) error, said string) *cobra.Command {
	var proposal proposalFlag
	cmd := &cobra.Command{
		Args: wantArgs("NAME", "HANDLE…"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := parseGroup(cmd, args[0])
			if err != nil {
				return err
			}
			handles := make([]store.Handle, len(args)-1)
			for i, word := range args[1:] {
				if handles[i], err = parseHandle(cmd, word); err != nil {
					return err
				}
			}
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			for _, handle := range handles {
				done, err := proposal.answer(cmd.Context(), a, n, do(n.client, cmd.Context(), name, handle), false)
				if err != nil {
					return err
				}
				if !done {
					a.say(said, handle, name)
				}
			}
			return nil
		},
	}
	proposal.add(cmd)
	return cmd
}

func parseGroup(cmd *cobra.Command, s string) (store.GroupName, error) {
	name, err := store.ParseGroupName(s)
	if err != nil {
		return "", &usageError{command: cmd.CommandPath(), why: client.Clean(err.Error())}
	}
	return name, nil
}
