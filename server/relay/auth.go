package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/store"
)

// maxAuthTries bounds the failed attempts of one connection, as sshd's default.
const maxAuthTries = 6

// maxBanners bounds the banners of a target that are passed on; hosts have one.
const maxBanners = 8

// A conn is one SSH connection from a client: over TCP, or inside of another
// one as the way of ProxyJump. Its fields belong to the goroutine that serves
// it; x/crypto runs the callbacks there too.
type conn struct {
	relay  *Relay
	raw    net.Conn // to close
	ssh    net.Conn // to speak SSH on
	source netip.AddrPort
	way    store.Way
	target store.TargetName // "" where the user name says it, or nothing does

	deadline *time.Timer // closes raw
	unhook   func() bool // lets the connection live on when the relay is being stopped
	leave    func()      // gives up the place among those without a proved key

	ctx      context.Context
	preauth  ssh.ServerPreAuthConn
	offered  string // what the user reads when no key is left to offer
	told     bool   // the user has read why a certificate was refused
	finished bool   // somebody proved who they are, and was refused
	banners  int    // of the target, passed on
	session  *session
}

// serve speaks SSH on the connection to its end.
func (c *conn) serve(ctx context.Context) {
	c.ctx = ctx
	name := c.relay.name
	if c.target != "" {
		name = string(c.target) + "." + c.relay.suffix
	}
	host, err := c.relay.gate.HostKey(ctx, name)
	if err != nil || host == nil {
		c.relay.log.Error("no host key for a connection", "error", errText(err))
		return
	}
	server, channels, requests, err := ssh.NewServerConn(c.ssh, c.config(host))
	if err != nil {
		c.relay.log.Debug("handshake did not succeed", "source", c.source.Addr().String(), "error", errText(err))
		if c.session != nil {
			// The user left while the target was being connected, or the relay
			// is being stopped.
			reason := store.EndedByUser
			if ctx.Err() != nil {
				reason = store.EndedByShutdown
			}
			c.session.abandon(ctx, reason)
		}
		return
	}
	c.deadline.Stop()
	c.unhook()
	if c.session != nil {
		c.session.run(ctx, server, c.raw, channels, requests)
		return
	}
	c.serveJump(ctx, server, channels, requests)
}

func (c *conn) config(host ssh.Signer) *ssh.ServerConfig {
	config := &ssh.ServerConfig{
		Config: ssh.Config{
			KeyExchanges: keyExchanges(),
			Ciphers:      ciphers(),
			MACs:         macs(),
		},
		PublicKeyAuthAlgorithms:     userKeys(),
		MaxAuthTries:                maxAuthTries,
		ServerVersion:               serverVersion,
		PublicKeyCallback:           c.offer,
		VerifiedPublicKeyCallback:   c.proved,
		KeyboardInteractiveCallback: c.outOfKeys,
		PreAuthConnCallback:         func(p ssh.ServerPreAuthConn) { c.preauth = p },
	}
	config.AddHostKey(host)
	return config
}

// offer answers whether a key is worth a proof. An offer proves nothing, and a
// client may sign with another key than it asked about (CVE-2024-45337): nothing
// is bound here but what the user reads if no key is left.
func (c *conn) offer(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	if c.finished {
		return nil, errors.New("this connection was refused already")
	}
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		return nil, errors.New("not a certificate")
	}
	if err := looksOurs(cert); err != nil {
		c.offered = notOursText()
		return nil, err
	}
	return &ssh.Permissions{}, nil
}

// looksOurs is what can be said of a certificate without the ledger and without
// its authority. It only spares the user a signature: the Gate judges.
func looksOurs(cert *ssh.Certificate) error {
	if cert.CertType != ssh.UserCert {
		return errors.New("not a user certificate")
	}
	if len(cert.ValidPrincipals) != 1 {
		return errors.New("not exactly one principal")
	}
	if _, err := store.ParseUserID(cert.ValidPrincipals[0]); err != nil {
		return errors.New("principal is not a user's ID")
	}
	id, err := ca.ParseKeyID(cert.KeyId)
	if err != nil || id.Kind != ca.User {
		return errors.New("key ID is not a user certificate's")
	}
	return nil
}

// proved is called when the client has signed with the key: this attempt, and no
// other, is who they are. The target is connected before the user hears that
// they are in, so that its refusal can still be passed on.
func (c *conn) proved(meta ssh.ConnMetadata, key ssh.PublicKey, _ *ssh.Permissions, _ string) (*ssh.Permissions, error) {
	cert, ok := key.(*ssh.Certificate)
	if !ok || c.finished {
		return nil, errors.New("no certificate was proved")
	}
	// The user is to read why it did not succeed in time, after the last entry.
	c.deadline.Reset(c.relay.limits.Connect + c.relay.limits.Stop)
	ctx, cancel := context.WithTimeout(c.ctx, c.relay.limits.Connect)
	defer cancel()
	identity, err := c.relay.gate.Admit(ctx, cert, c.source.Addr())
	if err != nil {
		c.relay.log.Info("certificate refused", "source", c.source.Addr().String(), "serial", cert.Serial, "error", err.Error())
		return nil, c.refuse(err, refusalText(err))
	}
	c.leave()
	identity.Cert = cert
	permissions := &ssh.Permissions{CriticalOptions: cert.CriticalOptions, Extensions: cert.Extensions}
	request, err := c.destination(meta.User())
	if err != nil {
		c.finished = true
		return nil, c.refuse(err, badDestinationText(err))
	}
	if request.Target == "" {
		return permissions, nil // to jump through
	}
	request.Identity = identity
	if err := c.awaitTouch(request); err != nil {
		c.finished = true
		return nil, c.refuse(err, refusalText(err))
	}
	c.deadline.Reset(c.relay.limits.Connect + c.relay.limits.Stop)
	ctx, cancel = context.WithTimeout(c.ctx, c.relay.limits.Connect)
	defer cancel()
	session, refusal := c.relay.open(ctx, request, c.banner)
	if refusal != nil {
		c.finished = true
		return nil, c.refuse(refusal.err, refusal.text)
	}
	c.session = session
	return permissions, nil
}

// awaitTouch lets the person touch a passkey where a grant wants that, while the
// connection waits: they need not type it again. A client that leaves meanwhile is
// noticed when the wait is over.
func (c *conn) awaitTouch(request StartRequest) error {
	patience := c.relay.limits.Touch
	c.deadline.Reset(patience + c.relay.limits.Stop)
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	err := c.relay.gate.AwaitTouch(ctx, request, func(page string) {
		if c.preauth != nil {
			_ = c.preauth.SendAuthBanner(touchText(request, page, patience)) // who is gone is noticed by the next read
		}
	})
	if err != nil {
		c.relay.log.Info("no touch of a passkey", "target", string(request.Target), "login", string(request.Login), "error", err.Error())
	}
	return err
}

// destination reads from the user name what the connection has not said: the
// login, and for the third way the target. No login holds a "+", so the last one
// divides. Without a target the connection can only be jumped through.
func (c *conn) destination(user string) (StartRequest, error) {
	r := StartRequest{Target: c.target, Way: c.way, Source: c.source}
	login := user
	if c.target == "" {
		i := strings.LastIndexByte(user, '+')
		if i < 0 {
			return r, nil
		}
		name := strings.TrimSuffix(user[i+1:], "."+c.relay.suffix)
		target, err := store.ParseTargetName(name)
		if err != nil {
			return r, err
		}
		login, r.Target = user[:i], target
	}
	parsed, err := store.ParseLogin(login)
	if err != nil {
		return r, err
	}
	r.Login = parsed
	return r, nil
}

// outOfKeys is the method that clients turn to when no key is left, which is the
// one moment to say what is missing. It never lets anybody in.
func (c *conn) outOfKeys(ssh.ConnMetadata, ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	err := errors.New("only certificates are accepted")
	if c.told {
		return nil, err
	}
	text := c.offered
	if text == "" {
		text = noCertificateText()
	}
	return nil, c.refuse(err, text)
}

// refuse returns the error of an authentication callback with which the user
// reads the text.
func (c *conn) refuse(err error, text string) error {
	c.told = true
	return &ssh.BannerError{Err: fmt.Errorf("refused: %w", err), Message: text}
}

// banner passes a target's banner on (RFC 4252, section 5.4).
func (c *conn) banner(text string) {
	if c.banners++; c.banners <= maxBanners && c.preauth != nil {
		// A client that is gone is noticed by the next read.
		_ = c.preauth.SendAuthBanner(clean(text, maxForeign))
	}
}

func errText(err error) string {
	if err == nil {
		return "none was returned"
	}
	return err.Error()
}
