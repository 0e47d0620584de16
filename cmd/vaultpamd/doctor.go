package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/server"
)

func (p *program) doctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "say whether the server does what its users need",
		Long: `doctor looks at the configuration, the keys, the clock, the disk, the ports and
the certificate, beside a running server or without one. It prints one line for
each, with what to do about it, and changes nothing. The line "passkeys: ready",
or the reason why browsers will refuse them, is about what a browser sees.

It connects to the addresses of the server's own configuration and to no others.
What can't be looked at while the server does not run is said, and is no failure.

Exit codes: 0 all is well, 1 something is not.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var seen []server.Observation
			ill := 0
			err := server.Doctor(cmd.Context(), p.environment(), server.DoctorRequest{Dir: dirOf(cmd)}, func(o server.Observation) {
				seen = append(seen, o)
				if o.Verdict == server.Ill {
					ill++
				}
			})
			if err == nil {
				err = p.printObservations(seen, asJSON, ill == 0)
			}
			if err == nil && ill > 0 {
				err = fmt.Errorf("not well: %d of %d", ill, len(seen))
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (p *program) printObservations(seen []server.Observation, asJSON, well bool) error {
	if asJSON {
		enc := json.NewEncoder(p.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(map[string]any{"well": well, "checks": seen})
	}
	var failed error
	for _, o := range seen {
		_, err := fmt.Fprintln(p.stdout, o)
		failed = errors.Join(failed, err)
	}
	return failed
}
