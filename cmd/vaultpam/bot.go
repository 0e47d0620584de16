package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/client/agent"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// The variables by which a job says which bot it is. A flag goes before each.
const (
	envServer  = "VAULTPAM_SERVER"
	envPin     = "VAULTPAM_PIN"
	envBot     = "VAULTPAM_BOT"
	envKey     = "VAULTPAM_BOT_KEY"
	envKeyFile = "VAULTPAM_BOT_KEY_FILE"
	envJoin    = "VAULTPAM_BOT_TOKEN"
)

func (a *app) botCommand() *cobra.Command {
	return group("bot", "make this machine's account a bot's: a CI job, an Ansible controller", a.botJoinCommand())
}

func (a *app) botJoinCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "join [TOKEN]",
		Short: "use a join token: make a key, and let it sign in as the bot",
		Long: `bot join uses the token that "vaultpam admin bot" printed, once. It makes a key that
never leaves this machine, tells the server its public half, and remembers the
server. From then on "vaultpam cert --bot" gets certificates, and nobody is asked
anything.

TOKEN may stand in $VAULTPAM_BOT_TOKEN instead, or be - for standard input, so that
no other program of the machine can read it off the command line.`,
		Args: wantArgs("[TOKEN]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			text := a.env(envJoin)
			if len(args) == 1 {
				text = args[0]
			}
			if text == "-" {
				line, err := readLine(cmd.Context(), a.Stdin)
				if err != nil {
					return err
				}
				text = line
			}
			if text == "" {
				return &usageError{command: cmd.CommandPath(), why: "missing TOKEN, or $" + envJoin}
			}
			link, err := api.ParseJoinLink(text)
			if err != nil {
				return &usageError{command: cmd.CommandPath(), why: err.Error()}
			}
			return a.botJoin(cmd.Context(), link)
		},
	}
}

// botHome opens the directory of a bot. It asks no keyring: there is nobody to
// unlock one, and a machine without a desktop has one that hangs.
func (a *app) botHome() (*client.Home, error) {
	dir, err := a.dir()
	if err != nil {
		return nil, err
	}
	return client.OpenHome(dir, nil)
}

func (a *app) botJoin(ctx context.Context, link api.JoinLink) error {
	home, err := a.botHome()
	if err != nil {
		return err
	}
	n, err := a.botServer(ctx, home, client.Config{Server: link.Host, Pin: link.Pin}, "")
	if err != nil {
		return err
	}
	// Before the token is used up: a ledger that forked gets nothing, and a key that
	// can't be kept joins nothing.
	if _, err := n.ledger.Follow(ctx); err != nil {
		return err
	}
	key, err := home.BotKey(a.Random)
	if err != nil {
		return err
	}
	handle, err := n.client.JoinBot(ctx, link.Token, n.settings.Name, key, a.machine())
	if err != nil {
		return err
	}
	n.settings.Handle = handle
	if err := home.SaveSettings(n.settings); err != nil {
		return withHint(err, "the key has joined, and this directory does not know it yet: vaultpam cert --bot --server %s --handle %s --key-file %s",
			n.settings.Server, handle, shellQuote(home.BotKeyFile()))
	}
	// What an earlier bot or key left here would be believed until it ends.
	if err := errors.Join(home.ForgetSession(ctx), agent.RemoveIdentity(home.Dir())); err != nil {
		return err
	}
	a.say("joined %s as bot %s with the key %s", n.settings.Name, handle, ssh.FingerprintSHA256(key.PublicKey()))
	a.say("next: vaultpam cert --bot")
	return nil
}

// botServer returns a server that this directory may come to know for a bot, with
// what it says of itself now.
func (a *app) botServer(ctx context.Context, home *client.Home, config client.Config, handle store.Handle) (*node, error) {
	c, err := a.connect(config)
	if err != nil {
		return nil, err
	}
	info, err := c.Info(ctx)
	if err != nil {
		return nil, err
	}
	settings, err := client.NewSettings(c.Server(), config.Pin, handle, info)
	if err != nil {
		return nil, err
	}
	settings.Bot = true
	if err := a.mayReplace(home, settings); err != nil {
		return nil, err
	}
	return newNode(home, settings, c)
}
