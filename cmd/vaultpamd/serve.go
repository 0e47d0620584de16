package main

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/server"
)

func (p *program) serveCommand() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "serve until SIGTERM or SIGINT",
		Long: `serve opens the data directory, verifies the ledger and serves the HTTPS API,
the SSH relay and the local socket. On SIGTERM it ends the live sessions with a
word to their users, lets running batches finish, and exits with 0.

--check verifies everything, says so, and serves nothing.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			spare := headroom(p.getenv)
			defer runtime.KeepAlive(spare)
			processors(p.getenv)
			n, err := server.Open(cmd.Context(), p.options(dirOf(cmd)))
			if err != nil {
				return err
			}
			if check {
				err = p.printCheck(n)
			} else {
				err = n.Run(cmd.Context())
			}
			return errors.Join(err, n.Close())
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "verify configuration, keys and ledger, and exit")
	return cmd
}

func (p *program) options(dir server.Dir) server.Options {
	level := "info"
	if c, err := server.ReadConfig(dir.Config(), p.getenv); err == nil {
		level = c.Log.Level // where it can't be read, Open says why
	}
	return server.Options{Environment: p.environment(), Dir: dir, Version: version, Log: p.log(level)}
}

func (p *program) printCheck(n *server.Node) error {
	s := n.Describe()
	_, err := fmt.Fprintf(p.stdout, "%s: configuration, keys and ledger are right; %d entries, %d users, %d targets\n",
		s.Info.Name, s.Info.Size, s.Users, s.Targets)
	return err
}
