package login_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// A maker makes authenticators, each with a certificate of its batch.
type maker struct {
	t    testing.TB
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newMaker(t testing.TB) *maker {
	t.Helper()
	m := &maker{t: t, key: newToken(t).key}
	m.cert = m.sign(&x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Maker"}, BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}, &m.key.PublicKey)
	return m
}

func (m *maker) sign(c *x509.Certificate, key *ecdsa.PublicKey) *x509.Certificate {
	m.t.Helper()
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent := m.cert
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key, m.key)
	if err != nil {
		m.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		m.t.Fatal(err)
	}
	return cert
}

// batch is a batch's key and certificate (WebAuthn Level 3, section 8.2.1), which
// names the model where that is not nil.
func (m *maker) batch(model []byte) (*ecdsa.PrivateKey, []byte) {
	m.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		m.t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(2), BasicConstraintsValid: true,
		Subject: pkix.Name{Country: []string{"SE"}, Organization: []string{"Maker"}, OrganizationalUnit: []string{"Authenticator Attestation"}, CommonName: "Batch 7"},
	}
	if model != nil {
		value, err := asn1.Marshal(model)
		if err != nil {
			m.t.Fatal(err)
		}
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4}, Value: value}}
	}
	return key, m.sign(c, &key.PublicKey).Raw
}

// packed is a statement by a key, with whatever else.
func packed(key *ecdsa.PrivateKey, more map[string]any) func(*message) {
	return func(m *message) {
		m.format = "packed"
		m.statement = func(auth, hash []byte) any {
			sig, err := (&token{key: key}).key.Sign(rand.Reader, digest(plainData(auth, hash)), crypto.SHA256)
			if err != nil {
				panic(err)
			}
			all := map[string]any{"alg": -7, "sig": sig}
			for name, v := range more {
				all[name] = v
			}
			return all
		}
	}
}

func digest(data []byte) []byte {
	h := crypto.SHA256.New()
	h.Write(data)
	return h.Sum(nil)
}

// TestS17Attestation: where the company names models, a passkey has to come with
// its maker's word, of a maker that the server knows, and of nobody else.
func TestS17Attestation(t *testing.T) {
	good, bad := newMaker(t), newMaker(t)
	model := store.AAGUID{0x2f, 0xc0, 15: 1}
	o := found(t)
	o.pages.Roots = x509.NewCertPool()
	o.pages.Roots.AddCert(good.cert)
	o.restart()
	o.settle(store.SettingAuthenticators, model.String())
	key, cert := good.batch(model[:])
	otherKey, otherCert := good.batch(random(16))
	plainKey, plainCert := good.batch(nil)
	badKey, badCert := bad.batch(model[:])
	chain := func(certs ...[]byte) map[string]any { return map[string]any{"x5c": certs} }
	self := func(k *token, more map[string]any) func(*message) { return packed(k.key, more) }
	for _, c := range []struct {
		name   string
		change func(*token) func(*message)
		want   access.Kind
	}{
		{"right model, right maker", func(*token) func(*message) { return packed(key, chain(cert)) }, 0},
		{"a certificate without model", func(*token) func(*message) { return packed(plainKey, chain(plainCert)) }, 0},
		{"with the root itself", func(*token) func(*message) { return packed(key, chain(cert, good.cert.Raw)) }, 0},
		{"right model, another maker", func(*token) func(*message) { return packed(badKey, chain(badCert)) }, access.Forbidden},
		{"another maker with its root", func(*token) func(*message) { return packed(badKey, chain(badCert, bad.cert.Raw)) }, access.Forbidden},
		{"another maker, then the right one", func(*token) func(*message) { return packed(badKey, chain(badCert, cert, good.cert.Raw)) }, access.Forbidden},
		{"the right one's certificate, another's key", func(*token) func(*message) { return packed(badKey, chain(cert)) }, access.Unauthenticated},
		{"a certificate of another model", func(*token) func(*message) { return packed(otherKey, chain(otherCert)) }, access.Unauthenticated},
		{"another model", func(*token) func(*message) {
			return func(m *message) { packed(otherKey, chain(otherCert))(m); copy(m.attested, random(16)) }
		}, access.Unauthenticated},
		{"another model without saying so", func(*token) func(*message) {
			return func(m *message) { packed(plainKey, chain(plainCert))(m); copy(m.attested, random(16)) }
		}, access.Forbidden},
		{"none", func(*token) func(*message) { return func(*message) {} }, access.Forbidden},
		{"none with a certificate", func(*token) func(*message) {
			return func(m *message) { m.statement = func(_, _ []byte) any { return chain(cert) } }
		}, access.Unauthenticated},
		{"its own word", func(k *token) func(*message) { return self(k, nil) }, access.Forbidden},
		{"its own word, with a maker's certificate in capitals", func(k *token) func(*message) {
			return self(k, map[string]any{"X5C": [][]byte{cert}})
		}, access.Forbidden},
		{"its own word, with the chain elsewhere", func(k *token) func(*message) {
			return self(k, map[string]any{"certificates": [][]byte{cert}, "x5c": nil})
		}, access.Forbidden},
		{"an empty chain", func(*token) func(*message) { return packed(key, chain()) }, access.Unauthenticated},
		{"a chain of nonsense", func(*token) func(*message) { return packed(key, chain([]byte("x"))) }, access.Unauthenticated},
		{"a maker's own key", func(*token) func(*message) { return packed(good.key, chain(good.cert.Raw)) }, access.Unauthenticated},
	} {
		t.Run(c.name, func(t *testing.T) {
			invitation := o.invite("p" + unpaddedLower())
			begun, asked, err := o.BeginPasskey(invitation, chrome, home)
			if err != nil {
				t.Fatal(err)
			}
			k := newToken(t)
			k.aaguid = model
			_, err = o.FinishPasskey(t.Context(), begun.ID, chrome, k.create(t, asked.Create, c.change(k)), "")
			wantKind(t, "enrolling", err, c.want)
		})
	}
	if n := len(o.entries(store.TypeFactorEnrolled)); n != 3 {
		t.Errorf("%d were enrolled, want 3", n)
	}
}

// unpaddedLower is a part of a handle.
func unpaddedLower() string {
	b := random(8)
	for i := range b {
		b[i] = 'a' + b[i]%26
	}
	return string(b)
}

// TestS17AttestationOfNobody: models without any maker that the server knows are
// models that nobody has.
func TestS17AttestationOfNobody(t *testing.T) {
	m := newMaker(t)
	o := found(t)
	model := store.AAGUID{1}
	invitation := o.invite("carol")
	// It was asked before the company named models: what counts is now.
	begun, asked, err := o.BeginPasskey(invitation, chrome, home)
	if err != nil {
		t.Fatal(err)
	}
	o.settle(store.SettingAuthenticators, model.String())
	k := newToken(t)
	k.aaguid = model
	_, err = o.FinishPasskey(t.Context(), begun.ID, chrome, k.create(t, asked.Create), "")
	wantKind(t, "asked before", err, access.Forbidden)
	if begun, asked, err = o.BeginPasskey(invitation, chrome, home); err != nil {
		t.Fatal(err)
	}
	key, cert := m.batch(model[:])
	_, err = o.FinishPasskey(t.Context(), begun.ID, chrome, k.create(t, asked.Create, packed(key, map[string]any{"x5c": [][]byte{cert}})), "")
	wantKind(t, "no roots", err, access.Forbidden)
	if n := len(o.entries(store.TypeFactorEnrolled)); n != 0 {
		t.Errorf("%d were enrolled", n)
	}
}
