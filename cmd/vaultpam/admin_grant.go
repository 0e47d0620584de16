package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

func (a *app) grantAddCommand() *cobra.Command {
	var flags grantFlags
	cmd := &cobra.Command{
		Use:   "add [HANDLE] [TARGET]",
		Short: "let a person or a group reach a target, or the targets with some labels",
		Long: `Let a person or a group reach a target, or the targets with some labels.

HANDLE is left out with --group, TARGET with --targets. A grant with --reason,
--ticket or --approvals opens nothing by itself: what it says can be requested
with vaultpam request.`,
		Example: `  vaultpam admin grant add carol db1 --login root --for 2h
  vaultpam admin grant add --group dba --targets env=prod,role=db --login postgres --hours "Mon-Fri 08:00-18:00 Europe/Berlin"
  vaultpam admin grant add ci web1 --login deploy --for ansible
  vaultpam admin grant add --group dba --targets env=prod --login root --reason --approvals 1 --approvers leads`,
		Args: wantArgs("[HANDLE]", "[TARGET]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			g, err := a.grant(cmd, args, flags)
			if err != nil {
				return err
			}
			if g.Logins, err = parseLogins(cmd, flags.logins); err != nil {
				return err
			}
			return a.addGrant(cmd, g, flags, func(g api.Grant) string {
				return fmt.Sprintf("%s may reach %s as %s%s%s", subjectText(g), whereText(g), strings.Join(g.Logins, ", "), purposesText(g), a.span(g))
			})
		},
	}
	flags.add(cmd)
	flags.conditions(cmd)
	flags.proposal.add(cmd)
	return cmd
}

func (a *app) grantForbidCommand() *cobra.Command {
	var flags grantFlags
	cmd := &cobra.Command{
		Use:   "forbid [HANDLE] [TARGET]",
		Short: "add a guardrail, which is stronger than every grant",
		Long: `Add a guardrail: what it forbids, no grant allows, now or later.

HANDLE is left out with --group or --everybody, TARGET with --targets. Without
--login it forbids all logins, without --for everything.`,
		Example: `  vaultpam admin grant forbid --everybody --targets env=prod --for "agent-forward; direct"
  vaultpam admin grant forbid --group contractors db1 --login root`,
		Args: wantArgs("[HANDLE]", "[TARGET]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			g, err := a.grant(cmd, args, flags)
			if err != nil {
				return err
			}
			g.Forbids = true
			if len(flags.logins) > 0 {
				if g.Logins, err = parseLogins(cmd, flags.logins); err != nil {
					return err
				}
			}
			return a.addGrant(cmd, g, flags, func(g api.Grant) string {
				return fmt.Sprintf("%s may not %s%s", subjectText(g), forbiddenText(g), a.span(g))
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&flags.everybody, "everybody", false, "for all users, now and later")
	return cmd
}

func (a *app) addGrant(cmd *cobra.Command, g api.Grant, flags grantFlags, sentence func(api.Grant) string) error {
	n, err := a.signedIn(cmd.Context())
	if err != nil {
		return err
	}
	added, err := n.client.AddGrant(cmd.Context(), g)
	if done, err := flags.proposal.answer(cmd.Context(), a, n, err, flags.json); done {
		return err
	}
	if flags.json {
		return printJSON(a.Stdout, added)
	}
	kind := "grant"
	if added.Forbids {
		kind = "guardrail"
	}
	a.say("%s %d: %s", kind, added.ID, client.Clean(sentence(added)))
	a.noteDirect(added)
	return nil
}

// noteDirect says what a grant for going past the relay does not do by itself.
func (a *app) noteDirect(g api.Grant) {
	purposes, err := store.ParsePurposes(g.For)
	switch {
	case err != nil || g.Forbids || !purposes.Has(store.PurposeDirect):
	case g.Conditions.Longest != 0:
		a.say("note: nothing ends a connection past the relay, so that a grant with a longest session opens no way past it")
	case !store.DefaultPurposes().Within(purposes):
		a.say("note: direct opens what is allowed through the relay as well; it takes %s there, by this grant or others", store.DefaultPurposes())
	}
}

func subjectText(g api.Grant) string {
	switch {
	case g.User != "":
		return g.User
	case g.Group != "":
		return "group " + g.Group
	}
	return "everybody"
}

func whereText(g api.Grant) string {
	switch g.Targets {
	case "":
		return g.Target
	case "*":
		return "every target"
	}
	return "targets with " + g.Targets
}

func purposesText(g api.Grant) string {
	if g.For == "" {
		return ""
	}
	return " for " + g.For
}

func forbiddenText(g api.Grant) string {
	as := ""
	if len(g.Logins) > 0 {
		as = " as " + strings.Join(g.Logins, ", ")
	}
	if g.For == "" {
		return "log in to " + whereText(g) + as
	}
	return "use " + g.For + " on " + whereText(g) + as
}

// span says when and under which conditions a grant holds.
func (a *app) span(g api.Grant) string {
	s := ""
	if !g.From.IsZero() {
		s += " from " + a.local(g.From)
	}
	if !g.Until.IsZero() {
		s += " until " + a.local(g.Until)
	}
	for _, c := range append(hoursText(g), conditionsText(g.Conditions)...) {
		s += ", " + c
	}
	return s
}

func hoursText(g api.Grant) []string {
	if g.Hours == "" {
		return nil
	}
	return []string{g.Hours}
}

// conditionsText are the conditions in words, nothing where there are none.
func conditionsText(c api.Conditions) []string {
	var all []string
	if c.Reason {
		all = append(all, "with a reason")
	}
	if c.Ticket != "" {
		all = append(all, "with a ticket like "+c.Ticket)
	}
	if c.Approvals != 0 {
		all = append(all, fmt.Sprintf("approved by %d of group %s", c.Approvals, c.Approvers))
	}
	switch c.Passkey {
	case 0:
	case 1:
		all = append(all, "with a touch in the minute before")
	default:
		all = append(all, fmt.Sprintf("with a touch in the %d minutes before", c.Passkey))
	}
	if c.Longest != 0 {
		all = append(all, fmt.Sprintf("sessions of %d minutes at most", c.Longest))
	}
	return all
}

func (a *app) grantLsCommand() *cobra.Command {
	return listing[api.Grant]{
		use: "ls", short: "list all grants and guardrails", ask: (*client.Client).Grants,
		head: []string{"id", "who", "targets", "logins", "for", "from", "until", "conditions"},
		row: func(_ *node, g api.Grant) []string {
			who, what := subjectText(g), g.For
			if g.Forbids {
				who = "not " + who
			}
			if g.Forbids && what == "" {
				what = "everything"
			}
			return []string{
				strconv.FormatUint(g.ID, 10), who, whereText(g), strings.Join(g.Logins, ","), what, a.local(g.From), a.local(g.Until),
				strings.Join(append(hoursText(g), conditionsText(g.Conditions)...), ", "),
			}
		},
	}.command(a)
}

func (a *app) grantRmCommand() *cobra.Command {
	var proposal proposalFlag
	cmd := &cobra.Command{
		Use:   "rm ID",
		Short: "take a grant or a guardrail back",
		Args:  wantArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseIndex(cmd.CommandPath(), args[0])
			if err != nil {
				return err
			}
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			err = n.client.RemoveGrant(cmd.Context(), uint64(id))
			if done, err := proposal.answer(cmd.Context(), a, n, err, false); done {
				return err
			}
			a.say("removed grant %d", id)
			return nil
		},
	}
	proposal.add(cmd)
	return cmd
}
