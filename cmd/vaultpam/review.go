package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

func (a *app) reviewCommand() *cobra.Command {
	return group("review", "ask whether standing grants are still wanted, and answer",
		a.reviewStartCommand(), a.reviewLsCommand(), a.reviewShowCommand(), a.reviewKeepCommand(), a.reviewRevokeCommand(),
		a.reviewAnswerCommand(), a.reviewEndCommand(),
	)
}

func (a *app) reviewStartCommand() *cobra.Command {
	var q api.StartReviewRequest
	var due string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "start --owner HANDLE --due WHEN",
		Short: "ask somebody whether standing grants are still wanted",
		Long: `start lists all grants that stand, or a part of them, and asks the owner to keep
or revoke each until a date. Guardrails are not in it, nor what answers a
request: that ends by itself. Nobody keeps what gives access to themselves;
another administrator does. With --revoke-unanswered, what has no answer when the
review is due is revoked.`,
		Example: `  vaultpam review start --owner dana --due 30d --title "autumn 2026"
  vaultpam review start --owner erin --due 2026-12-31 --targets env=prod --revoke-unanswered`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.reviewWords(cmd, &q, due); err != nil {
				return err
			}
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			r, err := n.client.StartReview(cmd.Context(), q)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(a.Stdout, r)
			}
			a.say("review %d: %s is asked about %s until %s", r.ID, client.Clean(r.Owner), countText(r.Grants), a.local(r.Due))
			a.say("what they see: vaultpam review show %d; to call it off: vaultpam review end %d", r.ID, r.ID)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&q.Owner, "owner", "", "`HANDLE` of who answers")
	f.StringVar(&due, "due", "", "until `WHEN`: 30d, 2006-01-02, 2006-01-02T15:04")
	f.BoolVar(&q.Revokes, "revoke-unanswered", false, "revoke what has no answer by then")
	f.StringVar(&q.Title, "title", "", "`WORDS` that the review is called by")
	f.StringVar(&q.Targets, "targets", "", "only grants for targets whose labels fit `SELECTOR`: env=prod,role in (db,cache)")
	f.StringVar(&q.Group, "group", "", "only grants for group `NAME`")
	f.StringVar(&q.User, "user", "", "only grants for `HANDLE`, and for groups that they belong to")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// reviewWords takes in what was typed.
func (a *app) reviewWords(cmd *cobra.Command, q *api.StartReviewRequest, due string) error {
	if q.Owner == "" || due == "" {
		return &usageError{command: cmd.CommandPath(), why: "say who answers and until when: --owner HANDLE --due 30d"}
	}
	_, err := store.ParseHandle(q.Owner)
	if err == nil && q.User != "" {
		_, err = store.ParseHandle(q.User)
	}
	if err == nil && q.Group != "" {
		_, err = store.ParseGroupName(q.Group)
	}
	if err == nil && q.Targets != "" {
		_, err = store.ParseSelector(q.Targets)
	}
	if err == nil {
		q.Due, err = a.parseDue(due)
	}
	if err != nil {
		return &usageError{command: cmd.CommandPath(), why: client.Clean(err.Error())}
	}
	return nil
}

// parseDue reads a moment, or how long from now.
func (a *app) parseDue(text string) (time.Time, error) {
	if d, err := parseDuration(text); err == nil {
		return stored(a.Now().Add(d)), nil
	}
	t, err := parseMoment(text, a.Zone)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither a time (2006-01-02, 2006-01-02T15:04) nor how long from now (30d, 12h)", text)
	}
	return stored(t), nil
}

func (a *app) reviewLsCommand() *cobra.Command {
	return listing[api.Review]{
		use: "ls", short: "list the reviews that you may see", ask: (*client.Client).Reviews, none: "there are no reviews that you may see",
		head: []string{"id", "title", "owner", "due", "state", "grants", "kept", "revoked", "unanswered", "gone"},
		row: func(_ *node, r api.Review) []string {
			return []string{
				fmt.Sprint(r.ID), r.Title, r.Owner, a.local(r.Due), reviewState(r), fmt.Sprint(r.Grants), fmt.Sprint(r.Kept), fmt.Sprint(r.Revoked),
				fmt.Sprint(r.Unanswered), fmt.Sprint(r.Gone),
			}
		},
	}.command(a)
}

func reviewState(r api.Review) string {
	switch r.State {
	case "due":
		return "was due"
	case "open":
		if r.Yours {
			return "open, yours"
		}
	}
	return r.State
}

func (a *app) reviewEndCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "end ID",
		Short: "end a review before it is due",
		Long: `end ends a review whose grants are all answered, as its owner or an administrator.
An administrator may also call one off: what has no answer then stays as it is,
and the ledger says so.`,
		Args: wantArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, id, err := a.aboutRequest(cmd, args[0])
			if err != nil {
				return err
			}
			r, err := n.client.EndReview(cmd.Context(), id)
			if err != nil {
				return err
			}
			a.say("review %d ended: %s", id, sumsText(r))
			return nil
		},
	}
}

func sumsText(r api.Review) string {
	text := fmt.Sprintf("%d kept, %d revoked", r.Kept, r.Revoked)
	if r.Unanswered > 0 {
		text += fmt.Sprintf(", %d not answered", r.Unanswered)
	}
	if r.Gone > 0 {
		text += fmt.Sprintf(", %d gone by then", r.Gone)
	}
	return text
}

func countText(n uint64) string {
	if n == 1 {
		return "1 grant"
	}
	return strconv.FormatUint(n, 10) + " grants"
}
