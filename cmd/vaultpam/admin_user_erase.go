package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/store"
)

func (a *app) userEraseCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "erase HANDLE",
		Short: "erase every text about a person who was removed; proofs stay valid",
		Long: `erase takes the texts about somebody who was removed out of what stands beside the
ledger: their handle, e-mail address, the addresses and machines that they came
from, and what was said of them. Entries keep commitments, which say nothing, so
every proof still verifies, and the person is shown by a random ID.

It does not reach recordings, backups, what auditors saved, or hosts' own logs. Of
people who have the handle now it erases nothing. HANDLE may be an ID: u:...`,
		Args: wantArgs("HANDLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !strings.HasPrefix(args[0], "u:") {
				if _, err := parseHandle(cmd, args[0]); err != nil {
					return err
				}
			} else if _, err := store.ParseUserID(args[0]); err != nil {
				return &usageError{command: cmd.CommandPath(), why: client.Clean(err.Error())}
			}
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			if !yes {
				ok, err := a.confirm(cmd.Context(), fmt.Sprintf("erase every text about %s, for ever?", args[0]))
				if err != nil {
					return err
				}
				if !ok {
					a.say("nothing was erased")
					return nil
				}
			}
			r, err := n.client.EraseUser(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			a.say("erased %d texts about %s", r.Texts, client.Clean(strings.Join(r.Users, ", ")))
			return nil
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return cmd
}
