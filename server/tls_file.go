package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"
)

// tendStep is how often the files are looked at while nobody connects; every
// handshake looks as well, which is two calls of stat.
const tendStep = time.Minute

// ownFiles serves a certificate that somebody else renews, and takes a new one in
// as soon as certificate and key are there and fit. Until then, and where they
// never do, it goes on with the one it has. Connections that are open don't notice.
type ownFiles struct {
	conf TLSConfig
	host string // what the certificate has to cover
	now  func() time.Time
	log  *slog.Logger

	mu    sync.Mutex // guards what follows
	pair  *tls.Certificate
	seen  [2]fs.FileInfo // certificate and key at the last look; nil where there was none
	again time.Time      // when to try what was not used once more; zero where nothing waits
	why   string         // why it was not used, as it was logged
}

var _ tlsSource = (*ownFiles)(nil)

// openOwnFiles reads the files. A pair that can be served and that clients refuse
// is no error: it is in the log, and the relay goes on working.
func openOwnFiles(c TLSConfig, host string, now func() time.Time, log *slog.Logger) (*ownFiles, error) {
	o := &ownFiles{conf: c, host: host, now: now, log: log}
	o.seen = o.stat() // before it is read: what changes meanwhile is read again
	pair, err := readPair(c.Cert, c.Key)
	if err != nil {
		return nil, err
	}
	o.pair = &pair
	return o, nil
}

func (o *ownFiles) begin() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return o.look(), nil },
	}
}

func (o *ownFiles) current() []*x509.Certificate { return chainOf(o.look()) }

// tend looks at the files while nobody connects, and at the certificate's end.
func (o *ownFiles) tend(ctx context.Context) error {
	watch := expiryWatch{host: o.host, log: o.log}
	tick := time.NewTicker(tendStep)
	defer tick.Stop()
	for {
		watch.look(o.look().Leaf, o.now())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look returns the certificate to serve.
func (o *ownFiles) look() *tls.Certificate {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.now()
	seen := o.stat()
	if same(seen[0], o.seen[0]) && same(seen[1], o.seen[1]) && (o.again.IsZero() || now.Before(o.again)) {
		return o.pair
	}
	o.seen = seen
	pair, err := readPair(o.conf.Cert, o.conf.Key)
	if err == nil {
		err = unfit(pair.Leaf, o.host, now)
	}
	if err != nil {
		o.keep(err, now)
		return o.pair
	}
	o.pair, o.again, o.why = &pair, time.Time{}, ""
	o.log.Info("a new TLS certificate is served", "cert", o.conf.Cert, "ends", pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	return o.pair
}

// keep says why a new pair is not used. It is tried again: one that is not valid
// yet will be, without its files changing.
func (o *ownFiles) keep(err error, now time.Time) {
	o.again = now.Add(tendStep)
	if o.why == err.Error() {
		return
	}
	o.why = err.Error()
	o.log.Warn("the new TLS certificate is not used, the old one is",
		"why", o.why, "cert", o.conf.Cert, "old_ends", o.pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
}

func (o *ownFiles) stat() (seen [2]fs.FileInfo) {
	for i, path := range []string{o.conf.Cert, o.conf.Key} {
		if info, err := os.Stat(path); err == nil {
			seen[i] = info
		}
	}
	return seen
}

// same reports whether nothing happened to a file between two looks.
func same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && a.Mode() == b.Mode()
}
