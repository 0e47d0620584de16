package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

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

// certificate asks for a certificate for the relay.
func (r *robot) certificate(ctx context.Context, key ssh.PublicKey) (*ssh.Certificate, error) {
	return r.ask(ctx, func(c *client.Client) (*ssh.Certificate, error) { return c.Certificate(ctx, key) })
}

// ask asks for a certificate in the session that is kept, and where that is over in a
// new one.
func (r *robot) ask(ctx context.Context, ask func(*client.Client) (*ssh.Certificate, error)) (*ssh.Certificate, error) {
	if n, err := r.signedIn(ctx); err == nil {
		cert, err := ask(n.client)
		if err == nil || !client.IsKind(err, api.KindUnauthenticated) {
			return cert, err
		}
	}
	n, err := r.signIn(ctx)
	if err != nil {
		return nil, err
	}
	return ask(n.client)
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
