package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/client/agent"
)

// A certFlags says how certificates are got.
type certFlags struct {
	ensure, quiet, json, direct bool
	robot                       botFlags
}

func (a *app) certCommand() *cobra.Command {
	var flags certFlags
	cmd := &cobra.Command{
		Use:   "cert [LOGIN@TARGET]",
		Short: "get a certificate for a fresh key",
		Long: `cert makes a fresh key, gets a certificate for it, writes both to fixed files and
puts them into the ssh-agent for as long as the certificate lives.

With --ensure it does so only where less than a third of the certificate's life
is left; any number of them may run at once, and one of them renews. The
configuration that "vaultpam config ssh" writes runs it before each connection.

With --bot it signs in by the bot's key where the last sign-in is over, asks
nobody anything, and leaves keyring and ssh-agent alone. A directory that belongs
to a bot does so without --bot, too.

With --direct it gets another certificate, for a key of its own, which opens one
login of one target past the relay, where a grant is for that. It keeps the host's
keys beside those of the relay. Nothing is recorded on such a connection, and
VaultPAM can't end it. ssh LOGIN@TARGET.direct.SUFFIX gets one by itself.`,
		Example: "  vaultpam cert\n  vaultpam cert --direct root@db1",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flags.robot.check(cmd); err != nil {
				return err
			}
			if flags.direct != (len(args) == 1) {
				return &usageError{command: cmd.CommandPath(), why: "--direct and LOGIN@TARGET go together, as in vaultpam cert --direct root@db1"}
			}
			if flags.direct {
				return a.directCert(cmd.Context(), flags, args[0])
			}
			return a.cert(cmd.Context(), flags)
		},
	}
	cmd.Flags().BoolVar(&flags.ensure, "ensure", false, "only where the one that is there is about to end")
	cmd.Flags().BoolVar(&flags.quiet, "quiet", false, "say nothing but what went wrong")
	cmd.Flags().BoolVar(&flags.direct, "direct", false, "for LOGIN@TARGET past the relay")
	flags.robot.add(cmd)
	jsonFlag(cmd, &flags.json)
	return cmd
}

// keeper keeps the key and the certificate. connect is called only where a
// certificate is asked for, so that one that is good costs no network and no
// keyring.
func (a *app) keeper(home *client.Home, connect func(context.Context) (*node, error)) agent.Keeper {
	return agent.Keeper{
		Dir: home.Dir(),
		Renew: func(ctx context.Context, key ssh.PublicKey) (*ssh.Certificate, error) {
			n, err := connect(ctx)
			if err != nil {
				return nil, err
			}
			return n.client.Certificate(ctx, key)
		},
		Now:    a.Now,
		Random: a.Random,
	}
}

func (a *app) cert(ctx context.Context, flags certFlags) error {
	if flags.robot.bot {
		return a.botCert(ctx, flags)
	}
	home, err := a.home()
	if err != nil {
		return err
	}
	settings, err := home.Settings()
	if err != nil {
		return err
	}
	if settings.Bot {
		return a.botCert(ctx, flags)
	}
	id, outcome, err := a.renew(ctx, a.keeper(home, a.signedIn), flags)
	if err != nil {
		return err
	}
	if outcome == agent.Renewed {
		switch err := a.load(ctx, settings, id); {
		case errors.Is(err, agent.ErrNoAgent) && flags.quiet:
		case errors.Is(err, agent.ErrNoAgent):
			a.say("no ssh-agent is running; ssh reads the files")
		case err != nil:
			a.warn(err)
		}
	}
	return a.showCertificate(home.Dir(), id.Cert, flags)
}

// botCert gets a bot's certificate. It goes into no agent: there may be none, and
// who has one on a shared runner shares it.
func (a *app) botCert(ctx context.Context, flags certFlags) error {
	r, err := a.robot(flags.robot)
	if err != nil {
		return err
	}
	keeper := agent.Keeper{Dir: r.home.Dir(), Renew: r.certificate, Now: a.Now, Random: a.Random}
	id, _, err := a.renew(ctx, keeper, flags)
	if err != nil {
		return err
	}
	return a.showCertificate(r.home.Dir(), id.Cert, flags)
}

// renew gets a certificate: always, or where the flags say so where it is due.
func (a *app) renew(ctx context.Context, keeper agent.Keeper, flags certFlags) (agent.Identity, agent.Outcome, error) {
	get := keeper.Ensure
	if !flags.ensure {
		get = func(ctx context.Context) (agent.Identity, agent.Outcome, error) {
			id, err := keeper.Replace(ctx)
			return id, agent.Renewed, err
		}
	}
	id, outcome, err := get(ctx)
	if err != nil && id.Cert != nil {
		// What is there still opens doors; the next call tries again.
		a.warn(err)
		err = nil
	}
	return id, outcome, err
}

// agent returns the running ssh-agent.
func (a *app) agent(settings client.Settings) (*agent.Client, error) {
	return agent.NewClient(settings.Name, agent.SystemDialer(a.env("SSH_AUTH_SOCK")))
}

// load puts an identity into the ssh-agent. Its error ends no command: the
// files are enough for ssh.
func (a *app) load(ctx context.Context, settings client.Settings, id agent.Identity) error {
	agents, err := a.agent(settings)
	if err != nil {
		return err
	}
	return agents.Load(ctx, id.Key, id.Cert, a.Now())
}

// A certReport is what `cert --json` prints.
type certReport struct {
	Serial      uint64    `json:"serial"`
	Expires     time.Time `json:"expires"`
	Key         string    `json:"key"`         // file
	Certificate string    `json:"certificate"` // file
}

func (a *app) showCertificate(dir string, cert *ssh.Certificate, flags certFlags) error {
	report := certReport{
		Serial: cert.Serial, Expires: time.Unix(int64(cert.ValidBefore), 0).UTC(),
		Key:         filepath.Join(dir, agent.KeyFile),
		Certificate: filepath.Join(dir, agent.CertFile),
	}
	switch {
	case flags.json:
		return printJSON(a.Stdout, report)
	case !flags.quiet:
		a.say("certificate %d until %s in %s", report.Serial, a.local(report.Expires), report.Certificate)
	}
	return nil
}
