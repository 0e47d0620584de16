package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/user"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
)

const (
	builtinHandshake = 20 * time.Second
	// builtinConns bounds the connections that are open at once.
	builtinConns = 64
)

// BuiltinConfig says which built-in host to start.
type BuiltinConfig struct {
	// Dir is an existing directory for the host keys.
	Dir string
	// Target is the name in the principals that are accepted.
	Target store.TargetName
	// CAs are the keys whose certificates are accepted, at least one.
	CAs []ssh.PublicKey
}

// Builtin is a small SSH server for one purpose: that the demo runs on a machine
// without sshd. It accepts target certificates for the account that runs it, by
// the machine's clock, and nothing else; it runs shells and commands with
// /bin/sh, and the machine's sftp-server where there is one. It forwards
// nothing. It is no server for any other use.
type Builtin struct {
	listener net.Listener
	config   *ssh.ServerConfig
	hostKeys []ssh.PublicKey
	account  *user.User

	// ctx ends with Stop, and every connection and process with it.
	ctx    context.Context
	cancel context.CancelFunc
	slots  chan struct{}
	// running counts the goroutines that Stop waits for.
	running sync.WaitGroup
}

// StartBuiltin starts the built-in host on a free port of 127.0.0.1. The context
// bounds the start alone; Stop ends what was started.
func StartBuiltin(ctx context.Context, config BuiltinConfig) (*Builtin, error) {
	if err := checkTarget(config.Target); err != nil {
		return nil, err
	}
	if _, err := authorityLines(config.CAs); err != nil {
		return nil, err
	}
	account, err := user.Current()
	if err != nil {
		return nil, fmt.Errorf("finding the current account: %w", err)
	}
	if config.Dir == "" {
		return nil, errors.New("no directory for host keys was given")
	}
	hostKeys, signers, _, err := hostKeysIn(config.Dir)
	if err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("opening the built-in host: %w", err)
	}
	b := &Builtin{listener: listener, hostKeys: hostKeys, account: account, slots: make(chan struct{}, builtinConns)}
	b.ctx, b.cancel = context.WithCancel(context.WithoutCancel(ctx))
	b.config = &ssh.ServerConfig{
		Config:                  transport(),
		PublicKeyAuthAlgorithms: ssh.SupportedAlgorithms().PublicKeyAuths,
		ServerVersion:           "SSH-2.0-VaultPAM_demo",
		PublicKeyCallback:       authenticator(store.Login(account.Username), config),
	}
	for _, signer := range signers {
		b.config.AddHostKey(signer)
	}
	// Ends when Stop closes the listener.
	b.running.Go(b.accept)
	return b, nil
}

// authenticator accepts a certificate of one of the CAs whose only principal is
// this account on this target. The library checks source-address against the
// permissions that are returned here, and refuses other critical options.
func authenticator(login store.Login, config BuiltinConfig) func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
	principal := Principal(login, config.Target)
	checker := &ssh.CertChecker{SupportedCriticalOptions: []string{"source-address"}}
	return func(conn ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		certificate, ok := key.(*ssh.Certificate)
		if !ok || certificate.CertType != ssh.UserCert {
			return nil, errors.New("want a user certificate")
		}
		if conn.User() != string(login) {
			return nil, errors.New("the built-in host serves one account")
		}
		// An empty list of principals would match everybody.
		if len(certificate.ValidPrincipals) != 1 {
			return nil, errors.New("want exactly one principal")
		}
		trusted := false
		for _, ca := range config.CAs {
			trusted = trusted || bytes.Equal(ca.Marshal(), certificate.SignatureKey.Marshal())
		}
		if !trusted {
			return nil, errors.New("the certificate is of another authority")
		}
		if err := checker.CheckCert(principal, certificate); err != nil {
			return nil, err
		}
		return &ssh.Permissions{
			CriticalOptions: certificate.CriticalOptions,
			Extensions:      certificate.Extensions,
		}, nil
	}
}

func (b *Builtin) accept() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		select {
		case b.slots <- struct{}{}:
		default:
			conn.Close()
			continue
		}
		// Ends with the connection, at the latest by Stop, which closes it.
		b.running.Go(func() {
			defer func() { <-b.slots }()
			b.serve(conn)
		})
	}
}

func (b *Builtin) serve(raw net.Conn) {
	defer raw.Close()
	defer context.AfterFunc(b.ctx, func() { raw.Close() })()
	if raw.SetDeadline(time.Now().Add(builtinHandshake)) != nil {
		return
	}
	conn, channels, requests, err := ssh.NewServerConn(raw, b.config)
	if err != nil || raw.SetDeadline(time.Time{}) != nil {
		return
	}
	ctx, cancel := context.WithCancel(b.ctx)
	var running sync.WaitGroup
	// Both end with the connection.
	running.Go(func() { ssh.DiscardRequests(requests) })
	for offered := range channels {
		if offered.ChannelType() != "session" {
			_ = offered.Reject(ssh.UnknownChannelType, "the demo's built-in host has sessions only")
			continue
		}
		channel, requests, err := offered.Accept()
		if err != nil {
			continue
		}
		_, mayPty := conn.Permissions.Extensions["permit-pty"]
		s := &builtinSession{account: b.account, channel: channel, mayPty: mayPty}
		running.Go(func() { s.serve(ctx, requests) })
	}
	cancel()
	running.Wait()
}

// Address is the host's 127.0.0.1:PORT.
func (b *Builtin) Address() string { return b.listener.Addr().String() }

// HostKeys are the plain host keys, Ed25519 first.
func (b *Builtin) HostKeys() []ssh.PublicKey { return b.hostKeys }

// Kind says that this is not sshd.
func (b *Builtin) Kind() string { return "built-in SSH server" }

// Stop closes every connection and kills what runs in its sessions.
func (b *Builtin) Stop() error {
	b.cancel()
	err := b.listener.Close()
	b.running.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
