package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
)

func (a *app) targetsCommand() *cobra.Command {
	return listing[api.Target]{
		use: "targets", short: "the targets that you may reach now", ask: (*client.Client).Targets,
		head: []string{"target", "logins", "until"},
		row: func(n *node, t api.Target) []string {
			return []string{t.Name + "." + n.settings.Suffix, strings.Join(t.Logins, ","), a.local(t.Until)}
		},
		none: "no grant lets you reach a target now; ask your administrator for one",
	}.command(a)
}
