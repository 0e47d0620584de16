package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// A closeFlags says how a target's other ways in are to be shut.
type closeFlags struct {
	login, emergencyKey string
	undo, yes, json     bool
}

func (a *app) targetCloseCommand() *cobra.Command {
	var flags closeFlags
	cmd := &cobra.Command{
		Use:   "close NAME --emergency-key FILE",
		Short: "shut the other ways into a host",
		Long: `admin target close leaves certificates as the one way into a host: no passwords,
no authorized keys, no other authority. So that nobody is locked out it first
sees two logins work, and each once more afterwards:

  1. the ordinary one, of the server over its relay;
  2. an emergency one, of this machine straight to the host, with a certificate
     of the emergency CA. Make it on the server, for a key of yours:
     vaultpamd emergency-cert --target NAME --login root --key FILE.pub > FILE-cert.pub

The emergency login is also what shuts the host, so that it has been tried for
good. If a login fails afterwards, everything is put back. --undo takes the
closing back, over the relay. Both are entries in the ledger.`,
		Example: "  vaultpam admin target close db1 --emergency-key ./rescue\n  vaultpam admin target close db1 --undo",
		Args:    wantArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := parseTarget(cmd, args[0])
			if err != nil {
				return err
			}
			if flags.login != "" {
				if _, err := parseLogins(cmd, []string{flags.login}); err != nil {
					return err
				}
			}
			if (flags.emergencyKey == "") != flags.undo {
				return &usageError{command: cmd.CommandPath(), why: "want --emergency-key FILE to shut, or --undo to open again"}
			}
			if flags.undo {
				return a.reopenTarget(cmd.Context(), name, flags)
			}
			return a.closeTarget(cmd.Context(), name, flags)
		},
	}
	cmd.Flags().StringVar(&flags.login, "login", "", "`ACCOUNT` of the ordinary login (default root, where the target has it)")
	cmd.Flags().StringVar(&flags.emergencyKey, "emergency-key", "", "private key `FILE`; its emergency certificate is in FILE-cert.pub")
	cmd.Flags().BoolVar(&flags.undo, "undo", false, "open again what was shut")
	cmd.Flags().BoolVar(&flags.yes, "yes", false, "do not ask")
	jsonFlag(cmd, &flags.json)
	return cmd
}

func (a *app) reopenTarget(ctx context.Context, name store.TargetName, flags closeFlags) error {
	n, err := a.signedIn(ctx)
	if err != nil {
		return err
	}
	check, err := n.client.ReopenTarget(ctx, name, flags.login)
	if err != nil {
		return err
	}
	a.say("%s is as it was before it was closed", name)
	return a.showCheck(check, flags.json)
}

// A closing is a host's other ways in being shut.
type closing struct {
	*app
	node      *node
	name      store.TargetName
	request   api.ClosingRequest
	response  api.ClosingResponse
	signer    ssh.Signer
	login     string // of the emergency certificate
	hostKeys  []ssh.PublicKey
	emergency *client.EmergencyLogin
}

func (a *app) closeTarget(ctx context.Context, name store.TargetName, flags closeFlags) error {
	c := &closing{app: a, name: name}
	if err := c.readKey(flags.emergencyKey); err != nil {
		return err
	}
	c.request.Login = flags.login
	var err error
	if c.node, err = a.signedIn(ctx); err != nil {
		return err
	}
	if c.response, err = c.node.client.ClosingTarget(ctx, name, c.request); err != nil {
		return err
	}
	a.say("ordinary login: works, over the relay (entry %d)", c.response.Check.Entry)
	if err := c.dial(ctx); err != nil {
		return refuse("make a certificate anew, and run this where the host can be reached", "nothing was changed: emergency login: %v", err)
	}
	defer c.emergency.Close()
	a.say("emergency login: works, straight to %s", c.response.Address)
	if !flags.json { // whose one value comes at the end
		if err := a.showCheck(c.response.Check, false); err != nil {
			return err
		}
	}
	if !flags.yes {
		ok, err := a.confirm(ctx, fmt.Sprintf("shut them, and leave certificates as the one way into %s?", name))
		if errors.Is(err, errNoTerminal) {
			return withHint(err, "in a script: --yes")
		}
		if err != nil {
			return err
		}
		if !ok {
			return refuse("", "nothing was changed")
		}
	}
	check, err := c.shut(ctx)
	if err != nil {
		return err
	}
	a.say("both logins work after it too")
	return a.showCheck(check, flags.json)
}

// readKey reads the emergency key and the certificate beside it.
func (c *closing) readKey(file string) error {
	key, err := c.privateKey(file)
	if err != nil {
		return err
	}
	line, err := readShort(file + "-cert.pub")
	if errors.Is(err, fs.ErrNotExist) {
		return refuse(fmt.Sprintf("on the server: vaultpamd emergency-cert --target %s --login root --key FILE.pub > FILE-cert.pub", c.name),
			"there is no certificate %s-cert.pub for the key %s", file, file)
	} else if err != nil {
		return err
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(line)
	cert, ok := public.(*ssh.Certificate)
	if err != nil || !ok {
		return refuse("", "%s-cert.pub is not an SSH certificate", file)
	}
	if c.signer, err = ssh.NewCertSigner(cert, key); err != nil {
		return refuse("", "%s-cert.pub is not a certificate for the key %s", file, file)
	}
	opens, err := ca.ParseTargetPrincipal(strings.Join(cert.ValidPrincipals, ","))
	if err != nil || opens.Target != c.name {
		return refuse("", "%s-cert.pub is not a certificate for %s", file, c.name)
	}
	c.login = string(opens.Login)
	c.request.Certificate = strings.TrimSpace(string(line))
	return nil
}

func (c *closing) privateKey(file string) (ssh.Signer, error) {
	pem, err := readShort(file)
	if err != nil {
		return nil, err
	}
	key, err := ssh.ParsePrivateKey(pem)
	if _, locked := errors.AsType[*ssh.PassphraseMissingError](err); locked {
		return nil, refuse("ssh-keygen -p -f "+file+" takes the passphrase off; the key is good for this alone, and may be thrown away afterwards",
			"%s has a passphrase, which this command does not ask for", file)
	}
	if err != nil {
		return nil, refuse("", "%s is not a private key", file)
	}
	return key, nil
}

// reloadTime bounds how long sshd may take to listen again.
const reloadTime = 10 * time.Second

// exitScriptRefused is the set-up script's status where it left the host as it
// was.
const exitScriptRefused = 1

// readShort reads a file that is no longer than any key.
func readShort(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 64<<10))
}

// dial logs in on the host with the emergency certificate.
func (c *closing) dial(ctx context.Context) error {
	for _, line := range c.response.HostKeys {
		key, err := client.ParseHostKey(line)
		if err != nil {
			return err
		}
		c.hostKeys = append(c.hostKeys, key)
	}
	var err error
	c.emergency, err = c.connectOnce(ctx)
	return err
}

func (c *closing) connectOnce(ctx context.Context) (*client.EmergencyLogin, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return client.DialEmergency(ctx, c.response.Address, c.login, c.hostKeys, c.signer)
}

// shut has the host shut its other ways in, and tries both logins again. Where
// one does not work the connection that is still there opens everything again.
func (c *closing) shut(ctx context.Context) (api.Check, error) {
	err := c.script(ctx, c.response.Close)
	if refused, ok := errors.AsType[*ssh.ExitError](err); ok && refused.ExitStatus() == exitScriptRefused {
		return api.Check{}, refuse("", "%s refused, and is as it was", c.name)
	}
	var check api.Check
	if err == nil {
		check, err = c.tryAgain(ctx)
	}
	if err == nil {
		return check, nil
	}
	c.say("%s was closed, but %s; opening it again", c.name, client.Clean(err.Error()))
	// Also when the user has had enough: half a closing is not to be left.
	if back := c.script(context.WithoutCancel(ctx), c.response.Open); back != nil {
		return api.Check{}, refuse("log in with the emergency certificate and look", "%s could not be opened again: %v", c.name, back)
	}
	return api.Check{}, refuse("", "%s is as it was before, not closed: %v", c.name, err)
}

func (c *closing) tryAgain(ctx context.Context) (api.Check, error) {
	if err := c.dialAgain(ctx); err != nil {
		return api.Check{}, fmt.Errorf("the emergency login does not work any more: %w", err)
	}
	check, err := c.node.client.ClosedTarget(ctx, c.name, c.request)
	if err != nil {
		return api.Check{}, fmt.Errorf("the ordinary login does not work any more, or the host is not closed: %w", err)
	}
	return check, nil
}

// dialAgain tries the emergency login once more. While sshd reads its
// configuration again nobody listens, for a moment.
func (c *closing) dialAgain(ctx context.Context) error {
	pause := time.NewTicker(200 * time.Millisecond)
	defer pause.Stop()
	late := time.After(reloadTime)
	for {
		again, err := c.connectOnce(ctx)
		if err == nil {
			again.Close()
			return nil
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return err
		}
		select {
		case <-pause.C:
		case <-late:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// script has the host carry the set-up script out over the emergency login, and
// shows what it says.
func (c *closing) script(ctx context.Context, command string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	lines, err := c.emergency.Run(ctx, command, c.response.Script)
	for _, line := range lines {
		c.say("  %s", line)
	}
	return err
}
