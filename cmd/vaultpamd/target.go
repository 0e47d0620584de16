package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/store"
)

func (p *program) targetCommand() *cobra.Command {
	var ansible bool
	cmd := &cobra.Command{
		Use:   "setup [NAME]",
		Short: "print the script, or the playbook, that makes hosts trust VaultPAM",
		Long: `setup prints a POSIX shell script for the host NAME. Run it there as root:

    vaultpamd target setup db1 | ssh root@db1.example.eu sh

It is safe to run twice, says what it did, and with "sh -s -- --undo" in place of
"sh" takes everything out again.

With --ansible it prints an Ansible playbook that does the same: for the host
NAME, or without a name for every host of an inventory, each under its own name or
what its variable vaultpam_target says:

    vaultpamd target setup --ansible >setup.yml
    ansible-playbook -i hosts.ini setup.yml --check --diff`,
		Args: func(cmd *cobra.Command, args []string) error {
			if ansible && len(args) == 0 {
				return nil
			}
			return exactly("NAME")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var text string
			var err error
			switch {
			case !ansible:
				text, err = p.setupScript(cmd.Context(), dirOf(cmd), args[0])
			case len(args) == 0:
				text, err = p.setupPlaybook(cmd.Context(), dirOf(cmd), "")
			default: // an empty name is none, and not an inventory's
				if _, err = store.ParseTargetName(args[0]); err == nil {
					text, err = p.setupPlaybook(cmd.Context(), dirOf(cmd), args[0])
				}
			}
			if err != nil {
				return err
			}
			_, err = io.WriteString(p.stdout, text)
			return err
		},
	}
	cmd.Flags().BoolVar(&ansible, "ansible", false, "print a playbook, for NAME or for a whole inventory")
	return group("target", "what a target host needs", cmd)
}

// setupScript asks the running server, and where none runs opens the directory.
func (p *program) setupScript(ctx context.Context, dir server.Dir, name string) (string, error) {
	var answer server.LocalScript
	err := ask(ctx, dir, server.RouteLocalSetup, name, nil, &answer)
	if !errors.Is(err, server.ErrNotServing) {
		return answer.Script, err
	}
	return p.opened(ctx, dir, func(n *server.Node) (string, error) { return n.SetupScript(name) })
}

// setupPlaybook does the same for a playbook; an empty name is an inventory's.
func (p *program) setupPlaybook(ctx context.Context, dir server.Dir, name string) (string, error) {
	var answer server.LocalScript
	err := ask(ctx, dir, server.RouteLocalPlaybook, "", server.LocalPlaybook{Target: name}, &answer)
	if !errors.Is(err, server.ErrNotServing) {
		return answer.Script, err
	}
	return p.opened(ctx, dir, func(n *server.Node) (string, error) { return n.SetupPlaybook(name) })
}

func (p *program) opened(ctx context.Context, dir server.Dir, text func(*server.Node) (string, error)) (string, error) {
	n, err := server.Open(ctx, p.options(dir))
	if err != nil {
		return "", err
	}
	said, err := text(n)
	return said, errors.Join(err, n.Close())
}
