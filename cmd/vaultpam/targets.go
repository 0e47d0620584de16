package main

import (
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) targetsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "targets",
		Short: "the targets that you may reach now",
		Args:  wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			targets, err := n.client.Targets(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(a.Stdout, targets)
			}
			if len(targets) == 0 {
				a.say("no grant lets you reach a target now; ask your administrator for one")
				return nil
			}
			t := table{head: []string{"target", "logins", "until"}}
			for _, target := range targets {
				t.add(target.Name+"."+n.settings.Suffix, strings.Join(target.Logins, ","), a.local(target.Until))
			}
			a.print(t)
			return nil
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}
