package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/server/api"
)

func (p *program) clockCommand() *cobra.Command {
	return group("clock", "the server's clock and the ledger's times", &cobra.Command{
		Use:   "accept",
		Short: "say that the clock is right now",
		Long: `accept says that somebody looked at this machine's clock and that it is right.

The server decides nothing while its clock is more than 2 seconds behind the
ledger's last entry, or jumped ahead of the time since the machine started. Set
the clock right first. Where it is right and the ledger was dated into the future,
or the machine was paused from outside, this is the way out. It is an entry, and the
entries after it are dated by the clock as it is now.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := p.acceptClock(cmd.Context(), dirOf(cmd)); err != nil {
				return err
			}
			_, err := fmt.Fprintln(p.stdout, "the clock is accepted; the ledger says so")
			return err
		},
	})
}

// acceptClock asks the running server, and where none runs opens the directory.
func (p *program) acceptClock(ctx context.Context, dir server.Dir) error {
	err := ask(ctx, dir, server.RouteLocalClock, "", api.Empty{}, &api.Empty{})
	if !errors.Is(err, server.ErrNotServing) {
		return err
	}
	n, err := server.Open(ctx, p.options(dir))
	if err != nil {
		return err
	}
	return errors.Join(n.AcceptClock(ctx), n.Close())
}
