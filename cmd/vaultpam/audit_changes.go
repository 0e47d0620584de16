package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// A changesFlags says of which target and which time.
type changesFlags struct {
	target, from, to string
	json, csv        bool
}

func (a *app) changesCommand() *cobra.Command {
	var flags changesFlags
	cmd := &cobra.Command{
		Use:   "changes",
		Short: "say what changed of who could reach a target, when, and by whom",
		Long: `audit changes lists, for a target, every grant, guardrail and lock that came to be
about somebody or ceased to be, with the entry that did it: also by way of a group,
a label, or the clock. Weekly hours and touches are terms of a grant and no change.`,
		Example: "  vaultpam audit changes --target db1 --from 2026-08-01 --to 2026-09-01",
		Args:    wantArgs(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.changes(cmd.Context(), flags) },
	}
	cmd.Flags().StringVar(&flags.target, "target", "", "the target of this `NAME`")
	cmd.Flags().StringVar(&flags.from, "from", "", "from `WHEN` on: 30d ago, 2006-01-02, 2006-01-02T15:04 (default: the ledger's birth)")
	cmd.Flags().StringVar(&flags.to, "to", "", "until `WHEN` (default: now)")
	cmd.Flags().BoolVar(&flags.csv, "csv", false, "print CSV")
	jsonFlag(cmd, &flags.json)
	return cmd
}

func (a *app) changes(ctx context.Context, flags changesFlags) error {
	usage := func(err error) error {
		return &usageError{command: "vaultpam audit changes", why: client.Clean(err.Error())}
	}
	if flags.json && flags.csv {
		return usage(errors.New("--json and --csv: want one of them"))
	}
	if flags.target == "" {
		return usage(errors.New("of which target? --target NAME"))
	}
	target, err := store.ParseTargetName(flags.target)
	if err != nil {
		return usage(err)
	}
	var from, to time.Time
	if flags.from != "" {
		if from, err = parseSince(flags.from, a.Now(), a.Zone); err != nil {
			return usage(fmt.Errorf("--from: %w", err))
		}
	}
	if flags.to != "" {
		if to, err = parseSince(flags.to, a.Now(), a.Zone); err != nil {
			return usage(fmt.Errorf("--to: %w", err))
		}
	}
	n, err := a.signedIn(ctx)
	if err != nil {
		return err
	}
	if _, err := n.ledger.Follow(ctx); err != nil {
		return err
	}
	all, err := n.client.Changes(ctx, target, from, to)
	if err != nil {
		return err
	}
	if flags.json {
		return printJSON(a.Stdout, all)
	}
	t := a.changesTable(all)
	if flags.csv {
		return t.csv(a.Stdout)
	}
	a.print(t)
	if len(all) == 0 {
		a.say("nothing changed of who could reach %s", target)
	}
	return nil
}

func (a *app) changesTable(all []api.ReachChange) table {
	t := table{head: []string{"time", "entry", "", "user", "login", "what", "by whom", "because"}}
	for _, change := range all {
		entry, who, because := "", "the clock", "its time"
		if e := change.Entry; e != nil {
			entry, who, because = strconv.FormatUint(e.Index, 10), e.Actor, e.Summary
		}
		for _, r := range change.Changes {
			sign := "-"
			if r.Came {
				sign = "+"
			}
			login := r.Login
			if login == "" {
				login = "all"
			}
			t.add(a.local(change.Time), entry, sign, r.User, login, fmt.Sprintf("%s %d", r.Role, r.By), who, because)
		}
	}
	return t
}
