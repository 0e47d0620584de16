package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/server/api"
)

// ask calls the running server over its unix socket. Its error is
// server.ErrNotServing where none runs, and an *api.Error where it refuses.
func ask(ctx context.Context, dir server.Dir, route api.Route, name string, q, a any) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	res, err := dir.Ask(ctx, route, name, q)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(a); err != nil {
		return fmt.Errorf("asking the server: %w", err)
	}
	return nil
}

func (p *program) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "say how the running server is", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s server.LocalStatus
			if err := ask(cmd.Context(), dirOf(cmd), server.RouteLocalStatus, "", nil, &s); err != nil {
				return err
			}
			_, err := fmt.Fprintf(p.stdout, "%s serves: version %s, %d entries, %d users, %d targets, %d live sessions\n",
				s.Info.Name, s.Info.Version, s.Info.Size, s.Users, s.Targets, s.Sessions)
			return err
		},
	}
}
