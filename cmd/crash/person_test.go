//go:build linux

package crash_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// A person is somebody who has enrolled, and the file in which they keep the
// certificates that they were given.
type person struct {
	server  string
	pin     []byte
	session client.Session
	key     ssh.Signer
	kept    string // a line a certificate: serial, hash of the signed bytes
	client  *client.Client
}

// hire adds a person and has them enrol.
func (h *house) hire(t *testing.T, handle string, role store.Role) *person {
	t.Helper()
	added, err := h.ada.client.AddUser(t.Context(), store.Handle(handle), []store.Role{role})
	if err != nil {
		t.Fatal(err)
	}
	return enrol(t, added.Invitation)
}

// enrol uses an invitation up. That signs in, for longer than any test runs.
func enrol(t *testing.T, link string) *person {
	t.Helper()
	inv, err := api.ParseInvitation(link)
	if err != nil {
		t.Fatalf("%q: %v", link, err)
	}
	p := &person{server: inv.Host, pin: inv.Pin, kept: filepath.Join(t.TempDir(), "certificates")}
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if p.key, err = ssh.NewSignerFromKey(private); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(client.Config{Server: p.server, Pin: p.pin, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	begun, err := c.EnrollBegin(t.Context(), inv.Token)
	if err != nil {
		t.Fatal(err)
	}
	code, err := totp.GenerateCode(begun.Secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if c, err = c.WithNewKey(); err != nil {
		t.Fatal(err)
	}
	session, err := c.EnrollFinish(t.Context(), inv.Token, code, "a desk")
	if err != nil {
		t.Fatal(err)
	}
	p.session = c.Opened(session.Token)
	p.client = p.connect(t)
	return p
}

// connect returns a client with connections of its own.
func (p *person) connect(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Server: p.server, Pin: p.pin, Timeout: patience})
	if err == nil {
		c, err = c.WithSession(p.session)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// certificate asks for a certificate and keeps it before anybody hears of it.
func (p *person) certificate(ctx context.Context, c *client.Client, authority []byte) (*ssh.Certificate, error) {
	cert, err := c.Certificate(ctx, p.key.PublicKey())
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(cert.SignatureKey.Marshal(), authority) {
		return nil, errors.New("the certificate is of another authority")
	}
	f, err := os.OpenFile(p.kept, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(f, "%d %x\n", cert.Serial, ca.Hash(cert))
	return cert, errors.Join(err, f.Close())
}

// A crowd is everybody asking for certificates at once, each on a connection of
// their own.
type crowd struct {
	cancel context.CancelFunc
	all    sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	granted int
	refused []*api.Error
	// last is when the last certificate arrived, first when the first refusal did;
	// late counts certificates that were asked for after it. slowest is the
	// longest wait for a refusal.
	last, first time.Time
	late        int
	slowest     time.Duration
	err         error // neither a refusal nor a connection that is gone
}

// ask lets people ask, refused or not, until the server is gone.
func (h *house) ask(t *testing.T, people []*person) *crowd {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c := &crowd{cancel: cancel}
	for _, p := range people {
		c.all.Go(func() { // ends with ctx, or with the server
			for c.once(ctx, p, p.client, h.userCA) {
			}
		})
	}
	return c
}

// once asks once and reports whether to ask again.
func (c *crowd) once(ctx context.Context, p *person, connection *client.Client, authority []byte) bool {
	asked := time.Now()
	_, err := p.certificate(ctx, connection, authority)
	now := time.Now()
	var refused *api.Error
	var gone *client.UnreachableError
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		c.granted++
		c.last = now
		if !c.first.IsZero() && asked.After(c.first) {
			c.late++
		}
		return true
	case errors.As(err, &refused):
		c.refused = append(c.refused, refused)
		c.slowest = max(c.slowest, now.Sub(asked))
		if c.first.IsZero() {
			c.first = now
		}
		return true
	case errors.As(err, &gone), ctx.Err() != nil:
	default:
		c.err = err
	}
	return false
}

// await waits until so many certificates were granted, and so many refused.
func (c *crowd) await(t *testing.T, granted, refused int) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); ; {
		c.mu.Lock()
		g, r := c.granted, len(c.refused)
		c.mu.Unlock()
		if g >= granted && r >= refused {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d certificates and %d refusals, want %d and %d", g, r, granted, refused)
		}
	}
}

// disperse ends the asking and returns when everybody has stopped.
func (c *crowd) disperse(t *testing.T) {
	t.Helper()
	c.cancel()
	c.all.Wait()
	if c.err != nil {
		t.Errorf("a client got neither a certificate nor a refusal: %v", c.err)
	}
}
