package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/server"
)

func (p *program) targetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "target", Short: "what a target host needs", Args: known,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "setup NAME",
		Short: "print the script that makes a host trust VaultPAM",
		Long: `setup prints a POSIX shell script for the host NAME. Run it there as root:

    vaultpamd target setup db1 | ssh root@db1.example.eu sh

It is safe to run twice; with --undo the script takes everything out again.`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := p.setupScript(cmd.Context(), dirOf(cmd), args[0])
			if err != nil {
				return err
			}
			_, err = io.WriteString(p.stdout, text)
			return err
		},
	})
	return cmd
}

// setupScript asks the running server, and where none runs opens the directory.
func (p *program) setupScript(ctx context.Context, dir server.Dir, name string) (string, error) {
	var answer server.LocalScript
	err := ask(ctx, dir, server.RouteLocalSetup, name, nil, &answer)
	if !errors.Is(err, errNotServing) {
		return answer.Script, err
	}
	n, err := server.Open(ctx, p.options(dir))
	if err != nil {
		return "", err
	}
	text, err := n.SetupScript(name)
	return text, errors.Join(err, n.Close())
}
