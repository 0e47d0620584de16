package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
)

func (a *app) factorCommand() *cobra.Command {
	return group("factor", "what you prove your identity with: passkeys, security keys, an authenticator app",
		a.factorLsCommand(), a.factorAddCommand(), a.factorNameCommand(), a.factorRmCommand())
}

func (a *app) factorLsCommand() *cobra.Command {
	return listing[api.Factor]{
		use: "ls", short: "list your factors", ask: (*client.Client).Factors,
		head: []string{"id", "kind", "name", "added", "used", "remark"},
		row: func(_ *node, f api.Factor) []string {
			return []string{strconv.FormatUint(f.ID, 10), client.Clean(f.Kind), client.Clean(f.Name), a.local(f.Added), a.local(f.Used), remark(f)}
		},
	}.command(a)
}

// remark is what there is to say about a factor.
func remark(f api.Factor) string {
	switch {
	case f.Cloned:
		return "somebody holds a copy: not accepted"
	case f.Synced:
		return "may be on several of your machines"
	case f.Kind == "passkey":
		return "on one device"
	}
	return ""
}

func (a *app) factorAddCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "add",
		Short: "add a passkey or a security key to those that you have",
		Long: `add opens your browser, where you prove once more who you are and make another
passkey. Who has no passkey yet types a code of their authenticator app first:
vaultpam confirm --totp.`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			if err := a.touch(cmd.Context(), n, api.ConfirmRequest{Add: true}); err != nil {
				return err
			}
			a.say("the passkey is yours; your factors: vaultpam factor ls")
			return nil
		},
	}
}

func (a *app) factorNameCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "name ID NAME",
		Short: "give one of your factors a name",
		Args:  wantArgs("ID", "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.onFactor(cmd, args[0], func(ctx context.Context, c *client.Client, id uint64) error {
				if err := c.NameFactor(ctx, id, args[1]); err != nil {
					return err
				}
				a.say("factor %d is called %s", id, client.Clean(args[1]))
				return nil
			})
		},
	}
}

func (a *app) factorRmCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rm ID",
		Short: "remove one of your factors",
		Args:  wantArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.onFactor(cmd, args[0], func(ctx context.Context, c *client.Client, id uint64) error {
				if err := c.RemoveFactor(ctx, id); err != nil {
					return err
				}
				a.say("factor %d proves nothing any more", id)
				return nil
			})
		},
	}
}

func (a *app) onFactor(cmd *cobra.Command, text string, do func(context.Context, *client.Client, uint64) error) error {
	id, err := parseIndex(cmd.CommandPath(), text)
	if err != nil {
		return err
	}
	n, err := a.signedIn(cmd.Context())
	if err != nil {
		return err
	}
	return do(cmd.Context(), n.client, uint64(id))
}
