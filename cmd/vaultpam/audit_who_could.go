package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// A couldFlags says whom or what is asked about, and when.
type couldFlags struct {
	target, user, at string
	why, json, csv   bool
}

func (a *app) whoCouldCommand() *cobra.Command {
	var flags couldFlags
	cmd := &cobra.Command{
		Use:   "who-could",
		Short: "say who could reach a target, or what somebody could reach, at any moment",
		Long: `audit who-could answers from the ledger who could reach a target, or what a user
could reach, now or at a moment of the past, by the rules that let people in. With
--why it shows the entries that made each answer true. The last lines say which
other ways into the hosts the last check before that moment saw.`,
		Example: `  vaultpam audit who-could --target db1 --at 2026-08-01T14:00+02:00
  vaultpam audit who-could --user carol --why`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.whoCould(cmd.Context(), flags) },
	}
	cmd.Flags().StringVar(&flags.target, "target", "", "who could reach the target of this `NAME`")
	cmd.Flags().StringVar(&flags.user, "user", "", "what the user of this `HANDLE` could reach")
	cmd.Flags().StringVar(&flags.at, "at", "", "at `WHEN`: 30d ago, 2006-01-02T15:04, 2006-01-02T15:04+02:00 (default: now)")
	cmd.Flags().BoolVar(&flags.why, "why", false, "show the entries behind each answer")
	cmd.Flags().BoolVar(&flags.csv, "csv", false, "print CSV")
	jsonFlag(cmd, &flags.json)
	return cmd
}

func (a *app) couldQuery(flags couldFlags) (client.CouldQuery, error) {
	usage := func(err error) (client.CouldQuery, error) {
		return client.CouldQuery{}, &usageError{command: "vaultpam audit who-could", why: client.Clean(err.Error())}
	}
	q := client.CouldQuery{Target: flags.target, User: flags.user, Why: flags.why}
	if flags.json && flags.csv {
		return usage(errors.New("--json and --csv: want one of them"))
	}
	if (flags.target == "") == (flags.user == "") {
		return usage(errors.New("want --target NAME or --user HANDLE"))
	}
	if flags.target != "" {
		if _, err := store.ParseTargetName(flags.target); err != nil {
			return usage(err)
		}
	}
	if flags.at != "" {
		var err error
		if q.At, err = parseSince(flags.at, a.Now(), a.Zone); err != nil {
			return usage(fmt.Errorf("--at: %w", err))
		}
	}
	return q, nil
}

func (a *app) whoCould(ctx context.Context, flags couldFlags) error {
	q, err := a.couldQuery(flags)
	if err != nil {
		return err
	}
	n, err := a.signedIn(ctx)
	if err != nil {
		return err
	}
	if _, err := n.ledger.Follow(ctx); err != nil {
		return err
	}
	r, err := n.client.WhoCould(ctx, q)
	if err != nil {
		return err
	}
	if flags.json {
		return printJSON(a.Stdout, r)
	}
	t := a.couldTable(r)
	if flags.csv {
		return t.csv(a.Stdout)
	}
	if len(r.Could) > 0 {
		a.print(t)
	} else {
		fmt.Fprintln(a.Stdout, client.Clean(a.nobody(r)))
	}
	for _, c := range r.Could {
		for _, reason := range c.Why {
			e := reason.Entry
			fmt.Fprintln(a.Stdout, client.Clean(fmt.Sprintf("  %s as %s on %s, %s: entry %d, %s, %s: %s",
				c.User, c.Login, c.Target, reason.Role, e.Index, a.local(e.Time), e.Actor, e.Summary)))
		}
	}
	a.otherWays(r)
	return nil
}

// nobody says that there is nothing to list.
func (a *app) nobody(r api.WhoCould) string {
	switch {
	case r.Gone && r.User != "":
		return fmt.Sprintf("%s could reach nothing: there is no such user at that moment", r.User)
	case r.Gone:
		return fmt.Sprintf("nobody could reach %s: there is no such target at that moment", r.Target)
	case r.User != "":
		return fmt.Sprintf("%s could reach nothing", r.User)
	}
	return fmt.Sprintf("nobody could reach %s", r.Target)
}

func (a *app) couldTable(r api.WhoCould) table {
	t := table{head: []string{"user", "login", "target", "could", "for", "until", "by"}}
	for _, c := range r.Could {
		could := "yes"
		switch {
		case c.Locked != 0:
			could = fmt.Sprintf("locked (%d)", c.Locked)
		case c.OnAsking:
			could = "on request"
		case !c.May:
			could = "no"
		case c.Touch != 0:
			could = fmt.Sprintf("with a touch in %dm", c.Touch)
		}
		if c.Direct {
			could += ", also past the relay"
		}
		user := c.User
		if c.Bot {
			user = "bot " + user
		}
		by := make([]string, len(c.By))
		for i, entry := range c.By {
			by[i] = strconv.FormatUint(entry, 10)
		}
		t.add(user, c.Login, c.Target, could, c.For, a.local(c.Until), strings.Join(by, ","))
	}
	return t
}

// otherWays says how sure the answer is: of what goes past VaultPAM only a check of
// the host knows.
func (a *app) otherWays(r api.WhoCould) {
	if r.Target != "" {
		for _, w := range r.Ways {
			fmt.Fprintln(a.Stdout, "other ways in: "+a.checkedWays(w.Check))
		}
		return
	}
	for _, w := range r.Ways {
		fmt.Fprintln(a.Stdout, client.Clean(fmt.Sprintf("other ways into %s: %s", w.Target, a.checkedWays(w.Check))))
	}
	if len(r.Ways) == 0 {
		fmt.Fprintln(a.Stdout, "other ways in: none, into any target")
	}
}

func (a *app) checkedWays(c api.CheckSummary) string {
	if c.Entry == 0 {
		return "never checked"
	}
	return fmt.Sprintf("%s (checked %s)", waysIn(c), a.local(c.Time))
}
