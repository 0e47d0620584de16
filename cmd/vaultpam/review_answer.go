package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
)

// A reviewVerb is one of the two answers.
type reviewVerb struct {
	answer, done, short, long, flag, usage, example string
	chooses                                         func(x api.ReviewedGrant, since time.Time) bool
}

func (a *app) reviewKeepCommand() *cobra.Command {
	return a.reviewVerbCommand(reviewVerb{
		answer: "keep", done: "kept", short: "keep grants of a review",
		long: `keep says of grants that they are still wanted. A grant that is kept can be
revoked until the review ends.`,
		flag: "all-used-since", usage: "all that have no answer yet and were used since `WHEN`: 30d, 2006-01-02",
		example: "  vaultpam review keep 4711 12 15 --comment 'still on call'\n  vaultpam review keep 4711 --all-used-since 30d",
		chooses: func(x api.ReviewedGrant, since time.Time) bool { return x.MayKeep && x.LastUsed.After(since) },
	})
}

func (a *app) reviewRevokeCommand() *cobra.Command {
	return a.reviewVerbCommand(reviewVerb{
		answer: "revoke", done: "revoked", short: "revoke grants of a review, at once",
		long: `revoke takes grants back, and says that the review did. Sessions that stand on
them end within a second. It is final: who needs the access again gets a new
grant.`,
		flag: "all-unused-since", usage: "all that have no answer yet, were there at `WHEN` and not used since: 90d, 2006-01-02",
		example: "  vaultpam review revoke 4711 13 --comment 'has left the team'\n  vaultpam review revoke 4711 --all-unused-since 90d",
		chooses: func(x api.ReviewedGrant, since time.Time) bool {
			return x.MayRevoke && x.State == "waits" && x.Since.Before(since) && !x.LastUsed.After(since)
		},
	})
}

func (a *app) reviewVerbCommand(v reviewVerb) *cobra.Command {
	var since, comment string
	cmd := &cobra.Command{
		Use: v.answer + " ID [GRANT…]", Short: v.short, Long: v.long, Example: v.example,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := wantArgs("ID", "[GRANT…]")(cmd, args); err != nil {
				return err
			}
			if (len(args) == 1) == (since == "") {
				return &usageError{command: cmd.CommandPath(), why: fmt.Sprintf("say which grants: their numbers, or --%s WHEN", v.flag)}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			q := api.ReviewAnswerRequest{Answer: v.answer, Comment: comment}
			for _, text := range args[1:] {
				id, err := parseIndex(cmd.CommandPath(), text)
				if err != nil {
					return err
				}
				q.Grants = append(q.Grants, uint64(id))
			}
			var from time.Time
			if since != "" {
				var err error
				if from, err = parseSince(since, a.Now(), a.Zone); err != nil {
					return &usageError{command: cmd.CommandPath(), why: client.Clean(err.Error())}
				}
			}
			n, id, err := a.aboutRequest(cmd, args[0])
			if err != nil {
				return err
			}
			return a.answerReview(cmd.Context(), n, id, q, v, from)
		},
	}
	cmd.Flags().StringVar(&since, v.flag, "", v.usage)
	cmd.Flags().StringVar(&comment, "comment", "", "`WORDS` of why, for the ledger")
	return cmd
}

// answerReview gives one answer for the grants that were named, or for those that the
// verb chooses since a moment.
func (a *app) answerReview(ctx context.Context, n *node, id uint64, q api.ReviewAnswerRequest, v reviewVerb, since time.Time) error {
	if len(q.Grants) == 0 {
		r, err := n.client.Review(ctx, id)
		if err != nil {
			return err
		}
		for _, x := range r.Items {
			if v.chooses(x, since) {
				q.Grants = append(q.Grants, x.Grant.ID)
			}
		}
		if len(q.Grants) == 0 {
			a.say("there is no such grant in review %d that waits for an answer of yours", id)
			return nil
		}
	}
	r, err := n.client.AnswerReview(ctx, id, q)
	if err != nil {
		return err
	}
	a.say("%s %s of review %d", v.done, countText(uint64(len(q.Grants))), id)
	a.saySoFar(r)
	return nil
}

// saySoFar says what is left of a review, or how it ends.
func (a *app) saySoFar(r api.Review) {
	if r.State != "open" {
		return
	}
	if r.Unanswered > 0 {
		a.say("%d of %d have no answer yet; it is due at %s", r.Unanswered, r.Grants, a.local(r.Due))
		return
	}
	a.say("all are answered; until %s what is kept can still be revoked; to end it now: vaultpam review end %d", a.local(r.Due), r.ID)
}

func (a *app) reviewAnswerCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "answer ID",
		Short: "answer a review grant by grant, on the terminal",
		Long: `answer shows each grant of a review that waits for an answer of yours, and asks
for it: k keeps, r revokes, s skips, q ends the asking. What was answered is
answered, whenever you stop.`,
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
			if r.State != "open" {
				a.say("%s", client.Clean(a.reviewText(r.Review)))
				return nil
			}
			return a.askReview(cmd.Context(), n, r)
		},
	}
}

// askReview asks for each answer that waits.
func (a *app) askReview(ctx context.Context, n *node, r api.ReviewDetail) error {
	left := r.Review
	for _, x := range r.Items {
		if x.State != "waits" || !x.MayKeep && !x.MayRevoke {
			continue
		}
		answer, err := a.askAnswer(ctx, r.Review, x)
		if err != nil {
			return err
		}
		if answer == "quit" {
			break
		}
		if answer == "skip" {
			continue
		}
		// A refusal of one says nothing of the next.
		if answered, err := n.client.AnswerReview(ctx, r.ID, api.ReviewAnswerRequest{Grants: []uint64{x.Grant.ID}, Answer: answer}); err != nil {
			a.warn(err)
		} else {
			left = answered
		}
	}
	a.saySoFar(left)
	return nil
}

func (a *app) askAnswer(ctx context.Context, r api.Review, x api.ReviewedGrant) (string, error) {
	g := x.Grant
	words := []string{"[k]eep", "[r]evoke", "[s]kip", "[q]uit"}
	if !x.MayKeep {
		words = words[1:]
	}
	question := client.Clean(fmt.Sprintf("grant %d: %s on %s as %s%s%s; since %s; last used: %s",
		g.ID, subjectText(g), whereText(g), strings.Join(g.Logins, ", "), purposesText(g), a.span(g), a.date(x.Since), a.lastUsed(r, x)))
	for {
		typed, err := a.ask(ctx, question+"\n"+strings.Join(words, ", ")+"? ")
		if err != nil {
			return "", err
		}
		for _, answer := range []string{"keep", "revoke", "skip", "quit"} {
			if typed != "" && strings.HasPrefix(answer, strings.ToLower(typed)) && (answer != "keep" || x.MayKeep) {
				return answer, nil
			}
		}
	}
}
