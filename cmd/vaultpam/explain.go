package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/store"
)

func (a *app) explainCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain [HANDLE] LOGIN@TARGET",
		Short: "say whether somebody may log in somewhere, and why or why not",
		Long: `explain says whether you may log in to a target, by which grants and until when,
or what is missing and who could approve it. Of somebody else it takes an
administrator or an auditor.`,
		Example: "  vaultpam explain root@db1\n  vaultpam explain carol root@db1",
		Args:    wantArgs("[HANDLE]", "LOGIN@TARGET"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var handle store.Handle
			var err error
			if len(args) == 2 {
				if handle, err = parseHandle(cmd, args[0]); err != nil {
					return err
				}
			}
			// A login may hold an @ itself.
			login, target, ok := cutLast(args[len(args)-1])
			if !ok {
				return &usageError{command: cmd.CommandPath(), why: "want LOGIN@TARGET, as root@db1"}
			}
			name, err := parseTarget(cmd, target)
			if err != nil {
				return err
			}
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			e, err := n.client.Explain(cmd.Context(), handle, store.Login(login), name)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(a.Stdout, e)
			}
			fmt.Fprintln(a.Stdout, client.Clean(e.Sentence))
			if len(e.Approvers) > 0 {
				fmt.Fprintln(a.Stdout, "who could approve it: "+client.Clean(strings.Join(e.Approvers, ", ")))
			}
			if e.Hint != "" {
				a.say("hint: %s", client.Clean(e.Hint))
			}
			return nil
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '@')
	if i < 1 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}
