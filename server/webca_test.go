package server_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A webCA issues TLS certificates, through an intermediate as real ones do.
type webCA struct {
	t          *testing.T
	root, mid  *x509.Certificate
	rootKey    crypto.Signer
	midKey     crypto.Signer
	nextSerial int64
}

// A term is from when to when a certificate is valid.
type term struct{ from, to time.Time }

// around is ten years on both sides of a moment.
func around(at time.Time) term { return term{at.AddDate(-10, 0, 0), at.AddDate(10, 0, 0)} }

func newWebCA(t *testing.T, at time.Time) *webCA {
	t.Helper()
	a := &webCA{t: t}
	a.rootKey, a.midKey = a.key(), a.key()
	a.root = a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "a root"}, IsCA: true}, around(at), nil, a.rootKey.Public(), a.rootKey)
	a.mid = a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "an intermediate"}, IsCA: true}, around(at), a.root, a.midKey.Public(), a.rootKey)
	return a
}

func (a *webCA) key() crypto.Signer {
	a.t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return k
}

func (a *webCA) sign(c *x509.Certificate, when term, parent *x509.Certificate, public crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	a.t.Helper()
	a.nextSerial++
	c.SerialNumber = big.NewInt(a.nextSerial)
	c.NotBefore, c.NotAfter, c.BasicConstraintsValid = when.from, when.to, true
	c.KeyUsage = x509.KeyUsageDigitalSignature
	if c.IsCA {
		c.KeyUsage = x509.KeyUsageCertSign
	}
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, public, by)
	if err != nil {
		a.t.Fatal(err)
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return signed
}

func (a *webCA) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.root)
	return p
}

// An issued certificate, as the files that a server is given.
type issued struct {
	leaf      *x509.Certificate
	cert, key []byte // PEM
}

// issue makes a certificate with its intermediate behind it.
func (a *webCA) issue(host string, when term) issued {
	a.t.Helper()
	key := a.key()
	c := &x509.Certificate{Subject: pkix.Name{CommonName: host}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if ip := net.ParseIP(host); ip != nil {
		c.IPAddresses = []net.IP{ip}
	} else {
		c.DNSNames = []string{host}
	}
	leaf := a.sign(c, when, a.mid, key.Public(), a.midKey)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return issued{
		leaf: leaf,
		cert: append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.mid.Raw})...),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	}
}

// A pairOfFiles is where a server finds its own certificate.
type pairOfFiles struct {
	t         *testing.T
	cert, key string
}

func newPair(t *testing.T, i issued) pairOfFiles {
	t.Helper()
	p := pairOfFiles{t, filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")}
	p.put(i)
	return p
}

func (p pairOfFiles) put(i issued) {
	p.t.Helper()
	replace(p.t, p.key, i.key, 0o600)
	replace(p.t, p.cert, i.cert, 0o644)
}

// replace puts a file in place as a program that renews certificates does: in one
// step.
func replace(t *testing.T, path string, data []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path+".new", mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}
