package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/store"
)

func (a *app) targetLabelCommand() *cobra.Command {
	var none bool
	var proposal proposalFlag
	cmd := &cobra.Command{
		Use:   "label NAME KEY=VALUE…",
		Short: "give a target labels, in place of those that it has",
		Long: `Give a target labels, in place of those that it has.

Grants and guardrails for targets with these labels count from now on, and those
for the labels before count no more: sessions that stood on them end.`,
		Example: "  vaultpam admin target label db1 env=prod role=db",
		Args:    wantArgs("NAME", "[KEY=VALUE…]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := parseTarget(cmd, args[0])
			if err != nil {
				return err
			}
			if none == (len(args) > 1) {
				return &usageError{command: cmd.CommandPath(), why: "which labels? KEY=VALUE each, or --none"}
			}
			var labels store.TargetLabels
			if !none {
				if labels, err = store.ParseTargetLabels(strings.Join(args[1:], ",")); err != nil {
					return &usageError{command: cmd.CommandPath(), why: client.Clean(err.Error())}
				}
			}
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			err = n.client.LabelTarget(cmd.Context(), name, labels.String())
			if done, err := proposal.answer(cmd.Context(), a, n, err, false); done {
				return err
			}
			if none {
				a.say("%s has no labels any more", name)
				return nil
			}
			a.say("%s has the labels %s", name, labels)
			return nil
		},
	}
	proposal.add(cmd)
	cmd.Flags().BoolVar(&none, "none", false, "take all labels away")
	return cmd
}
