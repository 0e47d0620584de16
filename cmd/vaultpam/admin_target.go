package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/store"
)

func (a *app) targetLsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "list all targets",
		Args:  wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			targets, err := n.client.AllTargets(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(a.Stdout, targets)
			}
			t := table{head: []string{"name", "address", "egress", "logins", "host keys"}}
			for _, target := range targets {
				t.add(target.Name, target.Address, target.Egress, strings.Join(target.Logins, ","),
					strings.Join(fingerprints(target.HostKeys), " "))
			}
			a.print(t)
			return nil
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) targetRmCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rm NAME",
		Short: "remove a target, with every grant to it",
		Args:  wantArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := parseTarget(cmd, args[0])
			if err != nil {
				return err
			}
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			if err := n.client.RemoveTarget(cmd.Context(), name); err != nil {
				return err
			}
			a.say("removed %s; its sshd still trusts the CA until you undo the setup there", name)
			return nil
		},
	}
}

func parseTarget(cmd *cobra.Command, s string) (store.TargetName, error) {
	name, err := store.ParseTargetName(s)
	if err != nil {
		return "", &usageError{command: cmd.CommandPath(), why: client.Clean(err.Error())}
	}
	return name, nil
}

func parseLogins(cmd *cobra.Command, words []string) ([]string, error) {
	if len(words) == 0 {
		return nil, &usageError{command: cmd.CommandPath(), why: "which accounts? name each with --login"}
	}
	for _, w := range words {
		if _, err := store.ParseLogin(w); err != nil {
			return nil, &usageError{command: cmd.CommandPath(), why: client.Clean(err.Error())}
		}
	}
	return words, nil
}
