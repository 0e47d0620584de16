package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

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
	envToken   = "VAULTPAM_BOT_TOKEN"
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
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return wantArgs("TOKEN")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			text := a.env(envToken)
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
				return &usageError{command: cmd.CommandPath(), why: "missing TOKEN, or $" + envToken}
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

// A botFlags says which bot it is, where, and by which key.
type botFlags struct {
	bot                          bool
	server, pin, handle, keyFile string
}

func (f *botFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.bot, "bot", false, "as a bot: sign in by its key, and ask nobody anything")
	cmd.Flags().StringVar(&f.server, "server", "", "with --bot: the server, `HOST[:PORT]`, where this directory knows none yet ($"+envServer+")")
	cmd.Flags().StringVar(&f.pin, "pin", "", "with --bot: the server's key, `PIN`, as in a join token behind the dot ($"+envPin+")")
	cmd.Flags().StringVar(&f.handle, "handle", "", "with --bot: the bot's `HANDLE` ($"+envBot+")")
	cmd.Flags().StringVar(&f.keyFile, "key-file", "", "with --bot: the bot's private key, a `FILE` or - for standard input (the key itself in $"+envKey+", or its file in $"+envKeyFile+")")
}

func (f *botFlags) check(cmd *cobra.Command) error {
	if !f.bot && (f.server != "" || f.pin != "" || f.handle != "" || f.keyFile != "") {
		return &usageError{command: cmd.CommandPath(), why: "--server, --pin, --handle and --key-file go with --bot"}
	}
	return nil
}

// A robot is the bot of a directory: what is known of it, and what a job says.
type robot struct {
	app   *app
	home  *client.Home
	known client.Settings // the zero Settings where nothing is
	flags botFlags
}

// robot returns the bot of this directory. One that is a person's is none.
func (a *app) robot(flags botFlags) (*robot, error) {
	home, err := a.botHome()
	if err != nil {
		return nil, err
	}
	known, err := home.Settings()
	if err != nil && !errors.Is(err, client.ErrNoServer) {
		return nil, err
	}
	flags.server = cmp.Or(flags.server, a.env(envServer))
	flags.pin = cmp.Or(flags.pin, a.env(envPin))
	flags.handle = cmp.Or(flags.handle, a.env(envBot), string(known.Handle))
	switch {
	case known.Name != "" && !known.Bot:
		return nil, refuse("use a directory of its own for the bot: vaultpam --home DIR cert --bot", "%s belongs to %s, who is a person", home.Dir(), known.Handle)
	case known.Name != "" && flags.handle != string(known.Handle):
		return nil, refuse("use a directory of its own for each: vaultpam --home DIR cert --bot", "%s belongs to the bot %s", home.Dir(), known.Handle)
	case known.Name == "" && flags.server == "", flags.handle == "":
		return nil, withHint(client.ErrNoServer, "vaultpam bot join TOKEN; or name it all: vaultpam cert --bot --server HOST --pin PIN --handle HANDLE --key-file FILE")
	}
	if _, err := store.ParseHandle(flags.handle); err != nil {
		return nil, &usageError{command: "vaultpam cert", why: client.Clean(err.Error())}
	}
	return &robot{app: a, home: home, known: known, flags: flags}, nil
}

// config is how to reach the server.
func (r *robot) config() (client.Config, error) {
	if r.flags.server == "" {
		return r.known.Config(), nil
	}
	named := loginFlags{server: r.flags.server, pin: r.flags.pin}
	config, err := named.config()
	if err == nil && config.Pin == nil && r.known.Name != "" {
		config.Pin = r.known.Pin // whoever leaves the pin out does not mean another server's
	}
	return config, err
}

// key returns the bot's key and the file that it is in, if it stays there: what is
// named here and now goes before what was named earlier.
func (r *robot) key(ctx context.Context) (ssh.Signer, string, error) {
	file := r.flags.keyFile
	switch text := r.app.env(envKey); {
	case file == "-":
		key, err := readKey(ctx, r.app.Stdin)
		return key, "", err
	case file == "" && text != "":
		key, err := client.ParseBotKey([]byte(text))
		if err != nil {
			return nil, "", fmt.Errorf("$%s: %w", envKey, err)
		}
		return key, "", nil
	}
	file = cmp.Or(file, r.app.env(envKeyFile), r.known.BotKey)
	if file == "" {
		key, err := r.ownKey()
		return key, "", err
	}
	key, path, err := readKeyFile(file)
	return key, path, err
}

// signIn signs the bot in and returns it signed in.
func (r *robot) signIn(ctx context.Context) (*node, error) {
	key, file, err := r.key(ctx)
	if err != nil {
		return nil, err
	}
	config, err := r.config()
	if err != nil {
		return nil, err
	}
	n, err := r.app.botServer(ctx, r.home, config, store.Handle(r.flags.handle))
	if err != nil {
		return nil, err
	}
	n.settings.BotKey = file
	// Before anything is proved: a ledger that forked gets nothing.
	if _, err := n.ledger.Follow(ctx); err != nil {
		return nil, err
	}
	if n.client, err = n.client.WithNewKey(); err != nil {
		return nil, err
	}
	session, err := n.client.SignInBot(ctx, n.settings.Name, n.settings.Handle, key, r.app.machine())
	if err != nil {
		return nil, err
	}
	if err := r.app.open(ctx, n, session); err != nil {
		return nil, err
	}
	return n.withSession(ctx)
}

// certificate asks for a certificate in the session that is kept, and where that is
// over in a new one.
func (r *robot) certificate(ctx context.Context, key ssh.PublicKey) (*ssh.Certificate, error) {
	if n, err := r.signedIn(ctx); err == nil {
		cert, err := n.client.Certificate(ctx, key)
		if err == nil || !client.IsKind(err, api.KindUnauthenticated) {
			return cert, err
		}
	}
	n, err := r.signIn(ctx)
	if err != nil {
		return nil, err
	}
	return n.client.Certificate(ctx, key)
}

// signedIn returns the session that is kept.
func (r *robot) signedIn(ctx context.Context) (*node, error) {
	if r.known.Name == "" {
		return nil, client.ErrNotSignedIn
	}
	c, err := r.app.connect(r.known.Config())
	if err != nil {
		return nil, err
	}
	n, err := newNode(r.home, r.known, c)
	if err != nil {
		return nil, err
	}
	return n.withSession(ctx)
}

// readKey reads a private key from standard input.
func readKey(ctx context.Context, r io.Reader) (ssh.Signer, error) {
	type result struct {
		text []byte
		err  error
	}
	done := make(chan result, 1)
	go func() { // ends with the process where nothing comes
		text, err := io.ReadAll(io.LimitReader(r, maxKey))
		done <- result{text, err}
	}()
	select {
	case read := <-done:
		if read.err != nil {
			return nil, fmt.Errorf("reading the bot's key: %w", read.err)
		}
		key, err := client.ParseBotKey(read.text)
		if err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
		return key, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
