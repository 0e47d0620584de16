package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/server/api"
)

func (p *program) recoverAdminCommand() *cobra.Command {
	var status, stop bool
	cmd := &cobra.Command{
		Use:   "recover-admin HANDLE",
		Short: "make somebody an administrator where none can sign in any more",
		Long: `recover-admin makes HANDLE an administrator and prints an invitation for them. It
asks the running server on this machine. Where another administrator can still sign
in, have them type "vaultpam admin user invite HANDLE" instead.

The first call begins it: an entry, and a notice to every administrator. Then there
is a pause (recover_pause in the configuration, 24 hours where nothing else is said)
in which any administrator can stop it with "vaultpam admin recovery stop". The
second call, after the pause and within 24 hours, finishes it. Where no
administrator ever enrolled there is no pause, and the first call does both.`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case status && stop:
				return usageError{errors.New("--status and --stop are two things")}
			case status || stop:
				return exactly()(cmd, args)
			}
			return exactly("HANDLE")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case status:
				return p.recoveryStatus(cmd)
			case stop:
				if err := ask(cmd.Context(), dirOf(cmd), server.RouteLocalRecoveryStop, "", nil, &api.Empty{}); err != nil {
					return err
				}
				_, err := fmt.Fprintln(p.stdout, "stopped")
				return err
			}
			return p.recoverAdmin(cmd, args[0])
		},
	}
	cmd.Flags().BoolVar(&status, "status", false, "say which recovery is under way, and who could be recovered")
	cmd.Flags().BoolVar(&stop, "stop", false, "stop the recovery that is under way")
	return cmd
}

func (p *program) recoverAdmin(cmd *cobra.Command, handle string) error {
	var r server.LocalRecovery
	if err := ask(cmd.Context(), dirOf(cmd), server.RouteLocalRecover, "", server.LocalRecover{Handle: handle}, &r); err != nil {
		return err
	}
	if r.Invitation != "" {
		_, err := fmt.Fprintf(p.stdout, "%s is an administrator, and enrols once, until %s, with\n\n    vaultpam enroll '%s'\n", r.Handle, utc(r.Expires), r.Invitation)
		return err
	}
	if _, err := fmt.Fprintf(p.stdout, "a recovery of %s has begun; type the same again to finish it, from %s to %s\n"+
		"until then every administrator can stop it: vaultpam admin recovery stop\n", r.Handle, utc(r.Ready), utc(r.Ends)); err != nil {
		return err
	}
	if !r.Told {
		fmt.Fprintln(p.stderr, "nobody is told of it but by the ledger: no notices are configured")
	}
	return nil
}

func (p *program) recoveryStatus(cmd *cobra.Command) error {
	var r server.LocalRecovery
	if err := ask(cmd.Context(), dirOf(cmd), server.RouteLocalRecovery, "", nil, &r); err != nil {
		return err
	}
	says := "no recovery is under way"
	if r.Entry != 0 {
		says = fmt.Sprintf("a recovery of %s is under way since %s (entry %d); it can be finished from %s to %s",
			r.Handle, utc(r.Begun), r.Entry, utc(r.Ready), utc(r.Ends))
	}
	_, err := fmt.Fprintln(p.stdout, says)
	for _, u := range r.People {
		enrolled := "not enrolled"
		if u.Enrolled {
			enrolled = "enrolled"
		}
		_, printing := fmt.Fprintf(p.stdout, "    %s: %s, %s\n", u.Handle, strings.Join(u.Roles, ", "), enrolled)
		err = errors.Join(err, printing)
	}
	return err
}

func utc(t time.Time) string { return t.UTC().Format(time.DateTime + " MST") }
