package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/client/agent"
	"github.com/vaultpam/vaultpam/client/sshconfig"
	"github.com/vaultpam/vaultpam/store"
)

// A place is a login of a target that is reached past the relay.
type place struct {
	login  store.Login
	target store.TargetName
}

// parsePlace reads LOGIN@TARGET, or what ssh makes of it: LOGIN@TARGET.direct.SUFFIX.
func parsePlace(text, suffix string) (place, error) {
	bad := func(why string) (place, error) {
		return place{}, &usageError{command: "vaultpam cert", why: client.Clean(why)}
	}
	login, host, ok := cutLast(text)
	if !ok {
		return bad("--direct: want LOGIN@TARGET, as root@db1")
	}
	name, err := client.ParseHost(host, suffix)
	if target, direct := client.Direct(name); err == nil && direct {
		name = target
	} else if name, err = store.ParseTargetName(strings.ToLower(host)); err != nil {
		return bad(err.Error())
	}
	parsed, err := store.ParseLogin(login)
	if err != nil {
		return bad(err.Error())
	}
	return place{parsed, name}, nil
}

// directCert gets a certificate for a key of its own that opens a login of a target
// past the relay, and writes down where the target is. Neither goes into the agent,
// where a program could use it whatever it connects to.
func (a *app) directCert(ctx context.Context, flags certFlags, text string) error {
	home, settings, ask, err := a.asker(flags)
	if err != nil {
		return err
	}
	p, err := parsePlace(text, settings.Suffix)
	if err != nil {
		return err
	}
	dir := home.DirectIdentity(p.target, p.login, settings.Suffix)
	// Where files' names know no upper case, two logins may share a directory.
	if id, err := agent.ReadIdentity(dir); err == nil && (len(id.Cert.ValidPrincipals) != 1 || id.Cert.ValidPrincipals[0] != string(p.login)+"@"+string(p.target)) {
		if err := agent.RemoveIdentity(dir); err != nil {
			return err
		}
	}
	keeper := agent.Keeper{Dir: dir, Now: a.Now, Random: a.Random, Renew: func(ctx context.Context, key ssh.PublicKey) (*ssh.Certificate, error) {
		return ask(ctx, func(c *client.Client) (*ssh.Certificate, error) {
			cert, host, err := c.DirectCertificate(ctx, key, p.target, p.login)
			if err != nil {
				return nil, err
			}
			return cert, a.pin(ctx, home, settings, host)
		})
	}}
	id, _, err := a.renew(ctx, keeper, flags)
	if err != nil {
		return err
	}
	if err := a.showCertificate(dir, id.Cert, flags); err != nil || flags.json || flags.quiet {
		return err
	}
	a.say("it opens %s on %s past the relay: nothing is recorded there, and VaultPAM can't end a connection that is open", p.login, p.target)
	next := ""
	if _, err := os.Stat(filepath.Join(home.Dir(), sshconfig.ConfigFile)); errors.Is(err, os.ErrNotExist) {
		next = "vaultpam config ssh, then: "
	}
	a.say("next: %sssh %s@%s", next, p.login, client.DirectName(p.target, settings.Suffix))
	return nil
}

// An asker lets something be asked of the server in the session of whoever this
// directory belongs to.
type asker func(ctx context.Context, ask func(*client.Client) (*ssh.Certificate, error)) (*ssh.Certificate, error)

// asker returns the directory, what it knows, and how to ask: as the person who is
// signed in, or as the bot.
func (a *app) asker(flags certFlags) (*client.Home, client.Settings, asker, error) {
	home, err := a.home()
	if err != nil {
		return nil, client.Settings{}, nil, err
	}
	settings, err := home.Settings()
	if errors.Is(err, client.ErrNoServer) && flags.robot.bot {
		return nil, client.Settings{}, nil, withHint(err, "vaultpam cert --bot, then the same again")
	}
	if err != nil {
		return nil, client.Settings{}, nil, err
	}
	if flags.robot.bot || settings.Bot {
		r, err := a.robot(flags.robot)
		if err != nil {
			return nil, client.Settings{}, nil, err
		}
		return r.home, settings, r.ask, nil
	}
	return home, settings, func(ctx context.Context, ask func(*client.Client) (*ssh.Certificate, error)) (*ssh.Certificate, error) {
		n, err := a.signedIn(ctx)
		if err != nil {
			return nil, err
		}
		return ask(n.client)
	}, nil
}

// pin keeps where a target is and makes ssh believe its keys, and no others. Any
// number of processes may do so at once.
func (a *app) pin(ctx context.Context, home *client.Home, settings client.Settings, host client.DirectHost) error {
	unlock, err := agent.Lock(ctx, home.DirectLock())
	if err != nil {
		return err
	}
	defer unlock()
	if err := home.SaveDirectHost(host); err != nil {
		return err
	}
	config, err := a.sshConfig(home, settings)
	if err != nil {
		return err
	}
	plan, err := sshconfig.PlanKnownHosts(config)
	if err != nil {
		return err
	}
	return plan.Apply()
}
