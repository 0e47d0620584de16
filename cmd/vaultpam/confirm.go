package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/server/api"
)

func (a *app) confirmCommand() *cobra.Command {
	var totp bool
	var code codeFlag
	cmd := &cobra.Command{
		Use:   "confirm",
		Short: "prove that it is still you, for what asks for it",
		Long: `confirm opens your browser for a touch of your passkey, which counts for a few
minutes. Grants may ask for one, and so do changes of your own factors. With
--totp it asks for a code of your authenticator app, which is enough for your
factors and not for a grant that wants a touch.`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			if totp || code.stdin {
				err = code.untilAccepted(cmd.Context(), a, "code that your authenticator shows now: ", func(typed string) error {
					return n.client.ConfirmWithCode(cmd.Context(), typed, n.home.Device(n.settings.Handle))
				})
			} else {
				err = a.touch(cmd.Context(), n, api.ConfirmRequest{})
			}
			if err != nil {
				return err
			}
			a.say("confirmed")
			return nil
		},
	}
	cmd.Flags().BoolVar(&totp, "totp", false, "type a code of your authenticator app instead")
	code.add(cmd)
	return cmd
}

// touch leads the person to a page where they touch their passkey, if what it is
// for asks for it, and waits until they have.
func (a *app) touch(ctx context.Context, n *node, q api.ConfirmRequest) error {
	page, err := n.client.Confirm(ctx, q)
	if err != nil || !page.Needed {
		return err
	}
	return a.awaitPage(ctx, n, page, "vaultpam confirm")
}

// awaitPage leads the person to a page and waits until they have done what it asks;
// again is what to type where they have not.
func (a *app) awaitPage(ctx context.Context, n *node, page api.ConfirmResponse, again string) error {
	a.show(ctx, page.URL)
	for a.Now().Before(page.Expires) {
		begun := a.Now()
		done, err := n.client.AwaitConfirm(ctx, page.ID)
		if done || err != nil {
			return err
		}
		if err := a.pace(ctx, begun); err != nil {
			return err
		}
	}
	return withHint(errNobodyConfirmed, "%s", again)
}
