package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// An auditFlags chooses entries and how they are printed.
type auditFlags struct {
	kind, user, target, since, until string
	limit                            int
	json, csv                        bool
}

func (a *app) auditLsCommand() *cobra.Command {
	var flags auditFlags
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "list entries of the ledger",
		Long: `audit ls lists entries, oldest first; of more than --limit the newest. With
--type it shows the columns of that type, for certificate.issued: index, time,
factor, principal, target, expiry, session. Times are UTC.`,
		Example: "  vaultpam audit ls --type certificate.issued --user carol --since 30d",
		Args:    wantArgs(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.auditLs(cmd.Context(), flags) },
	}
	cmd.Flags().StringVar(&flags.kind, "type", "", "only entries of this `TYPE`, as session.started")
	cmd.Flags().StringVar(&flags.user, "user", "", "only what concerns this `HANDLE`")
	cmd.Flags().StringVar(&flags.target, "target", "", "only what concerns the target of this `NAME`")
	cmd.Flags().StringVar(&flags.since, "since", "", "from `WHEN` on: 30d ago, 12h, or 2006-01-02, 2006-01-02T15:04")
	cmd.Flags().StringVar(&flags.until, "until", "", "before `WHEN`")
	cmd.Flags().IntVar(&flags.limit, "limit", 1000, "at most `N` entries; 0 lists all")
	cmd.Flags().BoolVar(&flags.csv, "csv", false, "print CSV")
	jsonFlag(cmd, &flags.json)
	return cmd
}

func (a *app) auditLs(ctx context.Context, flags auditFlags) error {
	query, err := a.auditQuery(flags)
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
	entries, more, err := allEntries(ctx, n.client, query, flags.limit)
	if err != nil {
		return err
	}
	if more {
		a.say("hint: older entries were left out; --limit 0 lists all")
	}
	t := entryTable(flags.kind, entries)
	switch {
	case flags.json:
		return printJSON(a.Stdout, entries)
	case flags.csv:
		return t.csv(a.Stdout)
	}
	a.print(t)
	if len(entries) == 0 {
		a.say("no entry matches")
	}
	return nil
}

func (a *app) auditQuery(flags auditFlags) (client.Query, error) {
	usage := func(err error) (client.Query, error) {
		return client.Query{}, &usageError{command: "vaultpam audit ls", why: client.Clean(err.Error())}
	}
	if flags.json && flags.csv {
		return usage(errors.New("--json and --csv: want one of them"))
	}
	q := client.Query{Type: flags.kind, User: flags.user, Target: flags.target}
	if flags.limit < 0 {
		return usage(fmt.Errorf("--limit %d: want 0 or more", flags.limit))
	}
	if flags.user != "" {
		if _, err := store.ParseHandle(flags.user); err != nil {
			return usage(err)
		}
	}
	if flags.target != "" {
		if _, err := store.ParseTargetName(flags.target); err != nil {
			return usage(err)
		}
	}
	var err error
	if flags.since != "" {
		if q.Since, err = parseSince(flags.since, a.Now(), a.Zone); err != nil {
			return usage(fmt.Errorf("--since: %w", err))
		}
	}
	if flags.until != "" {
		if q.Until, err = parseSince(flags.until, a.Now(), a.Zone); err != nil {
			return usage(fmt.Errorf("--until: %w", err))
		}
	}
	return q, nil
}

// pageSize is how many entries are asked for at once.
const pageSize = 500

// allEntries collects pages, newest first, until the limit (0 is none), and
// returns them oldest first.
func allEntries(ctx context.Context, c *client.Client, q client.Query, limit int) (all []api.Entry, more bool, err error) {
	for {
		q.Limit = pageSize
		if limit > 0 {
			q.Limit = min(pageSize, limit-len(all))
		}
		page, err := c.Entries(ctx, q)
		if err != nil {
			return nil, false, err
		}
		all = append(all, page.Entries...)
		if limit > 0 && len(all) >= limit {
			more = page.Next != 0 || len(all) > limit
			all = all[:limit]
			break
		}
		// A server whose pages do not go down would never end.
		if page.Next == 0 || (q.Before != 0 && page.Next >= q.Before) {
			break
		}
		q.Before = page.Next
	}
	slices.Reverse(all)
	return all, more, nil
}

// entryTable has the columns of a type, or the ones that all types share.
func entryTable(kind string, entries []api.Entry) table {
	columns := columnsOf(store.EventType(kind))
	t := table{}
	for _, c := range columns {
		t.head = append(t.head, c.head)
	}
	for _, e := range entries {
		row := make([]string, len(columns))
		for i, c := range columns {
			row[i] = c.cell(e)
		}
		t.add(row...)
	}
	return t
}

// A column is a head and how an entry fills it.
type column struct {
	head string
	cell func(api.Entry) string
}

func columnsOf(kind store.EventType) []column {
	index := column{"index", func(e api.Entry) string { return strconv.FormatUint(e.Index, 10) }}
	when := column{"time", func(e api.Entry) string { return utc(e.Time) }}
	user := column{"user", func(e api.Entry) string { return e.User }}
	target := column{"target", func(e api.Entry) string { return e.Target }}
	switch kind {
	case store.TypeCertificateIssued:
		return []column{index, when, field("factor", "factor"), field("principal", "principal"), field("target", "target"),
			field("expiry", "expires"), {"session", opened}}
	case store.TypeSessionStarted:
		return []column{index, when, user, target, field("login", "login"), field("way", "way"), field("session", "session")}
	case store.TypeSessionEnded:
		return []column{index, when, user, target, field("reason", "reason"), {"seconds", func(e api.Entry) string { return seconds(e.Fields["duration_ms"]) }}, field("session", "session")}
	case store.TypeSessionRefused:
		return []column{index, when, user, target, field("login", "login"), field("reason", "reason")}
	}
	return []column{
		index, when,
		{"type", func(e api.Entry) string { return e.Type }},
		{"actor", func(e api.Entry) string { return e.Actor }},
		user, target,
		{"summary", func(e api.Entry) string { return e.Summary }},
	}
}

func field(head, name string) column {
	return column{head, func(e api.Entry) string { return fieldText(e.Fields[name]) }}
}

// opened is what a certificate was for: a session, or going past the relay.
func opened(e api.Entry) string {
	if direct, _ := e.Fields["direct"].(bool); direct {
		return "direct"
	}
	return fieldText(e.Fields["session"])
}

// fieldText writes a field of an entry on one line.
func fieldText(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	case []any:
		parts := make([]string, len(v))
		for i, part := range v {
			parts[i] = fieldText(part)
		}
		return strings.Join(parts, ",")
	}
	data, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return string(data)
}

// seconds writes milliseconds as seconds.
func seconds(ms any) string {
	n, err := strconv.ParseUint(fieldText(ms), 10, 63)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%d.%03d", n/1000, n%1000)
}
