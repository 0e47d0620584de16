package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client/sshconfig"
	"github.com/vaultpam/vaultpam/client/tui"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// pick shows the targets and runs ssh to the one that is picked.
func (a *app) pick(cmd *cobra.Command, _ []string) error {
	if !isTerminal(a.Stdin) || !isTerminal(a.Stdout) {
		return &usageError{command: "vaultpam", why: "the picker needs a terminal; name a command where there is none"}
	}
	ctx := cmd.Context()
	n, err := a.signedIn(ctx)
	if err != nil {
		return err
	}
	targets, err := n.client.Targets(ctx)
	if err != nil {
		return err
	}
	choices := choicesOf(targets)
	if len(choices) == 0 {
		return refuse("ask your administrator for a grant", "no grant lets you reach a target now")
	}
	screen := tui.NewPicker(n.settings.Name, n.settings.Suffix, a.Zone, choices)
	choice, taken, err := tui.Terminal{In: a.Stdin, Out: a.Stdout, Env: a.Env}.Pick(ctx, screen)
	if err != nil || !taken {
		return err
	}
	return a.connectTo(n, choice)
}

func choicesOf(targets []api.Target) []tui.Choice {
	var choices []tui.Choice
	for _, t := range targets {
		for _, l := range t.Logins {
			choices = append(choices, tui.Choice{Target: store.TargetName(t.Name), Login: store.Login(l), Until: t.Until})
		}
	}
	return choices
}

// connectTo runs the system's ssh in place of this program. Where the user's
// own configuration does not lead to the relay, ssh gets the one that lies in
// VaultPAM's directory, and nothing of the user's is touched.
func (a *app) connectTo(n *node, choice tui.Choice) error {
	args, err := a.sshArgs(n, choice)
	if err != nil {
		return err
	}
	a.code, err = a.Exec("ssh", args, a.Env)
	if err != nil {
		return withHint(fmt.Errorf("running ssh: %w", err), "install OpenSSH's client")
	}
	return nil
}

func (a *app) sshArgs(n *node, choice tui.Choice) ([]string, error) {
	destination := fmt.Sprintf("%s@%s.%s", choice.Login, choice.Target, n.settings.Suffix)
	config, err := a.sshConfig(n.home, n.settings)
	if err != nil {
		return nil, err
	}
	if userConfig, err := a.userConfig(""); err == nil {
		if plan, err := sshconfig.PlanInstall(config, userConfig); err == nil && plan.Empty() {
			return []string{"--", destination}, nil
		}
	}
	plan, err := sshconfig.PlanFiles(config)
	if err != nil {
		return nil, err
	}
	if err := plan.Apply(); err != nil {
		return nil, err
	}
	return []string{"-F", filepath.Join(n.home.Dir(), sshconfig.ConfigFile), "--", destination}, nil
}
