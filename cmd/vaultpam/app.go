package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
)

// callTimeout bounds one call of the server.
const callTimeout = 30 * time.Second

// An app is one run of the program.
type app struct {
	*Main
	homeDir string // --home
	code    int    // exit code where there was no error
	clients []*client.Client
}

// root returns the tree of commands.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "vaultpam",
		Short: "reach your servers through VaultPAM",
		Long: `vaultpam signs in to a VaultPAM server, keeps a certificate where ssh finds it,
and asks the ledger who could do what, when.

Without a command, on a terminal, it shows the targets you may reach and
connects to the one you pick.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE:          a.pick,
	}
	root.PersistentFlags().StringVar(&a.homeDir, "home", "", "`DIR`, where files are kept (default $VAULTPAM_HOME, or vaultpam in your configuration directory)")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{command: cmd.CommandPath(), why: lowerFirst(err.Error())}
	})
	root.AddCommand(
		a.enrollCommand(), a.loginCommand(), a.logoutCommand(), a.statusCommand(), a.confirmCommand(), a.factorCommand(), a.recoveryCommand(),
		a.certCommand(), a.botCommand(), a.configCommand(), a.proxyCommand(), a.targetsCommand(), a.explainCommand(),
		a.requestCommand(), a.requestsCommand(), a.approveCommand(), a.denyCommand(), a.withdrawCommand(),
		a.reviewCommand(), a.auditCommand(), a.playCommand(), a.adminCommand(), a.lockCommand(), a.unlockCommand(), a.versionCommand(),
		exitCodesTopic(),
	)
	root.SetHelpCommand(helpCommand())
	root.CompletionOptions.HiddenDefaultCmd = true // it is there; docs/commands.md says how
	return root
}

// helpCommand is cobra's, but for a topic that does not exist: that is an error.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "help about a command or a topic",
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return &usageError{command: "vaultpam", why: fmt.Sprintf("no help about %q", strings.Join(args, " "))}
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}

// group returns a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs, RunE: func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return &usageError{command: cmd.CommandPath(), why: fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())}
		}
		return &usageError{command: cmd.CommandPath(), why: "which one? " + strings.Join(names(commands), ", ")}
	}}
	g.AddCommand(commands...)
	return g
}

func names(commands []*cobra.Command) []string {
	var all []string
	for _, c := range commands {
		all = append(all, c.Name())
	}
	return all
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasSubCommands() {
		return &usageError{command: cmd.CommandPath(), why: fmt.Sprintf("unknown command %q", args[0])}
	}
	return &usageError{command: cmd.CommandPath(), why: fmt.Sprintf("%q is one word too many", args[0])}
}

// wantArgs asks for the named arguments: [WORD] may be left out, and of WORD…,
// which is the last, there may be several.
func wantArgs(words ...string) cobra.PositionalArgs {
	needed := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return strings.HasPrefix(w, "[") })
	several := len(words) > 0 && strings.Contains(words[len(words)-1], "…")
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(needed):
			return &usageError{command: cmd.CommandPath(), why: "missing " + strings.Join(needed[len(args):], " ")}
		case len(args) > len(words) && !several:
			return &usageError{command: cmd.CommandPath(), why: fmt.Sprintf("%q is one word too many", args[len(words)])}
		}
		return nil
	}
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// env returns a variable of the environment; of several with one name the last
// counts, as in os/exec.
func (a *app) env(name string) string {
	for i := len(a.Env) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(a.Env[i], name+"="); ok {
			return value
		}
	}
	return ""
}

// home opens the directory with what this machine knows.
func (a *app) home() (*client.Home, error) {
	dir, err := a.dir()
	if err != nil {
		return nil, err
	}
	if a.env("VAULTPAM_KEYRING") == "off" {
		return client.OpenHome(dir, nil)
	}
	return client.OpenHome(dir, client.SystemKeyring{})
}

// connect returns a client for a server. Run closes it.
func (a *app) connect(config client.Config) (*client.Client, error) {
	config.Timeout, config.Now = callTimeout, a.Now
	c, err := client.New(config)
	if err == nil {
		a.clients = append(a.clients, c)
	}
	return c, err
}

func (a *app) close() {
	for _, c := range a.clients {
		c.Close()
	}
}

// A node is the server that this machine knows, and what it keeps of it.
type node struct {
	home     *client.Home
	settings client.Settings
	client   *client.Client
	ledger   *client.Ledger
}

// known returns the server that this machine knows, without signing in.
func (a *app) known() (*node, error) {
	home, err := a.home()
	if err != nil {
		return nil, err
	}
	settings, err := home.Settings()
	if err != nil {
		return nil, err
	}
	c, err := a.connect(settings.Config())
	if err != nil {
		return nil, err
	}
	return newNode(home, settings, c)
}

func newNode(home *client.Home, settings client.Settings, c *client.Client) (*node, error) {
	ledger, err := client.NewLedger(c, home, settings)
	if err != nil {
		return nil, err
	}
	return &node{home: home, settings: settings, client: c, ledger: ledger}, nil
}

// signedIn returns the server that this machine knows, as the user who is
// signed in.
func (a *app) signedIn(ctx context.Context) (*node, error) {
	n, err := a.known()
	if err != nil {
		return nil, err
	}
	return n.withSession(ctx)
}

func (n *node) withSession(ctx context.Context) (*node, error) {
	session, err := n.home.Session(ctx)
	if err != nil {
		return nil, err
	}
	c, err := n.client.WithSession(session)
	if err != nil {
		return nil, err
	}
	return newNode(n.home, n.settings, c)
}

// say tells the user something that is not data.
func (a *app) say(format string, args ...any) {
	fmt.Fprintf(a.Stderr, format+"\n", args...)
}

// warn tells of something that went wrong, and what to do about it. Whether it
// ends the command is the caller's to say.
func (a *app) warn(err error) {
	a.say("vaultpam: %s", client.Clean(err.Error()))
	if hint := hintFor(err); hint != "" {
		a.say("hint: %s", client.Clean(hint))
	}
	var refused *api.Error
	if errors.As(err, &refused) && refused.Kind == api.KindLimited && refused.RetryAfter > 0 && refused.Hint != "" {
		a.say("hint: the next attempt is possible at %s", a.local(a.Now().Add(time.Duration(refused.RetryAfter)*time.Second)))
	}
}
