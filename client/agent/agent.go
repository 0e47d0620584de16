// Package agent keeps a user's key and certificate where ssh finds them: in
// files at fixed paths, and in the running ssh-agent with a lifetime that ends
// no later than the certificate.
//
// Its promises: entries of others in the agent are never touched; an agent
// that lies, stalls or is missing costs an error and never the files; and of
// any number of processes that find the certificate too old, one renews it. It
// talks to no server itself (a Renewer does) and never reads the environment.
package agent

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"time"
	"unicode"

	"golang.org/x/crypto/ssh"
	sshagent "golang.org/x/crypto/ssh/agent"
)

// ErrNoAgent says that no ssh-agent runs, or none that this process can reach.
// The identity files work without one.
var ErrNoAgent = errors.New("no ssh-agent is running")

// patience bounds one exchange with the agent: ssh waits for it.
const patience = 5 * time.Second

// A Dialer connects to the agent. It returns an error that is ErrNoAgent when
// there is none.
type Dialer func(ctx context.Context) (net.Conn, error)

// A Client puts the identity for one server into an ssh-agent
// (draft-miller-ssh-agent). Its methods may be called concurrently.
type Client struct {
	comment string
	dial    Dialer
}

// NewClient returns a Client whose entries carry the comment
// "vaultpam:"+server. Entries with exactly that comment are its own.
func NewClient(server string, dial Dialer) (*Client, error) {
	if server == "" || len(server) > 255 || strings.ContainsFunc(server, unicode.IsControl) {
		return nil, errors.New("ssh-agent client: want a server name")
	}
	if dial == nil {
		return nil, errors.New("ssh-agent client: want a dialer")
	}
	return &Client{comment: "vaultpam:" + server, dial: dial}, nil
}

// Load puts key with cert into the agent and then takes this server's earlier
// entries out, so that at no moment there is none. The lifetime is what is left
// of the certificate, in whole seconds, rounded down; a certificate with less
// than a second left is refused, because a lifetime of 0 means for ever. The
// agent never asks for confirmation. A process that dies between the two steps
// leaves an earlier entry, which goes by its own lifetime.
func (c *Client) Load(ctx context.Context, key ed25519.PrivateKey, cert *ssh.Certificate, now time.Time) error {
	if err := checkPair(key, cert); err != nil {
		return fmt.Errorf("loading into the ssh-agent: %w", err)
	}
	lifetime, err := lifetimeOf(cert, now)
	if err != nil {
		return fmt.Errorf("loading into the ssh-agent: %w", err)
	}
	return c.with(ctx, func(a sshagent.Agent) error {
		added := sshagent.AddedKey{PrivateKey: key, Certificate: cert, Comment: c.comment, LifetimeSecs: lifetime}
		if err := a.Add(added); err != nil {
			return fmt.Errorf("adding the certificate: %w", err)
		}
		return c.removeExcept(a, cert.Marshal())
	})
}

// lifetimeOf returns the seconds that an entry for cert may live.
func lifetimeOf(cert *ssh.Certificate, now time.Time) (uint32, error) {
	left := int64(cert.ValidBefore) - now.Unix()
	if now.Nanosecond() > 0 {
		left--
	}
	if left < 1 {
		return 0, errors.New("the certificate has ended; sign in again with vaultpam login")
	}
	if left > math.MaxUint32 {
		return 0, errors.New("the certificate lives longer than an agent entry can")
	}
	return uint32(left), nil
}

// Remove takes this server's entries out of the agent, and no others.
func (c *Client) Remove(ctx context.Context) error {
	return c.with(ctx, func(a sshagent.Agent) error { return c.removeExcept(a, nil) })
}

// removeExcept removes this server's entries, apart from the one whose key
// blob is keep: certificates, and plain keys that somebody added by hand under
// the same comment.
func (c *Client) removeExcept(a sshagent.Agent, keep []byte) error {
	own, err := c.own(a)
	if err != nil {
		return err
	}
	for _, key := range own {
		if string(key.Blob) == string(keep) {
			continue
		}
		if err := a.Remove(key); err != nil {
			return fmt.Errorf("removing an earlier entry: %w", err)
		}
	}
	return nil
}

// own lists this server's entries.
func (c *Client) own(a sshagent.Agent) ([]*sshagent.Key, error) {
	all, err := a.List()
	if err != nil {
		return nil, fmt.Errorf("listing entries: %w", err)
	}
	var own []*sshagent.Key
	for _, key := range all {
		if key.Comment == c.comment {
			own = append(own, key)
		}
	}
	return own, nil
}

// with runs do on a connection of its own, which ends with ctx or after
// patience, whichever is first.
func (c *Client) with(ctx context.Context, do func(sshagent.Agent) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := c.dial(ctx)
	if err != nil {
		return fmt.Errorf("reaching the ssh-agent: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	// Without a Close method the agent client starts no goroutine, so that none
	// outlives this call.
	err = do(sshagent.NewClient(struct{ io.ReadWriter }{conn}))
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("ssh-agent did not answer: %w", ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("ssh-agent: %w", err)
	}
	return nil
}
