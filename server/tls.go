package server

import (
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

// openTLS returns the TLS configuration of the API, and the pin that clients
// hold it to: the SHA-256 hash of the certificate's SubjectPublicKeyInfo.
func openTLS(d Dir) (*tls.Config, [sha256.Size]byte, error) {
	var pin [sha256.Size]byte
	if _, err := readPrivate(d.tlsKey()); err != nil {
		return nil, pin, fmt.Errorf("opening the TLS key: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(d.tlsCert(), d.tlsKey())
	if err != nil {
		return nil, pin, fmt.Errorf("opening the TLS certificate: %w", err)
	}
	pin = sha256.Sum256(pair.Leaf.RawSubjectPublicKeyInfo)
	return &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   tls.VersionTLS13,
	}, pin, nil
}
