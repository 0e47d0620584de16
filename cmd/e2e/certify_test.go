//go:build linux

package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/vaultpam/vaultpam/cmd/e2e/browser"
)

// siteKey is the key of every server's certificate: the scripts share a browser,
// which has to know at its start whom to believe.
var siteKey = sync.OnceValues(func() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
})

// sitePin is the pin of siteKey.
func sitePin() (string, error) {
	key, err := siteKey()
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	return browser.Pin(&x509.Certificate{RawSubjectPublicKeyInfo: der}), err
}

// doSite has the server use a certificate of an authority that the machines of
// everybody in the script know, browsers among them.
func (w *world) doSite(ts *script, _ []string) error {
	w.site = filepath.Join(w.dir, "site")
	_, port, _ := strings.Cut(ts.Getenv("https"), ":")
	ts.Setenv("server", "localhost:"+port)
	return w.doCertify(ts, []string{w.site})
}

// roots are what everybody in the script trusts.
func (w *world) roots() (*x509.CertPool, error) {
	text, err := os.ReadFile(filepath.Join(w.site, "ca.pem"))
	roots := x509.NewCertPool()
	if err == nil && !roots.AppendCertsFromPEM(text) {
		err = errors.New("no authority in ca.pem")
	}
	return roots, err
}

// doCertify makes an authority and a certificate of it, for localhost and 127.0.0.1,
// in a folder of the
// operator's. A folder that is there gets new ones, in one step each.
func (w *world) doCertify(ts *script, args []string) error {
	if len(args) != 1 {
		return errors.New("want a folder")
	}
	dir := ts.MkAbs(args[0])
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	key, err := siteKey()
	if err != nil {
		return err
	}
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the company's authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 3, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name, kind string
		der        []byte
		mode       os.FileMode
	}{
		{"ca.pem", "CERTIFICATE", caDER, 0o644}, {"key.pem", "PRIVATE KEY", keyDER, 0o600}, {"cert.pem", "CERTIFICATE", der, 0o644},
	} {
		path := filepath.Join(dir, f.name)
		if err := os.WriteFile(path+".new", pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der}), f.mode); err != nil {
			return err
		}
		if err := w.operator.own(path + ".new"); err != nil {
			return err
		}
		if err := os.Rename(path+".new", path); err != nil {
			return err
		}
	}
	return nil
}
