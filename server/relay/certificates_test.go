package relay_test

import (
	"crypto/rand"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/store"
)

// TestS2CertificatesThatAreNotOurs shows certificates that are wrong in one way
// each. All but the foreign one are signed by the right CA and in the ledger.
func TestS2CertificatesThatAreNotOurs(t *testing.T) {
	w := newWorld(t)
	carol := w.person("carol", nil)
	in := func(d time.Duration) uint64 { return uint64(time.Now().Add(d).Unix()) }
	for name, change := range map[string]func(*ssh.Certificate){
		"no principal":          func(c *ssh.Certificate) { c.ValidPrincipals = nil },
		"empty principal":       func(c *ssh.Certificate) { c.ValidPrincipals = []string{""} },
		"two principals":        func(c *ssh.Certificate) { c.ValidPrincipals = append(c.ValidPrincipals, carol.id.String()) },
		"login as principal":    func(c *ssh.Certificate) { c.ValidPrincipals = []string{"root"} },
		"wildcard principal":    func(c *ssh.Certificate) { c.ValidPrincipals = []string{"*"} },
		"comma in principal":    func(c *ssh.Certificate) { c.ValidPrincipals = []string{carol.id.String() + ",root"} },
		"target's principal":    func(c *ssh.Certificate) { c.ValidPrincipals = []string{"root@db1"} },
		"host certificate":      func(c *ssh.Certificate) { c.CertType = ssh.HostCert },
		"unknown type":          func(c *ssh.Certificate) { c.CertType = 3 },
		"unknown option":        func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"verify-required": ""} },
		"unknown extension":     func(c *ssh.Certificate) { c.Extensions = map[string]string{"no-touch-required": ""} },
		"expired":               func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = in(-time.Hour), in(-time.Second) },
		"not yet valid":         func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = in(time.Minute), in(time.Hour) },
		"valid for ever":        func(c *ssh.Certificate) { c.ValidBefore = ssh.CertTimeInfinity },
		"valid for too long":    func(c *ssh.Certificate) { c.ValidBefore = in(2 * time.Hour) },
		"valid since ever":      func(c *ssh.Certificate) { c.ValidAfter = 0 },
		"serial 0":              func(c *ssh.Certificate) { c.Serial = 0 },
		"emergency serial":      func(c *ssh.Certificate) { c.Serial = uint64(store.EmergencySerial) },
		"free key ID":           func(c *ssh.Certificate) { c.KeyId = "carol" },
		"target's key ID":       func(c *ssh.Certificate) { c.KeyId = ca.TargetKeyID("carol", store.SessionID{}).String() },
		"other source":          func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"source-address": "192.0.2.1/32"} },
		"empty source":          func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"source-address": ""} },
		"every source":          func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"source-address": "0.0.0.0/0"} },
		"empty force-command":   func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"force-command": ""} },
		"extension with value":  func(c *ssh.Certificate) { c.Extensions = map[string]string{"permit-pty": "x"} },
		"principal of a nobody": func(c *ssh.Certificate) { c.ValidPrincipals = []string{store.UserID{1}.String()} },
	} {
		t.Run(name, func(t *testing.T) {
			carol.cert = w.gate.certify(t, carol.id, carol.signer.PublicKey(), change)
			w.refuses(t, carol.certified())
		})
	}
	good := w.gate.certify(t, carol.id, carol.signer.PublicKey(), nil)
	for name, forge := range map[string]func() *ssh.Certificate{
		"foreign CA": func() *ssh.Certificate {
			c := *good
			if err := c.SignCert(rand.Reader, newKey(t)); err != nil {
				t.Fatal(err)
			}
			return &c
		},
		"never issued": func() *ssh.Certificate {
			c := *good
			c.Serial += 1000
			if err := c.SignCert(rand.Reader, w.gate.user); err != nil {
				t.Fatal(err)
			}
			return &c
		},
		"same serial, other certificate": func() *ssh.Certificate {
			c := *good
			if err := c.SignCert(rand.Reader, w.gate.user); err != nil { // another nonce
				t.Fatal(err)
			}
			return &c
		},
		"target CA": func() *ssh.Certificate {
			c := *good
			if err := c.SignCert(rand.Reader, w.gate.target); err != nil {
				t.Fatal(err)
			}
			return &c
		},
		"altered after signing": func() *ssh.Certificate {
			c := *good
			c.Extensions = map[string]string{}
			return &c
		},
	} {
		t.Run(name, func(t *testing.T) {
			carol.cert = forge()
			w.refuses(t, carol.certified())
		})
	}
	t.Run("plain key", func(t *testing.T) { w.refuses(t, carol.signer) })
	t.Run("the good one", func(t *testing.T) {
		carol.cert = good
		if _, banner, err := carol.dial(carol.certified()); err != nil {
			t.Errorf("refused: %v, %s", err, banner)
		}
	})
}

// refuses holds the relay to refusing these keys with a sentence, and to
// starting nothing.
func (w *world) refuses(t *testing.T, signers ...ssh.Signer) {
	t.Helper()
	started := len(w.gate.requests())
	_, banner, err := w.dial(w.login, ssh.PublicKeys(signers...), ssh.KeyboardInteractive(noAnswers))
	if err == nil {
		t.Fatal("the relay let it in")
	}
	if !strings.HasPrefix(banner, "vaultpam: ") {
		t.Errorf("the user reads %q", banner)
	}
	if len(w.gate.requests()) != started {
		t.Error("a session was started")
	}
}

func noAnswers(string, string, []string, []bool) ([]string, error) { return nil, nil }

// TestS3NestedCertificate shows a certificate whose authority is a certificate
// over the CA's key. x/crypto can't sign it, so the bytes are put together here.
func TestS3NestedCertificate(t *testing.T) {
	w := newWorld(t)
	carol := w.person("carol", nil)
	inner := &ssh.Certificate{Key: w.gate.user.PublicKey(), CertType: ssh.UserCert, ValidBefore: ssh.CertTimeInfinity}
	if err := inner.SignCert(rand.Reader, newKey(t)); err != nil {
		t.Fatal(err)
	}
	nested := *carol.cert
	nested.SignatureKey, nested.Signature = inner, nil
	tbs := nested.Marshal()
	tbs = tbs[:len(tbs)-4] // the length of the missing signature
	var err error
	if nested.Signature, err = w.gate.user.Sign(rand.Reader, tbs); err != nil {
		t.Fatal(err)
	}
	if err := inner.Verify(tbs, nested.Signature); err != nil {
		t.Fatalf("the attack was not built: %v", err)
	}
	w.refuses(t, nestedSigner{&nested, carol.signer})
}

// A nestedSigner signs for whatever certificate it is given.
type nestedSigner struct {
	cert *ssh.Certificate
	key  ssh.Signer
}

func (n nestedSigner) PublicKey() ssh.PublicKey { return n.cert }
func (n nestedSigner) Sign(r io.Reader, data []byte) (*ssh.Signature, error) {
	return n.key.Sign(r, data)
}
