package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
)

func (a *app) targetCheckCommand() *cobra.Command {
	var login string
	var last, asJSON bool
	cmd := &cobra.Command{
		Use:   "check NAME",
		Short: "look which other ways into a host there are",
		Long: `admin target check has the server log in on the host over its own relay, in a
recorded session, and read there what sshd would accept: its effective
configuration for every account that can log in, the authorized keys of those
accounts, other authorities, and other programs that let people in. It prints
"other ways in: none", or each of them, and what it could not look at; and it is
an entry in the ledger. It takes root on the host, as the login or by sudo
without a password.

The server does this for every target each night by itself. What it says is what
the host says: somebody who already rules the host can make it lie.`,
		Example: "  vaultpam admin target check db1\n  vaultpam admin target check db1 --last",
		Args:    wantArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := parseTarget(cmd, args[0])
			if err != nil {
				return err
			}
			if login != "" {
				if _, err := parseLogins(cmd, []string{login}); err != nil {
					return err
				}
			}
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			var check api.Check
			if last {
				check, err = n.client.LastCheck(cmd.Context(), name)
			} else {
				check, err = n.client.CheckTarget(cmd.Context(), name, login)
			}
			if err != nil {
				return err
			}
			return a.showCheck(check, asJSON)
		},
	}
	cmd.Flags().StringVar(&login, "login", "", "`ACCOUNT` to log in as (default root, where the target has it)")
	cmd.Flags().BoolVar(&last, "last", false, "show what the last look found, without looking again")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) showCheck(c api.Check, asJSON bool) error {
	if asJSON {
		return printJSON(a.Stdout, c)
	}
	if !c.Missed.IsZero() {
		a.say("the look at %s did not succeed; this is from before", a.local(c.Missed))
	}
	if c.Entry == 0 {
		a.say("nobody has looked at %s yet; next: vaultpam admin target check %s", client.Clean(c.Target), client.Clean(c.Target))
		return nil
	}
	fmt.Fprintf(a.Stdout, "other ways in: %s\n", waysIn(c.CheckSummary))
	if len(c.Ways) > 0 {
		t := table{head: []string{"kind", "account", "what"}}
		for _, d := range c.Ways {
			account := d.Account
			if account == "" {
				account = "any"
			}
			t.add(d.Kind, account, d.Detail)
		}
		a.print(t)
	}
	if len(c.Unknown) > 0 {
		fmt.Fprintf(a.Stdout, "not looked at: %d\n", len(c.Unknown))
		for _, u := range c.Unknown {
			fmt.Fprintf(a.Stdout, "  %s\n", client.Clean(u))
		}
	}
	a.say("%s, checked %s; entry %d", client.Clean(c.Target), a.local(c.Time), c.Entry)
	return nil
}

// waysIn says in a few words what a look found.
func waysIn(c api.CheckSummary) string {
	var text string
	switch {
	case c.Entry == 0:
		return "never checked"
	case c.Doors > 0:
		text = fmt.Sprint(c.Doors)
	case c.Unread > 0:
		text = "unknown"
	default:
		text = "none"
	}
	switch {
	case c.New > 0 && c.Gone > 0:
		text += fmt.Sprintf(" (%d new, %d gone)", c.New, c.Gone)
	case c.New > 0:
		text += fmt.Sprintf(" (%d new)", c.New)
	case c.Gone > 0:
		text += fmt.Sprintf(" (%d gone)", c.Gone)
	}
	return text
}
