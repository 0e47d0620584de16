package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/server"
)

func (p *program) targetCommand() *cobra.Command {
	return group("target", "what a target host needs", &cobra.Command{
		Use:   "setup NAME",
		Short: "print the script that makes a host trust VaultPAM",
		Long: `setup prints a POSIX shell script for the host NAME. Run it there as root:

    vaultpamd target setup db1 | ssh root@db1.example.eu sh

It is safe to run twice, says what it did, and with "sh -s -- --undo" in place of
"sh" takes everything out again.`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := p.setupScript(cmd.Context(), dirOf(cmd), args[0])
			if err != nil {
				return err
			}
			_, err = io.WriteString(p.stdout, text)
			return err
		},
	})
}

// setupScript asks the running server, and where none runs opens the directory.
func (p *program) setupScript(ctx context.Context, dir server.Dir, name string) (string, error) {
	var answer server.LocalScript
	err := ask(ctx, dir, server.RouteLocalSetup, name, nil, &answer)
	if !errors.Is(err, server.ErrNotServing) {
		return answer.Script, err
	}
	n, err := server.Open(ctx, p.options(dir))
	if err != nil {
		return "", err
	}
	text, err := n.SetupScript(name)
	return text, errors.Join(err, n.Close())
}
