package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certificateLife is long because clients pin the key and look at no date.
const certificateLife = 10 * 365 * 24 * time.Hour

func (d Dir) tlsCert() string { return filepath.Join(d.tls(), "cert.pem") }
func (d Dir) tlsKey() string  { return filepath.Join(d.tls(), "key.pem") }

// makeTLS creates a self-signed certificate for the name: ECDSA P-256, which
// browsers know too.
func makeTLS(d Dir, name string, random io.Reader, now time.Time) error {
	if err := os.Mkdir(d.tls(), 0o700); err != nil {
		return fmt.Errorf("making the TLS certificate: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return fmt.Errorf("making the TLS key: %w", err)
	}
	serial := make([]byte, 16)
	if _, err := io.ReadFull(random, serial); err != nil {
		return fmt.Errorf("making the TLS certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(certificateLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(random, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("making the TLS certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("making the TLS key: %w", err)
	}
	if err := writeNew(d.tlsKey(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})); err != nil {
		return err
	}
	return writeNew(d.tlsCert(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// A tlsSource is where the API's certificate comes from.
type tlsSource interface {
	// begin returns what the HTTPS port serves with. It is called once, before
	// tend is.
	begin() *tls.Config
	// current returns the certificate that is served, with its chain behind it, or
	// nil while there is none.
	current() []*x509.Certificate
	// tend looks after the certificate until ctx is done. What goes wrong is in
	// the log: no certificate is a reason to end what runs.
	tend(ctx context.Context) error
}

// openTLS opens the source that the configuration wants, and the pin that
// invitations hold: the SHA-256 hash of the certificate's SubjectPublicKeyInfo,
// or nothing where clients go by their system's roots. It asks nobody.
func (n *Node) openTLS() error {
	var err error
	switch c := n.config.TLS; c.Mode {
	case TLSFile:
		n.tls, err = openOwnFiles(c, n.publicHost(), n.Now, n.Log)
	case TLSACME:
		n.tls, err = n.openACME()
	default:
		var own selfSigned
		if own, err = openSelfSigned(n.Dir); err == nil {
			n.tls, n.pin = own, own.pin()
		}
	}
	return err
}

// publicHost is the host under which clients reach the API, and which its
// certificate has to cover.
func (n *Node) publicHost() string { return n.config.publicHost() }

func (c Config) publicHost() string {
	host, _, err := net.SplitHostPort(c.Public.HTTPS)
	if err != nil {
		return c.Public.HTTPS // check refuses it
	}
	return host
}

// selfSigned is the certificate that init made.
type selfSigned struct{ pair tls.Certificate }

func openSelfSigned(d Dir) (selfSigned, error) {
	pair, err := readPair(d.tlsCert(), d.tlsKey())
	return selfSigned{pair}, err
}

func (s selfSigned) begin() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{s.pair}, MinVersion: tls.VersionTLS13}
}

func (s selfSigned) current() []*x509.Certificate { return []*x509.Certificate{s.pair.Leaf} }

// tend has nothing to do: the key is pinned, and nobody looks at the date.
func (s selfSigned) tend(context.Context) error { return nil }

func (s selfSigned) pin() []byte {
	sum := sha256.Sum256(s.pair.Leaf.RawSubjectPublicKeyInfo)
	return sum[:]
}

// maxPEM bounds a file with a certificate or its key.
const maxPEM = 1 << 20

// chainOf returns a pair's certificate and those behind it.
func chainOf(pair *tls.Certificate) []*x509.Certificate {
	chain := []*x509.Certificate{pair.Leaf}
	for _, der := range pair.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			chain = append(chain, c)
		}
	}
	return chain
}

// readPair reads a certificate and its key, which nobody else may read. Links
// are followed: programs that renew certificates make them.
func readPair(certPath, keyPath string) (tls.Certificate, error) {
	info, err := os.Stat(keyPath)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", keyPath)
	}
	if err == nil && !private(info.Mode()) {
		err = fmt.Errorf("%s: others may read it: chmod 600 %s", keyPath, keyPath)
	}
	var key, cert []byte
	if err == nil {
		key, err = readBounded(keyPath)
	}
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("opening the TLS key: %w", err)
	}
	if cert, err = readBounded(certPath); err != nil {
		return tls.Certificate{}, fmt.Errorf("opening the TLS certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("opening the TLS certificate %s with the key %s: %w", certPath, keyPath, err)
	}
	return pair, nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err == nil && len(data) > maxPEM {
		err = fmt.Errorf("%s is too large", path)
	}
	return data, err
}
