package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/client/sshconfig"
)

// A configFlags says what becomes of the ssh configuration.
type configFlags struct {
	yes, remove, print bool
	file               string
}

func (a *app) configCommand() *cobra.Command {
	var flags configFlags
	cmd := &cobra.Command{
		Use:   "ssh",
		Short: "make ssh, scp, rsync, git and Ansible reach your targets as they are",
		Long: `config ssh writes an ssh configuration and a known_hosts file of its own, and one
Include line at the top of yours. It shows what it would change and asks before
it does. Run again it changes nothing.`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.configSSH(cmd.Context(), flags) },
	}
	cmd.Flags().BoolVar(&flags.yes, "yes", false, "make the changes without asking")
	cmd.Flags().BoolVar(&flags.remove, "remove", false, "take everything back")
	cmd.Flags().BoolVar(&flags.print, "print", false, "print the configuration and change nothing")
	cmd.Flags().StringVar(&flags.file, "file", "", "your ssh configuration `FILE` (default ~/.ssh/config)")
	return group("config", "set other programs up", cmd)
}

func (a *app) configSSH(ctx context.Context, flags configFlags) error {
	home, err := a.home()
	if err != nil {
		return err
	}
	userConfig, err := a.userConfig(flags.file)
	if err != nil {
		return err
	}
	if flags.remove {
		plan, err := sshconfig.PlanRemove(home.Dir(), userConfig)
		if err != nil {
			return err
		}
		return a.apply(ctx, plan, flags)
	}
	settings, err := home.Settings()
	if err != nil {
		return err
	}
	config, err := a.sshConfig(home, settings)
	if err != nil {
		return err
	}
	if flags.print {
		text, err := config.SSHConfig()
		if err != nil {
			return err
		}
		_, err = a.Stdout.Write(text)
		return err
	}
	plan, err := sshconfig.PlanInstall(config, userConfig)
	if err != nil {
		return err
	}
	return a.apply(ctx, plan, flags)
}

// apply shows a plan, asks, and does it.
func (a *app) apply(ctx context.Context, plan sshconfig.Plan, flags configFlags) error {
	if plan.Empty() {
		a.say("nothing to change")
		return nil
	}
	fmt.Fprint(a.Stderr, plan.Diff())
	if !flags.yes {
		ok, err := a.confirm(ctx, "make these changes?")
		if errors.Is(err, errNoTerminal) {
			return withHint(err, "in a script: vaultpam config ssh --yes")
		}
		if err != nil {
			return err
		}
		if !ok {
			return refuse("", "nothing was changed")
		}
	}
	if err := plan.Apply(); err != nil {
		return err
	}
	if flags.remove {
		a.say("everything was taken back")
		return nil
	}
	a.say("ssh reaches your targets from now on; next: vaultpam targets")
	return nil
}

func (a *app) userConfig(file string) (string, error) {
	if file != "" {
		return filepath.Abs(file)
	}
	dir, err := a.sshDir()
	if err != nil {
		return "", withHint(err, "name your ssh configuration with --file")
	}
	return filepath.Join(dir, "config"), nil
}

// sshDir is where the user's ssh keeps its files.
func (a *app) sshDir() (string, error) {
	home := a.env("HOME")
	if home == "" {
		home = a.env("USERPROFILE")
	}
	if !filepath.IsAbs(home) {
		return "", errors.New("HOME does not say where your files are")
	}
	return filepath.Join(home, ".ssh"), nil
}

// sshConfig returns what the written configuration says.
func (a *app) sshConfig(home *client.Home, settings client.Settings) (sshconfig.Config, error) {
	program, err := a.Executable()
	if err != nil {
		return sshconfig.Config{}, fmt.Errorf("looking for this program: %w", err)
	}
	host, digits, err := net.SplitHostPort(settings.Relay)
	if err != nil {
		return sshconfig.Config{}, fmt.Errorf("relay's address: %w", err)
	}
	port, err := strconv.Atoi(digits)
	if err != nil {
		return sshconfig.Config{}, fmt.Errorf("relay's port: %w", err)
	}
	ca, err := sshconfig.ParseHostCA(settings.HostCA)
	if err != nil {
		return sshconfig.Config{}, err
	}
	config := sshconfig.Config{
		Dir: home.Dir(), Program: program, Suffix: settings.Suffix,
		RelayHost: strings.ToLower(host), RelayPort: port, HostCAs: []ssh.PublicKey{ca},
	}
	direct, err := home.DirectHosts()
	for _, d := range direct {
		config.Pinned = append(config.Pinned, sshconfig.PinnedHost{Name: d.Target, Keys: d.HostKeys})
	}
	return config, err
}
