package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

func (a *app) targetLsCommand() *cobra.Command {
	return listing[api.TargetDetail]{
		use: "ls", short: "list all targets", ask: (*client.Client).AllTargets,
		head: []string{"name", "address", "egress", "logins", "labels", "other ways in", "checked", "host keys"},
		row: func(_ *node, t api.TargetDetail) []string {
			return []string{t.Name, t.Address, t.Egress, strings.Join(t.Logins, ","), t.Labels,
				waysIn(t.Check), a.local(t.Check.Time), firstFingerprint(t.HostKeys)}
		},
	}.command(a)
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
			a.say("removed %s; its sshd trusts the CA keys until the set-up is undone there", name)
			a.say("next: on the server, vaultpamd target setup %s | ssh root@HOST sh -s -- --undo", name)
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
