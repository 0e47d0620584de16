package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/server/api"
)

func (p *program) settingCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "setting [NAME VALUE]",
		Short: "list or change the settings of the rules on the running server",
		Long: `setting changes a setting that the rules depend on; the change is an entry. Without
arguments it lists all settings, what they are and what they are by default.

    self-grant      whether an administrator may grant access to themselves without
                    a second person: refused or allowed
    sign-in-life    how long a sign-in session lasts: a duration from 5m to 168h
    sign-in-idle    how long one lasts that is not used for anything: the same
    device-login    who may confirm the sign-in of a machine without a browser by
                    typing the code that it shows: same-source, a browser in that
                    machine's network; any, every browser; off, nobody
    authenticators  which models may be enrolled as passkeys: any, or their AAGUIDs,
                    joined by commas. Models are believed where they prove it, for
                    which the configuration's attestation_roots names their makers
    bot-sign-in-life  how long a bot's sign-in session lasts, used or not: the same
                    as sign-in-life
    approve-with    what approvers answer requests with: passkey, which anybody can
                    verify later; totp, a code as well, for which the server's word
                    is all there is
    direct-source   which addresses direct certificates may be used from: seen, the
                    one that the server was asked from; networks, such as
                    10.0.0.0/8,192.0.2.0/24; any, which leaves a stolen key good
                    everywhere until its certificate ends

Sessions that are open keep the times that they were opened with.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return exactly("NAME", "VALUE")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return p.settings(cmd.Context(), dirOf(cmd))
			}
			q := server.LocalSetting{Setting: args[0], Value: args[1]}
			if err := ask(cmd.Context(), dirOf(cmd), server.RouteLocalSetting, "", q, &api.Empty{}); err != nil {
				return err
			}
			_, err := fmt.Fprintf(p.stdout, "%s is %s\n", args[0], args[1])
			return err
		},
	}
}

func (p *program) settings(ctx context.Context, dir server.Dir) error {
	var all []server.LocalSetting
	if err := ask(ctx, dir, server.RouteLocalSettings, "", nil, &all); err != nil {
		return err
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "setting\tvalue\tdefault")
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\n", s.Setting, s.Value, s.Default)
	}
	return w.Flush()
}
