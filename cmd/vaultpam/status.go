package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/client/agent"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

func (a *app) statusCommand() *cobra.Command {
	var asJSON, all bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "who is signed in where, and until when",
		Args:  wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.status(cmd.Context())
			if err != nil {
				return err
			}
			if all {
				if s.SignIns, err = a.signIns(cmd.Context()); err != nil {
					return err
				}
			}
			if asJSON {
				return printJSON(a.Stdout, s)
			}
			a.printStatus(s)
			if all {
				a.printSignIns(s.SignIns)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "list all sign-in sessions that you have open, on any machine")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) signIns(ctx context.Context) ([]api.OpenSignIn, error) {
	n, err := a.signedIn(ctx)
	if err != nil {
		return nil, err
	}
	return n.client.SignIns(ctx)
}

func (a *app) printSignIns(all []api.OpenSignIn) {
	fmt.Fprintln(a.Stdout)
	t := table{head: []string{"id", "machine", "from", "with", "since", "last used", "until"}}
	for _, x := range all {
		machine := client.Clean(x.Machine)
		if x.This {
			machine += " (this one)"
		}
		t.add(strconv.FormatUint(x.ID, 10), machine, client.Clean(x.Source), client.Clean(x.Kind), a.local(x.Opened), a.local(x.Used), a.local(x.Ends))
	}
	a.print(t)
	a.say("to end one: vaultpam logout --sign-in ID")
}

func jsonFlag(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "print JSON")
}

// A statusReport is what `status --json` prints.
type statusReport struct {
	Server      string    `json:"server"`
	Name        string    `json:"name"`
	Handle      string    `json:"handle"`
	Roles       []string  `json:"roles"`
	SignIn      uint64    `json:"sign_in"` // index of its entry
	Expires     time.Time `json:"expires"`
	Targets     int       `json:"targets"`
	Ledger      uint64    `json:"ledger"` // size, verified against what was seen before
	Certificate time.Time `json:"certificate,omitzero"`
	Factor      string    `json:"factor"`
	Recovery    int       `json:"recovery_left"` // recovery codes that were not used
	Home        string    `json:"home"`
	Ends        time.Time `json:"ends"` // if nothing is issued until then

	SignIns []api.OpenSignIn `json:"sign_ins,omitempty"` // with --all
}

func (a *app) status(ctx context.Context) (statusReport, error) {
	n, err := a.signedIn(ctx)
	if err != nil {
		return statusReport{}, err
	}
	at, err := n.ledger.Follow(ctx)
	if err != nil {
		return statusReport{}, err
	}
	s, err := n.client.Status(ctx)
	if err != nil {
		return statusReport{}, err
	}
	report := statusReport{
		Server: n.settings.Server, Name: n.settings.Name, Handle: s.Handle, Roles: knownRoles(s.Roles),
		SignIn: s.SignIn, Expires: s.Expires, Targets: s.Targets, Ledger: at.Size, Home: n.home.Dir(),
		Factor: client.Clean(s.Factor), Recovery: s.RecoveryLeft, Ends: s.Ends,
	}
	if id, err := agent.ReadIdentity(n.home.Dir()); err == nil {
		report.Certificate = time.Unix(int64(id.Cert.ValidBefore), 0).UTC()
	}
	return report, nil
}

// fewCodes is how many recovery codes are too few to say nothing about it.
const fewCodes = 4

// knownRoles leaves out roles of which this program knows nothing.
func knownRoles(words []string) []string {
	roles := []string{}
	for _, w := range words {
		if r, err := store.ParseRole(w); err == nil {
			roles = append(roles, string(r))
		}
	}
	return roles
}

func (a *app) printStatus(s statusReport) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(a.Stdout, "%-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("server", "%s (%s)", s.Name, s.Server)
	if s.Factor == string(store.FactorKey) {
		line("signed in", "as bot %s until %s", s.Handle, a.local(s.Expires))
	} else {
		a.printPerson(s, line)
	}
	line("targets", "%d", s.Targets)
	certificate := "none yet; ssh gets one when it needs it"
	if !s.Certificate.IsZero() {
		certificate = "until " + a.local(s.Certificate)
		if !s.Certificate.After(a.Now()) {
			certificate = "ended; ssh gets a new one when it needs it"
		}
	}
	line("certificate", "%s", certificate)
	line("ledger", "%d entries, grown out of what this machine saw before", s.Ledger)
}

// printPerson prints what a bot does not have.
func (a *app) printPerson(s statusReport, line func(name, format string, args ...any)) {
	line("signed in", "as %s until %s, or %s if nothing uses it", s.Handle, a.local(s.Expires), a.local(s.Ends))
	line("roles", "%s", strings.Join(s.Roles, ", "))
	left := fmt.Sprintf("%d of them are left", s.Recovery)
	if s.Recovery < fewCodes {
		left += "; vaultpam recovery new makes ten new ones"
	}
	line("recovery", "codes: %s", left)
}
