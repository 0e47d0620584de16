package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
)

// A findingsFlags says which findings, of when, and which of them fail a script.
type findingsFlags struct {
	at, severity, failOn string
	why, json, csv       bool
}

func (a *app) findingsCommand() *cobra.Command {
	var flags findingsFlags
	cmd := &cobra.Command{
		Use:   "findings",
		Short: "say which weak states the company is in, and how to mend them",
		Long: `audit findings lists what the rules allow and an auditor asks about: settings that
let one person alone, administrators without a passkey, targets with other ways in,
grants that nobody uses. Each has the entries that make it true, and the command that
mends it. It answers for any moment of the past as well.

With --fail-on it ends with 10 where there is a finding of that severity or worse.`,
		Example: `  vaultpam audit findings
  vaultpam audit findings --severity high --at 2026-08-01
  vaultpam audit findings --fail-on high --json`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.findings(cmd.Context(), flags) },
	}
	cmd.Flags().StringVar(&flags.at, "at", "", "at `WHEN`: 30d ago, 2006-01-02T15:04, 2006-01-02T15:04+02:00 (default: now)")
	cmd.Flags().StringVar(&flags.severity, "severity", "low", "those of this `SEVERITY` and worse: high, medium or low")
	cmd.Flags().StringVar(&flags.failOn, "fail-on", "", "end with 10 where there is one of this `SEVERITY` or worse")
	cmd.Flags().BoolVar(&flags.why, "why", false, "say of each why it matters")
	cmd.Flags().BoolVar(&flags.csv, "csv", false, "print CSV")
	jsonFlag(cmd, &flags.json)
	return cmd
}

// severities are those of findings, the worst first.
func severities() []string { return []string{"high", "medium", "low"} }

// asBad reports whether a severity is another one or worse. One that this program
// does not know is the worst.
func asBad(severity, least string) bool {
	return slices.Index(severities(), severity) <= slices.Index(severities(), least)
}

func (f findingsFlags) check(now time.Time, zone *time.Location) (at time.Time, err error) {
	if f.json && f.csv {
		return at, errors.New("--json and --csv: want one of them")
	}
	if !slices.Contains(severities(), f.severity) {
		return at, fmt.Errorf("--severity %s: want high, medium or low", f.severity)
	}
	if f.failOn != "" && !slices.Contains(severities(), f.failOn) {
		return at, fmt.Errorf("--fail-on %s: want high, medium or low", f.failOn)
	}
	if f.at == "" {
		return at, nil
	}
	if at, err = parseSince(f.at, now, zone); err != nil {
		return at, fmt.Errorf("--at: %w", err)
	}
	return at, nil
}

func (a *app) findings(ctx context.Context, flags findingsFlags) error {
	at, err := flags.check(a.Now(), a.Zone)
	if err != nil {
		return &usageError{command: "vaultpam audit findings", why: client.Clean(err.Error())}
	}
	n, err := a.signedIn(ctx)
	if err != nil {
		return err
	}
	if _, err := n.ledger.Follow(ctx); err != nil {
		return err
	}
	r, err := n.client.Findings(ctx, at)
	if err != nil {
		return err
	}
	if bad := func(f api.Finding) bool { return asBad(f.Severity, flags.failOn) }; flags.failOn != "" && slices.ContainsFunc(r.Findings, bad) {
		a.code = exitFindings
	}
	r.Findings = slices.DeleteFunc(r.Findings, func(f api.Finding) bool { return !asBad(f.Severity, flags.severity) })
	switch {
	case flags.json:
		return printJSON(a.Stdout, r)
	case flags.csv:
		t := findingsTable(r.Findings)
		return t.csv(a.Stdout)
	}
	for _, f := range r.Findings {
		a.printFinding(f)
		if flags.why {
			fmt.Fprintln(a.Stdout, client.Clean("        why: "+f.Why))
		}
	}
	a.say("%s", summary(r.Findings))
	return nil
}

// printFinding says what is so, by which entries, and what to type.
func (a *app) printFinding(f api.Finding) {
	line := fmt.Sprintf("%-6s  %s (%s", f.Severity, f.Sentence, f.Kind)
	if len(f.Entries) > 0 {
		line += "; " + entryList(f.Entries)
	}
	fmt.Fprintln(a.Stdout, client.Clean(line+")"))
	who := ""
	if f.Whose != "" {
		who = f.Whose + " types: "
	}
	fmt.Fprintln(a.Stdout, client.Clean("        "+who+f.Mend))
}

func entryList(entries []uint64) string {
	texts := make([]string, len(entries))
	for i, e := range entries {
		texts[i] = strconv.FormatUint(e, 10)
	}
	if len(texts) == 1 {
		return "entry " + texts[0]
	}
	return "entries " + strings.Join(texts, ", ")
}

func findingsTable(all []api.Finding) table {
	t := table{head: []string{"severity", "kind", "what", "entries", "mend", "by"}}
	for _, f := range all {
		t.add(f.Severity, f.Kind, f.Sentence, strings.TrimPrefix(strings.TrimPrefix(entryList(f.Entries), "entries "), "entry "), f.Mend, f.Whose)
	}
	return t
}

// summary counts the findings.
func summary(all []api.Finding) string {
	if len(all) == 0 {
		return "nothing was found"
	}
	count := map[string]int{}
	for _, f := range all {
		count[f.Severity]++
	}
	var parts []string
	for _, v := range severities() {
		if count[v] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[v], v))
		}
	}
	return "found: " + strings.Join(parts, ", ") + "; why each matters: vaultpam audit findings --why"
}
