package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

// What the relay sees of a node has no other door than the relay itself.

func (n *Node) Gate() relay.Gate             { return &gate{n} }
func (n *Node) Ledger() *ledger.Ledger       { return n.ledger }
func (n *Node) Recordings() *recording.Store { return n.recordings }
func (n *Node) UserCA() *ca.Authority        { return n.keys.user }
func (n *Node) Seal() []byte                 { return n.keys.seal }

// Look is an errand that looks at a target.
func (n *Node) Look(ctx context.Context, start access.StartErrand) (store.SessionID, error) {
	return n.look(ctx, start)
}

// LocalClient speaks to a directory's unix socket.
func LocalClient(d Dir) *http.Client { return d.localClient() }

// LastBefore is when targets were last to be looked at.
var LastBefore = lastBefore

// Side writes into the side table beside the ledger's writer.
func (n *Node) Side(ctx context.Context, w store.SideWrite) error {
	return n.backend.WriteSide(ctx, []store.SideWrite{w})
}

func (n *Node) Recover(ctx context.Context) error { return n.recover(ctx) }

// Handled returns the routes that have a handler.
func (n *Node) Handled() []api.Route {
	var routes []api.Route
	for _, h := range n.handlers() {
		routes = append(routes, h.route)
	}
	return routes
}

// Render returns an entry as it is read.
func (n *Node) Render(ctx context.Context, e *store.Entry) api.Entry {
	return n.newReader().entry(ctx, e)
}

// A HostKeys is the cache of host certificates, by itself.
type HostKeys struct{ *hostKeys }

func NewHostKeys(a *ca.Authority, now func() time.Time, random io.Reader) (HostKeys, error) {
	h, err := newHostKeys(a, now, random)
	return HostKeys{h}, err
}

func (h HostKeys) Signer(ctx context.Context, name string) (ssh.Signer, error) {
	return h.signer(ctx, name)
}

func (h HostKeys) Cached() int { return len(h.cache) }

const MaxHostCertificates = maxHostCertificates

// Encode returns a configuration as init writes it.
func (c Config) Encode() ([]byte, error) { return c.encode() }

// Begun and Made are the folders of an init that did not finish.
func (d Dir) Begun() string { return string(d.begun()) }
func (d Dir) Made() string  { return string(d.made()) }
func (d Dir) Pid() string   { return d.pid() }

// Parts are what init makes.
func (d Dir) Parts() []string { return d.parts() }

// Served is the certificate that the API shows, or nil while there is none.
func (n *Node) Served() *x509.Certificate {
	if chain := n.tls.current(); chain != nil {
		return chain[0]
	}
	return nil
}

// An ExpiryWatch says in the log that a certificate needs somebody.
type ExpiryWatch struct{ w expiryWatch }

func NewExpiryWatch(host string, log *slog.Logger) *ExpiryWatch {
	return &ExpiryWatch{expiryWatch{host: host, log: log}}
}

func (w *ExpiryWatch) Look(leaf *x509.Certificate, now time.Time) { w.w.look(leaf, now) }

// RefusalOf is why an ACME server refuses.
var RefusalOf = refusalOf

// BeginTLS is what the HTTPS port serves with.
func (n *Node) BeginTLS() *tls.Config { return n.tls.begin() }
