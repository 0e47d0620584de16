package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

func (a *app) requestCommand() *cobra.Command {
	var q api.MakeRequest
	var lasts, waits string
	var wait, asJSON bool
	cmd := &cobra.Command{
		Use:   "request TARGET",
		Short: "ask for access that somebody has to agree to",
		Long: `request asks for what a grant with conditions lets you ask for: one login of one
target, for a while. The clock starts when the last of those whose approval it
takes has agreed. --wait waits for that; a request that nobody answers runs out.`,
		Example: `  vaultpam request db1 --login root --for 1h --reason "the disk is full" --ticket INC-4711
  vaultpam request db1 --login root --for 30m --reason "rotating keys" --wait`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := wantArgs("TARGET")(cmd, args); err != nil {
				return err
			}
			if q.Login == "" || lasts == "" {
				return &usageError{command: cmd.CommandPath(), why: "say as whom and for how long: --login LOGIN --for 1h"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := askFor(cmd, &q, args[0], lasts, waits); err != nil {
				return err
			}
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			r, err := n.client.MakeRequest(cmd.Context(), q)
			if err != nil {
				return err
			}
			if !asJSON || wait {
				a.say("request %d: %s", r.ID, client.Clean(a.requestText(r)))
			}
			if wait {
				if r, err = a.awaitRequest(cmd.Context(), n, r); err != nil {
					return err
				}
			}
			if asJSON {
				return printJSON(a.Stdout, r)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&q.Login, "login", "", "`LOGIN` on the target")
	f.StringVar(&lasts, "for", "", "how long it is wanted, from the approval on: `TIME` as 30m or 1h")
	f.StringVar(&q.Reason, "reason", "", "`WORDS` of why, for whoever approves it and for the ledger")
	f.StringVar(&q.Ticket, "ticket", "", "the `TICKET` that this belongs to")
	f.StringVar(&q.For, "purposes", "", "`PURPOSES` of those that the grant is for, as \"shell; sftp=read-only\" (default all of them)")
	f.StringVar(&waits, "expires", "", "how long it waits for its answer: `TIME` (default 8h)")
	f.BoolVar(&wait, "wait", false, "wait until it is answered or runs out")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// askFor fills in what is asked for from what was typed.
func askFor(cmd *cobra.Command, q *api.MakeRequest, target, lasts, waits string) error {
	bad := func(err error) error {
		return &usageError{command: cmd.CommandPath(), why: client.Clean(err.Error())}
	}
	if _, err := store.ParseTargetName(target); err != nil {
		return bad(err)
	}
	if _, err := store.ParseLogin(q.Login); err != nil {
		return bad(err)
	}
	d, err := parseDuration(lasts)
	if err != nil {
		return bad(err)
	}
	q.Target, q.Lasts = target, uint64(d/time.Second)
	if waits == "" {
		return nil
	}
	if d, err = parseDuration(waits); err != nil {
		return bad(err)
	}
	if q.Waits = uint64(d / time.Second); q.Waits == 0 {
		return bad(errors.New("--expires: want a minute at least"))
	}
	return nil
}

func lastsText(r api.AccessRequest) string { return store.Length(time.Duration(r.Lasts) * time.Second) }

// requestText is what became of a request until now.
func (a *app) requestText(r api.AccessRequest) string {
	what := fmt.Sprintf("%s on %s for %s", r.Login, r.Target, lastsText(r))
	if r.Change != "" {
		what = r.Change
	}
	switch {
	case r.State == "approved" && r.Change != "":
		return what + ": approved and done"
	case r.State == "waits" && r.Change != "":
		return fmt.Sprintf("%s: waits for another administrator until %s", what, a.local(r.Expires))
	}
	switch r.State {
	case "approved":
		return fmt.Sprintf("%s is approved until %s", what, a.local(r.Until))
	case "waits":
		return fmt.Sprintf("%s waits for %d of %d approvals until %s", what, r.Want-min(r.Have, r.Want), r.Want, a.local(r.Expires))
	}
	if r.Comment != "" {
		return fmt.Sprintf("%s: %s (%s)", what, r.State, r.Comment)
	}
	return what + ": " + r.State
}

var errNotApproved = errors.New("the request was not approved")

// requestName is what a request, or a proposal, is called.
func requestName(r api.AccessRequest) string {
	if r.Change != "" {
		return fmt.Sprintf("proposal %d", r.ID)
	}
	return fmt.Sprintf("request %d", r.ID)
}

// awaitRequest waits until a request is answered.
func (a *app) awaitRequest(ctx context.Context, n *node, r api.AccessRequest) (api.AccessRequest, error) {
	for r.State == "waits" {
		begun := a.Now()
		next, err := n.client.AwaitRequest(ctx, r.ID)
		if err != nil {
			return r, err
		}
		if r = next; r.State != "waits" {
			break
		}
		if err := a.pace(ctx, begun); err != nil {
			return r, err
		}
	}
	if r.State != "approved" {
		return r, withHint(fmt.Errorf("%w: %s", errNotApproved, a.requestText(r)), "vaultpam requests")
	}
	a.say("%s: %s", requestName(r), client.Clean(a.requestText(r)))
	return r, nil
}

func (a *app) withdrawCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "withdraw ID",
		Short: "take a request or proposal back",
		Args:  wantArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, id, err := a.aboutRequest(cmd, args[0])
			if err != nil {
				return err
			}
			if err := n.client.WithdrawRequest(cmd.Context(), id); err != nil {
				return err
			}
			a.say("withdrew request %d", id)
			return nil
		},
	}
}

func (a *app) aboutRequest(cmd *cobra.Command, text string) (*node, uint64, error) {
	id, err := parseIndex(cmd.CommandPath(), text)
	if err != nil {
		return nil, 0, err
	}
	n, err := a.signedIn(cmd.Context())
	return n, uint64(id), err
}

func (a *app) requestsCommand() *cobra.Command {
	return listing[api.AccessRequest]{
		use: "requests", short: "list your requests and proposals, and those that you may answer", ask: (*client.Client).Requests,
		head: []string{"id", "who", "what", "for", "lasts", "why", "state", "until", "answer"},
		row: func(_ *node, r api.AccessRequest) []string {
			state, until, answer := r.State, r.Expires, ""
			switch {
			case r.State == "waits":
				state = fmt.Sprintf("waits, %d of %d", r.Have, r.Want)
			case r.State == "approved":
				until = r.Until
			}
			if r.Yours {
				answer = fmt.Sprintf("vaultpam approve %d", r.ID)
			}
			if r.Change != "" {
				return []string{fmt.Sprint(r.ID), r.User, r.Change, "", "", "", state, a.local(until), answer}
			}
			return []string{
				fmt.Sprint(r.ID), r.User, r.Login + "@" + r.Target, r.For, lastsText(r),
				strings.TrimSpace(r.Ticket + " " + r.Reason), state, a.local(until), answer,
			}
		},
		none: "there are no requests that you made or may answer",
	}.command(a)
}

func (a *app) approveCommand() *cobra.Command {
	var comment string
	var totp bool
	var code codeFlag
	cmd := &cobra.Command{
		Use:   "approve ID",
		Short: "agree to somebody's request or proposal, by a touch of your passkey",
		Long: `approve opens your browser on a page that shows who asks for what, why and for how
long. Your passkey signs exactly that request, so that anybody can verify later
that you agreed to it. What an administrator proposed, because it would give them
access, is approved in the same way by another administrator. --totp takes a code of your authenticator app instead,
where your company allows approvals that nobody can verify.`,
		Args: wantArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, id, err := a.aboutRequest(cmd, args[0])
			if err != nil {
				return err
			}
			if totp || code.stdin {
				err = code.untilAccepted(cmd.Context(), a, "code that your authenticator shows now: ", func(typed string) error {
					return n.client.ApproveWithCode(cmd.Context(), id, comment, typed, n.home.Device(n.settings.Handle))
				})
			} else {
				err = a.touchToApprove(cmd.Context(), n, id, comment)
			}
			if err != nil {
				return err
			}
			r, err := n.client.Request(cmd.Context(), id)
			if err != nil {
				return err
			}
			a.say("%s of %s: %s", requestName(r), client.Clean(r.User), client.Clean(a.requestText(r)))
			return nil
		},
	}
	cmd.Flags().StringVar(&comment, "comment", "", "`WORDS` for the requester and for the ledger")
	cmd.Flags().BoolVar(&totp, "totp", false, "type a code of your authenticator app instead")
	code.add(cmd)
	return cmd
}

func (a *app) touchToApprove(ctx context.Context, n *node, id uint64, comment string) error {
	page, err := n.client.Approve(ctx, id, comment)
	if err != nil {
		return err
	}
	return a.awaitPage(ctx, n, page, fmt.Sprintf("vaultpam approve %d", id))
}

func (a *app) denyCommand() *cobra.Command {
	var comment string
	cmd := &cobra.Command{
		Use:   "deny ID --comment WORDS",
		Short: "turn somebody's request or proposal down",
		Args: func(cmd *cobra.Command, args []string) error {
			if err := wantArgs("ID")(cmd, args); err != nil {
				return err
			}
			if comment == "" {
				return &usageError{command: cmd.CommandPath(), why: `say why: --comment "…"`}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			n, id, err := a.aboutRequest(cmd, args[0])
			if err != nil {
				return err
			}
			if err := n.client.Deny(cmd.Context(), id, comment); err != nil {
				return err
			}
			a.say("denied request %d", id)
			return nil
		},
	}
	cmd.Flags().StringVar(&comment, "comment", "", "`WORDS` for the requester and for the ledger")
	return cmd
}
