package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

func (a *app) reviewShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "show the grants of a review, when they were used last, and the answers",
		Long: `show lists what a review asks about. A grant is used by every session that it lets
start; what can be requested is used by the sessions of those who did. Of a review
that has ended it shows what was there when it ended. The numbers of its entries,
with --json, are for vaultpam audit show, which proves them.`,
		Args: wantArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, id, err := a.aboutRequest(cmd, args[0])
			if err != nil {
				return err
			}
			r, err := n.client.Review(cmd.Context(), id)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(a.Stdout, r)
			}
			a.say("%s", client.Clean(a.reviewText(r.Review)))
			t := table{head: []string{"grant", "who", "targets", "logins", "for", "since", "until", "last used", "answer", "by", "entry", "comment"}}
			for _, x := range r.Items {
				t.add(a.reviewRow(r.Review, x)...)
			}
			a.print(t)
			return nil
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// reviewText is a review in a sentence or two.
func (a *app) reviewText(r api.Review) string {
	title := ""
	if r.Title != "" {
		title = " (" + r.Title + ")"
	}
	text := fmt.Sprintf("review %d%s: %s asked %s about %s at %s.", r.ID, title, r.By, r.Owner, countText(r.Grants), a.local(r.Started))
	switch r.State {
	case "open":
		text += fmt.Sprintf(" It is due at %s", a.local(r.Due))
		if r.Revokes {
			text += ", and what has no answer then is revoked"
		}
		return text + fmt.Sprintf(". So far: %s.", sumsText(r))
	case "due":
		text += fmt.Sprintf(" It was due at %s, entry %d", a.local(r.EndedAt), r.Ended)
		if r.Revokes && r.Unanswered > 0 {
			text += ", when what had no answer was revoked"
		}
	case "cancelled":
		text += fmt.Sprintf(" It was called off at %s, entry %d", a.local(r.EndedAt), r.Ended)
	default:
		text += fmt.Sprintf(" It was answered and ended at %s, entry %d", a.local(r.EndedAt), r.Ended)
	}
	return text + fmt.Sprintf(": %s.", sumsText(r))
}

func (a *app) reviewRow(r api.Review, x api.ReviewedGrant) []string {
	g, answered := x.Grant, ""
	if x.Entry != 0 {
		answered = fmt.Sprint(x.Entry)
	}
	return []string{
		fmt.Sprint(g.ID), subjectText(g), whereText(g), strings.Join(g.Logins, ","), whatFor(g), a.date(x.Since), a.local(g.Until),
		a.lastUsed(r, x), answerText(r, x), x.By, answered, x.Comment,
	}
}

// whatFor is what a grant is for, and when and on what terms: who reviews it sees the
// usual purposes too, which are in no grant.
func whatFor(g api.Grant) string {
	all := append([]string{cmp.Or(g.For, store.DefaultPurposes().String())}, hoursText(g)...)
	return strings.Join(append(all, conditionsText(g.Conditions)...), ", ")
}

// lastUsed says how long ago while a review is open, and when afterwards.
func (a *app) lastUsed(r api.Review, x api.ReviewedGrant) string {
	switch {
	case x.LastUsed.IsZero():
		return "never"
	case r.State != "open":
		return a.local(x.LastUsed)
	}
	return agoText(a.Now().Sub(x.LastUsed))
}

func answerText(r api.Review, x api.ReviewedGrant) string {
	switch x.State {
	case "kept":
		return "keep"
	case "revoked":
		return "revoke"
	case "lapsed":
		return "none, revoked"
	case "gone":
		return fmt.Sprintf("gone%s", byEntry(x.Gone))
	}
	switch {
	case r.State != "open":
		return "none"
	case x.MayRevoke && !x.MayKeep && r.Yours:
		return "waits; yours to revoke, an administrator's to keep"
	}
	return "waits"
}

func byEntry(entry uint64) string {
	if entry == 0 {
		return ", it ended"
	}
	return fmt.Sprintf(", entry %d", entry)
}

// date is the day of a moment for the person at this machine.
func (a *app) date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(a.Zone).Format(time.DateOnly)
}

// agoText says how long ago something was, in its largest unit.
func agoText(d time.Duration) string {
	for _, unit := range []struct {
		lasts time.Duration
		name  string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		switch n := d / unit.lasts; {
		case n == 1:
			return "1 " + unit.name + " ago"
		case n > 1:
			return fmt.Sprintf("%d %ss ago", n, unit.name)
		}
	}
	return "just now"
}
