package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/server"
)

// findingsError says that fsck found something; its findings are printed.
type findingsError struct {
	repairable, damage int
}

func (e *findingsError) Error() string {
	if e.damage == 0 {
		return fmt.Sprintf("findings: %d; a start of the server mends all of them", e.repairable)
	}
	return fmt.Sprintf("findings: %d, of which a start of the server mends %d", e.repairable+e.damage, e.repairable)
}

func (p *program) fsckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "fsck",
		Short: "say what is wrong with the data directory, and what can be done",
		Long: `fsck looks at everything in the data directory and changes nothing: the
configuration, the keys, every entry of the ledger and every list that finds
them, the side table, the snapshot, and every recording. It prints one line for
each finding, with what can be done about it.

The server must not run. Exit codes: 0 nothing is wrong, 4 a start of the server
mends what is, 5 something else has to be done.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var found findingsError
			var failed error
			err := server.Fsck(cmd.Context(), p.environment(), dirOf(cmd), func(f server.Finding) {
				if f.Severity == server.Repairable {
					found.repairable++
				} else {
					found.damage++
				}
				_, err := fmt.Fprintln(p.stdout, f)
				failed = errors.Join(failed, err)
			})
			if err = errors.Join(err, failed); err != nil {
				return err
			}
			if found.repairable+found.damage > 0 {
				return &found
			}
			_, err = fmt.Fprintf(p.stdout, "%s: nothing is wrong\n", dirOf(cmd))
			return err
		},
	}
}
