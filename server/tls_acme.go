package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

const (
	// firstRetry is the wait after an attempt to get the first certificate that
	// failed, which doubles up to lastRetry: authorities count failed attempts,
	// Let's Encrypt five an hour. It is longer than autocert's own memory of one.
	firstRetry = 2 * time.Minute
	lastRetry  = time.Hour
)

// errNoCertificate ends the handshakes before the first certificate is there.
var errNoCertificate = errors.New("there is no certificate yet")

// acmeSource gets the certificate by ACME, proves the name on the HTTPS port
// itself (tls-alpn-01, RFC 8737), and renews it when two thirds of its life are
// over. Only the server asks for one, never what strangers connect with.
type acmeSource struct {
	name    string
	manager *autocert.Manager
	outward *acmeTransport
	cache   acmeCache
	now     func() time.Time
	log     *slog.Logger
	ready   atomic.Bool // the manager holds a certificate, and from then on always does
}

var _ tlsSource = (*acmeSource)(nil)

// openACME asks nobody for anything: that is tend's.
func (n *Node) openACME() (*acmeSource, error) {
	c := n.config.TLS
	outward, err := newACMETransport(c.DirectoryCA, n.Log)
	if err != nil {
		return nil, err
	}
	a := &acmeSource{
		name: n.config.Name, outward: outward, cache: newACMECache(n.Dir.acme()), now: n.Now, log: n.Log,
	}
	a.manager = &autocert.Manager{
		Prompt:     func(string) bool { return c.AcceptTerms },
		Cache:      a.cache,
		HostPolicy: autocert.HostWhitelist(a.name),
		Email:      c.Email,
		Client: &acme.Client{
			DirectoryURL: c.directory(), UserAgent: "vaultpamd/" + n.Version,
			HTTPClient: &http.Client{Transport: outward, Timeout: acmeTimeout},
		},
	}
	return a, nil
}

// acme is where the ACME account's key and the certificate lie. All of it can be
// fetched anew, so no backup holds it.
func (d Dir) acme() string { return filepath.Join(string(d), "acme") }

// begin takes up the certificate of the last run, so that nobody is refused while
// the first look at it goes on. What autocert would not take as it is stays.
func (a *acmeSource) begin() *tls.Config {
	pair, err := a.cache.pair(a.name)
	now := a.now()
	if err == nil && unfit(pair.Leaf, a.name, now) == nil && unfit(pair.Leaf, a.name, now.Add(time.Minute)) == nil {
		if _, err := a.ask(); err == nil {
			a.ready.Store(true)
		}
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		NextProtos:     []string{"http/1.1", acme.ALPNProto},
		GetCertificate: a.certificate,
	}
}

// certificate answers a handshake. autocert would order a certificate here, for
// whoever connects; it is therefore asked only once it has one.
func (a *acmeSource) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acme.ALPNProto {
		if hello.ServerName != a.name {
			return nil, fmt.Errorf("a challenge for another name than %s", a.name)
		}
		return a.manager.GetCertificate(&tls.ClientHelloInfo{ServerName: a.name, SupportedProtos: hello.SupportedProtos})
	}
	if !a.ready.Load() {
		return nil, errNoCertificate
	}
	return a.ask()
}

// ask asks autocert for the certificate, which orders one if it has none. The
// cipher suite says ECDSA: clients of TLS 1.3 name none that does, and autocert
// would take them for ones that need RSA.
func (a *acmeSource) ask() (*tls.Certificate, error) {
	return a.manager.GetCertificate(&tls.ClientHelloInfo{
		ServerName: a.name, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	})
}

func (a *acmeSource) current() []*x509.Certificate {
	if pair := a.pair(); pair != nil {
		return chainOf(pair)
	}
	return nil
}

func (a *acmeSource) leaf() *x509.Certificate {
	if pair := a.pair(); pair != nil {
		return pair.Leaf
	}
	return nil
}

// pair is what is served, or nil while there is nothing.
func (a *acmeSource) pair() *tls.Certificate {
	if !a.ready.Load() {
		return nil
	}
	pair, err := a.ask()
	if err != nil {
		return nil
	}
	return pair
}

// tend gets the first certificate, and then looks at its end once a minute;
// autocert renews it by itself.
func (a *acmeSource) tend(ctx context.Context) error {
	defer a.outward.stop() // ends what autocert still does
	for wait := firstRetry; !a.fetch(ctx); wait = min(2*wait, lastRetry) {
		a.log.Warn("there is no TLS certificate yet, and nobody can connect", "next_try_in", wait.String())
		if !pause(ctx, wait) {
			return nil
		}
	}
	watch := expiryWatch{host: a.name, log: a.log}
	served := a.leaf()
	for {
		watch.look(served, a.now())
		if !pause(ctx, tendStep) {
			return nil
		}
		if next := a.leaf(); next != nil && !next.Equal(served) {
			served = next
			a.log.Info("a new TLS certificate is served", "name", a.name, "ends", next.NotAfter.UTC().Format(time.RFC3339))
		}
	}
}

// fetch gets the certificate from the last run or from the authority, and reports
// whether there is one.
func (a *acmeSource) fetch(ctx context.Context) bool {
	type answer struct {
		pair *tls.Certificate
		err  error
	}
	done := make(chan answer, 1)
	go func() { // ended by the transport, with the next request after it stopped
		pair, err := a.ask()
		done <- answer{pair, err}
	}()
	select {
	case <-ctx.Done():
		return false
	case got := <-done:
		if got.err != nil {
			a.log.Warn("getting a TLS certificate", "name", a.name, "error", oneLine(got.err.Error()))
			return false
		}
		a.ready.Store(true)
		a.log.Info("the TLS certificate is there", "name", a.name, "ends", got.pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
		return true
	}
}

// pause waits, and reports false where ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// acmeCache keeps what autocert has to find again, each in a file that nobody else
// may read.
type acmeCache struct{ autocert.DirCache }

func newACMECache(dir string) acmeCache { return acmeCache{autocert.DirCache(dir)} }

// Get refuses what others may have read.
func (c acmeCache) Get(_ context.Context, name string) ([]byte, error) {
	data, err := readPrivate(filepath.Join(string(c.DirCache), filepath.Clean("/"+name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, autocert.ErrCacheMiss
	}
	return data, err
}

// pair returns the certificate that is kept for a name.
func (c acmeCache) pair(name string) (tls.Certificate, error) {
	data, err := c.Get(context.Background(), name)
	if errors.Is(err, autocert.ErrCacheMiss) {
		return tls.Certificate{}, errNoCertificate
	}
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(data, data)
}
