package client

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/vaultpam/vaultpam/server/api"
)

// A Config says which server to speak to and how to recognise it.
type Config struct {
	// Server is HOST or HOST:PORT; the port is 443 where none is named.
	Server string
	// Pin is the SHA-256 hash of the server's SubjectPublicKeyInfo (RFC 7469).
	// Where it is empty the system's root certificates decide.
	Pin []byte
	// Timeout bounds one call, the connection included. Large answers get ten
	// times as long. It must be set.
	Timeout time.Duration
	// Now is the clock of proofs; nil is the machine's.
	Now func() time.Time
}

// A Client calls one server. It may be used by several goroutines at once.
type Client struct {
	server  string // HOST:PORT
	timeout time.Duration
	http    *http.Client
	token   []byte
	key     ed25519.PrivateKey // opens every connection and signs every call, where there is one
	now     func() time.Time
}

const tokenSize = 32

// ErrNotSignedIn is returned for a call that needs a sign-in where there is
// none on this machine.
var ErrNotSignedIn = errors.New("not signed in")

// New returns a client of the server. It does not connect.
func New(c Config) (*Client, error) {
	server, err := CanonicalServer(c.Server)
	if err != nil {
		return nil, err
	}
	if c.Timeout <= 0 {
		return nil, errors.New("a client without a timeout could wait for ever")
	}
	trust, err := tlsConfig(server, c.Pin)
	if err != nil {
		return nil, err
	}
	now := c.Now
	if now == nil {
		now = time.Now
	}
	dialer := &net.Dialer{Timeout: c.Timeout}
	return &Client{
		server:  server,
		timeout: c.Timeout,
		now:     now,
		http: httpClient(&http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            dialer.DialContext,
			TLSClientConfig:        trust,
			TLSHandshakeTimeout:    c.Timeout,
			ResponseHeaderTimeout:  c.Timeout,
			MaxResponseHeaderBytes: 64 << 10,
			IdleConnTimeout:        c.Timeout,
			// The limits of answers are of what is on the wire, so nothing may
			// grow behind them.
			DisableCompression: true,
		}),
	}, nil
}

func httpClient(t *http.Transport) *http.Client {
	return &http.Client{
		Transport: t,
		// A redirect could carry the token to somebody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// A Session is a sign-in session as this machine holds it: the token that the
// server gave, and the key that every connection is opened and every call signed with.
type Session struct {
	Token []byte
	Key   ed25519.PrivateKey
}

func (s Session) check() error {
	if len(s.Token) != tokenSize || len(s.Key) != ed25519.PrivateKeySize {
		return fmt.Errorf("a sign-in session with a token of %d bytes and a key of %d: want %d and %d",
			len(s.Token), len(s.Key), tokenSize, ed25519.PrivateKeySize)
	}
	return nil
}

// WithSession returns a client that calls as the holder of a sign-in session.
func (c *Client) WithSession(s Session) (*Client, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	signedIn := c.withKey(s.Key)
	signedIn.token = slices.Clone(s.Token)
	return signedIn, nil
}

// WithNewKey returns a client with a key of its own, which a session that it opens
// is bound to.
func (c *Client) WithNewKey() (*Client, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("making a key for the sign-in session: %w", err)
	}
	return c.withKey(key), nil
}

// withKey returns a client with a key and no token. Its connections are its own, since
// each is opened with the key.
func (c *Client) withKey(key ed25519.PrivateKey) *Client {
	keyed := *c
	keyed.token = nil
	if key.Equal(c.key) {
		return &keyed
	}
	keyed.key = slices.Clone(key)
	if t, ok := c.http.Transport.(*http.Transport); ok {
		t = t.Clone()
		showKey(t.TLSClientConfig, keyed.key)
		keyed.http = httpClient(t)
	}
	return &keyed
}

// Opened returns the session whose token the server has just given.
func (c *Client) Opened(token []byte) Session { return Session{Token: token, Key: c.key} }

// Server returns HOST:PORT.
func (c *Client) Server() string { return c.server }

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// CanonicalServer returns s as HOST:PORT with 443 as the default port.
func CanonicalServer(s string) (string, error) {
	if err := api.CheckHost(s); err != nil {
		return "", fmt.Errorf("server %q: %w", Clean(s), err)
	}
	if host, port, err := net.SplitHostPort(s); err == nil {
		return net.JoinHostPort(host, port), nil
	}
	if s[0] == '[' {
		s = s[1 : len(s)-1]
	}
	return net.JoinHostPort(s, "443"), nil
}

// authorize adds the token to a request that needs one, and signs it.
func (c *Client) authorize(req *http.Request, route api.Route, body []byte) error {
	call := api.Signed{Method: req.Method, Target: req.URL.RequestURI(), Body: body}
	if route.Who != api.WhoAnybody {
		if len(c.token) != tokenSize {
			return ErrNotSignedIn
		}
		call.Token = c.token
		req.Header.Set(api.TokenHeader, "Bearer "+base64.RawURLEncoding.EncodeToString(c.token))
	}
	if c.key != nil {
		req.Header.Set(api.ProofHeader, api.Prove(c.key, call, c.now()))
	}
	return nil
}

func (c *Client) deadline(ctx context.Context, limit int64) (context.Context, context.CancelFunc) {
	if limit > maxAnswer {
		return context.WithTimeout(ctx, 10*c.timeout)
	}
	return context.WithTimeout(ctx, c.timeout)
}
