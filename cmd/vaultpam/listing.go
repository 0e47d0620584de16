package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
)

// A listing is a command that asks the server for all things of a kind and
// prints them as a table, or as JSON.
type listing[T any] struct {
	use, short string
	ask        func(*client.Client, context.Context) ([]T, error)
	head       []string
	row        func(*node, T) []string
	none       string // said in place of a table without rows; empty prints that
}

func (l listing[T]) command(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: l.use, Short: l.short, Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			all, err := l.ask(n.client, cmd.Context())
			switch {
			case err != nil:
				return err
			case asJSON:
				return printJSON(a.Stdout, all)
			case len(all) == 0 && l.none != "":
				a.say("%s", l.none)
				return nil
			}
			t := table{head: l.head}
			for _, one := range all {
				t.add(l.row(n, one)...)
			}
			a.print(t)
			return nil
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}
