package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
)

// A proposalFlag is whether a command waits for another administrator where its
// change would give its own person access.
type proposalFlag struct{ wait bool }

func (f *proposalFlag) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.wait, "wait", false, "where this would give yourself access, wait until another administrator answers")
}

// answer reports whether a change ended with err: with an error, or as a proposal. It
// says of the latter that it waits, and what the other administrator has to type. A
// proposal that waits is an answer and no error, as a request is.
func (f proposalFlag) answer(ctx context.Context, a *app, n *node, err error, asJSON bool) (done bool, _ error) {
	var waits *client.WaitsError
	if !errors.As(err, &waits) {
		return err != nil, err
	}
	p := waits.Proposal
	a.say("%s", waits)
	a.say("proposal %d: %s", p.ID, client.Clean(a.requestText(p)))
	a.say("hint: another administrator types: vaultpam approve %d", p.ID)
	if f.wait {
		if p, err = a.awaitRequest(ctx, n, p); err != nil {
			return true, err
		}
	}
	if asJSON {
		return true, printJSON(a.Stdout, p)
	}
	return true, nil
}
