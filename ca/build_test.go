package ca_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/store"
)

func signer(t testing.TB, key any) ssh.Signer {
	t.Helper()
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func rsaSigner(t testing.TB, bits int) ssh.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return signer(t, key)
}

func ecdsaSigner(t testing.TB, curve elliptic.Curve) ssh.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer(t, key)
}

// skKey is the public half of a security key, which needs no security key.
func skKey(t testing.TB) ssh.PublicKey {
	t.Helper()
	public := newKey(t).PublicKey().(ssh.CryptoPublicKey).CryptoPublicKey().(ed25519.PublicKey)
	key, err := ssh.ParsePublicKey(ssh.Marshal(struct {
		Type        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, public, "ssh:"}))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestBuildAccepts(t *testing.T) {
	authority, subject := newKey(t).PublicKey(), newKey(t).PublicKey()
	for what, c := range map[string]struct {
		kind  ca.Kind
		shape func(*ca.Request)
	}{
		"user":               {ca.User, func(*ca.Request) {}},
		"user, one hour":     {ca.User, func(r *ca.Request) { r.ValidBefore = r.ValidAfter.Add(ca.MaxUserValidity) }},
		"user, restricted":   {ca.User, func(r *ca.Request) { r.SourceAddress = prefixes("192.0.2.0/24", "2001:db8::/32") }},
		"user, command":      {ca.User, func(r *ca.Request) { r.ForceCommand = "backup --to 'größe'" }},
		"user, no extension": {ca.User, func(r *ca.Request) { r.Extensions = nil }},
		"user, security key": {ca.User, func(r *ca.Request) { r.Key = skKey(t) }},
		"user, P-521":        {ca.User, func(r *ca.Request) { r.Key = ecdsaSigner(t, elliptic.P521()).PublicKey() }},
		"user, RSA 2048":     {ca.User, func(r *ca.Request) { r.Key = rsaSigner(t, 2048).PublicKey() }},
		"user, last serial":  {ca.User, func(r *ca.Request) { r.Serial = store.EmergencySerial - 1 }},
		"target":             {ca.Target, func(*ca.Request) {}},
		"target, 121 s":      {ca.Target, func(r *ca.Request) { r.ValidBefore = r.ValidAfter.Add(121 * time.Second) }},
		"target, mid-second": {ca.Target, func(r *ca.Request) {
			r.ValidAfter, r.ValidBefore = r.ValidAfter.Add(999*time.Millisecond), r.ValidBefore.Add(999*time.Millisecond)
		}},
		"direct, the longest": {ca.Target, func(r *ca.Request) {
			direct(r)
			r.ValidBefore = r.ValidAfter.Add(ca.MaxDirectValidity)
		}},
		"direct, from anywhere": {ca.Target, func(r *ca.Request) {
			direct(r)
			r.SourceAddress = nil
		}},
		"host":                  {ca.Host, func(*ca.Request) {}},
		"host, address":         {ca.Host, func(r *ca.Request) { r.Principal, r.KeyID = "2001:db8::1", ca.HostKeyID("2001:db8::1") }},
		"emergency":             {ca.Emergency, func(*ca.Request) {}},
		"emergency, last":       {ca.Emergency, func(r *ca.Request) { r.Serial = store.SerialLimit - 1 }},
		"emergency, restricted": {ca.Emergency, func(r *ca.Request) { r.SourceAddress = prefixes("192.0.2.7/32") }},
	} {
		r := request(c.kind, authority, subject)
		c.shape(&r)
		u, err := ca.Build(r)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if u.Kind() != c.kind || u.Serial() != r.Serial || !u.ValidAfter().Equal(r.ValidAfter.Truncate(time.Second)) || !u.ValidBefore().Equal(r.ValidBefore.Truncate(time.Second)) {
			t.Errorf("%s: got %v %d %v %v", what, u.Kind(), u.Serial(), u.ValidAfter(), u.ValidBefore())
		}
		if again, err := ca.Build(r); err != nil || again.Hash() != u.Hash() {
			t.Errorf("%s: the same request gave other bytes (%v)", what, err)
		}
	}
}

func direct(r *ca.Request) { r.KeyID = ca.DirectKeyID("carol", 4700) }

func prefixes(texts ...string) []netip.Prefix {
	var p []netip.Prefix
	for _, s := range texts {
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}

func TestS9BuildRefuses(t *testing.T) {
	key := newKey(t)
	authority, subject := key.PublicKey(), newKey(t).PublicKey()
	nested := issue(t, newAuthority(t, ca.User, key), request(ca.User, authority, subject))
	many := make([]netip.Prefix, 65)
	for i := range many {
		many[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 32)
	}
	cases := []struct {
		what  string
		kind  ca.Kind
		want  error
		spoil func(*ca.Request)
	}{
		{"zero kind", ca.User, ca.ErrWrongType, func(r *ca.Request) { r.Kind = 0 }},
		{"unknown kind", ca.User, ca.ErrWrongType, func(r *ca.Request) { r.Kind = 5 }},
		{"no authority", ca.User, ca.ErrMalformed, func(r *ca.Request) { r.Authority = nil }},
		{"no key", ca.User, ca.ErrMalformed, func(r *ca.Request) { r.Key = nil }},
		{"authority's own key", ca.User, ca.ErrKey, func(r *ca.Request) { r.Key = r.Authority }},
		{"nested subject", ca.User, ca.ErrNested, func(r *ca.Request) { r.Key = nested }},
		{"nested authority", ca.User, ca.ErrNested, func(r *ca.Request) { r.Authority = nested }},
		{"weak subject", ca.User, ca.ErrKey, func(r *ca.Request) { r.Key = rsaSigner(t, 1024).PublicKey() }},
		{"weak authority", ca.User, ca.ErrKey, func(r *ca.Request) { r.Authority = rsaSigner(t, 2048).PublicKey() }},
		{"security key as authority", ca.User, ca.ErrKey, func(r *ca.Request) { r.Authority = skKey(t) }},
		{"no principal", ca.User, ca.ErrPrincipal, func(r *ca.Request) { r.Principal = "" }},
		{"account as user", ca.User, ca.ErrPrincipal, func(r *ca.Request) { r.Principal = "root" }},
		{"user on a target", ca.Target, ca.ErrPrincipal, func(r *ca.Request) { r.Principal = carol.String() }},
		{"bare login", ca.Target, ca.ErrPrincipal, func(r *ca.Request) { r.Principal = "root" }},
		{"wildcard host", ca.Host, ca.ErrPrincipal, func(r *ca.Request) { r.Principal = "*.pam" }},
		{"user serial 0", ca.User, ca.ErrSerial, func(r *ca.Request) { r.Serial = 0 }},
		{"target serial 2^52", ca.Target, ca.ErrSerial, func(r *ca.Request) { r.Serial = store.EmergencySerial }},
		{"host serial 1", ca.Host, ca.ErrSerial, func(r *ca.Request) { r.Serial = 1 }},
		{"emergency serial below", ca.Emergency, ca.ErrSerial, func(r *ca.Request) { r.Serial = store.EmergencySerial - 1 }},
		{"emergency serial 2^53", ca.Emergency, ca.ErrSerial, func(r *ca.Request) { r.Serial = store.SerialLimit }},
		{"no times", ca.User, ca.ErrValidity, func(r *ca.Request) { r.ValidAfter, r.ValidBefore = time.Time{}, time.Time{} }},
		{"no end", ca.User, ca.ErrValidity, func(r *ca.Request) { r.ValidBefore = time.Time{} }},
		{"empty validity", ca.User, ca.ErrValidity, func(r *ca.Request) { r.ValidBefore = r.ValidAfter }},
		{"backwards", ca.User, ca.ErrValidity, func(r *ca.Request) { r.ValidBefore = r.ValidAfter.Add(-time.Second) }},
		{"before 1970", ca.User, ca.ErrValidity, func(r *ca.Request) { r.ValidAfter = time.Unix(-5, 0) }},
		{"for ever", ca.User, ca.ErrValidity, func(r *ca.Request) { r.ValidBefore = time.Unix(1<<62, 0) }},
		{"user too long", ca.User, ca.ErrValidity, func(r *ca.Request) { r.ValidBefore = r.ValidAfter.Add(ca.MaxUserValidity + time.Second) }},
		{"target too long", ca.Target, ca.ErrValidity, func(r *ca.Request) { r.ValidBefore = r.ValidAfter.Add(ca.MaxTargetValidity + time.Second) }},
		{"direct too long", ca.Target, ca.ErrValidity, func(r *ca.Request) { direct(r); r.ValidBefore = r.ValidAfter.Add(ca.MaxDirectValidity + time.Second) }},
		{"direct for a user", ca.User, ca.ErrWrongType, direct},
		{"direct for nobody", ca.Target, ca.ErrPrincipal, func(r *ca.Request) { direct(r); r.Principal = "" }},
		{"direct for two", ca.Target, ca.ErrPrincipal, func(r *ca.Request) { direct(r); r.Principal = "root@db1,root@db2" }},
		{"host too long", ca.Host, ca.ErrValidity, func(r *ca.Request) { r.ValidBefore = r.ValidAfter.Add(ca.MaxHostValidity + time.Second) }},
		{"emergency too long", ca.Emergency, ca.ErrValidity, func(r *ca.Request) { r.ValidBefore = r.ValidAfter.Add(ca.MaxEmergencyValidity + time.Second) }},
		{"target without source", ca.Target, ca.ErrOption, func(r *ca.Request) { r.SourceAddress = nil }},
		{"every source", ca.Target, ca.ErrOption, func(r *ca.Request) { r.SourceAddress = prefixes("0.0.0.0/0") }},
		{"unmasked source", ca.Target, ca.ErrOption, func(r *ca.Request) { r.SourceAddress = prefixes("192.0.2.7/24") }},
		{"mapped source", ca.Target, ca.ErrOption, func(r *ca.Request) { r.SourceAddress = prefixes("::ffff:192.0.2.7/128") }},
		{"zero source", ca.Target, ca.ErrOption, func(r *ca.Request) { r.SourceAddress = make([]netip.Prefix, 1) }},
		{"too many sources", ca.Target, ca.ErrOption, func(r *ca.Request) { r.SourceAddress = many }},
		{"host with source", ca.Host, ca.ErrOption, func(r *ca.Request) { r.SourceAddress = prefixes("192.0.2.7/32") }},
		{"host with extension", ca.Host, ca.ErrOption, func(r *ca.Request) { r.Extensions = []string{ca.PermitPTY} }},
		{"command with newline", ca.User, ca.ErrOption, func(r *ca.Request) { r.ForceCommand = "a\nb" }},
		{"command not UTF-8", ca.User, ca.ErrOption, func(r *ca.Request) { r.ForceCommand = "\xff" }},
		{"command too long", ca.User, ca.ErrOption, func(r *ca.Request) { r.ForceCommand = strings.Repeat("x", 4097) }},
		{"unknown extension", ca.User, ca.ErrOption, func(r *ca.Request) { r.Extensions = []string{"permit-everything"} }},
		{"no-touch-required", ca.User, ca.ErrOption, func(r *ca.Request) { r.Extensions = []string{"no-touch-required"} }},
		{"extensions unsorted", ca.User, ca.ErrOption, func(r *ca.Request) { r.Extensions = []string{ca.PermitPTY, ca.PermitPortForwarding} }},
		{"extension twice", ca.User, ca.ErrOption, func(r *ca.Request) { r.Extensions = []string{ca.PermitPTY, ca.PermitPTY} }},
		{"no nonce", ca.User, ca.ErrMalformed, func(r *ca.Request) { r.Nonce = [32]byte{} }},
	}
	for _, c := range cases {
		r := request(c.kind, authority, subject)
		c.spoil(&r)
		if u, err := ca.Build(r); !errors.Is(err, c.want) || u != nil {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
	t.Logf("%d requests refused", len(cases))
}

// tbsOf cuts the signature off a certificate's encoding, by the format alone: it
// is the last field, a string.
func tbsOf(cert *ssh.Certificate) []byte {
	blob, sig := cert.Marshal(), ssh.Marshal(cert.Signature)
	return blob[:len(blob)-len(sig)-4]
}

// S8, S9: the hash that the entry holds is that of the bytes under the
// signature, for every type of authority key.
func TestS9HashedIsSigned(t *testing.T) {
	for what, key := range map[string]ssh.Signer{
		"key": newKey(t), "foreign ed25519": foreignSigner{newKey(t)}, "p256": ecdsaSigner(t, elliptic.P256()),
		"p384": ecdsaSigner(t, elliptic.P384()), "p521": ecdsaSigner(t, elliptic.P521()), "rsa": rsaSigner(t, 3072),
	} {
		for kind := ca.User; kind <= ca.Emergency; kind++ {
			a := newAuthority(t, kind, key)
			u, err := ca.Build(request(kind, a.PublicKey(), newKey(t).PublicKey()))
			if err != nil {
				t.Fatal(err)
			}
			cert, err := a.Sign(u)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			tbs := tbsOf(cert)
			if sha256.Sum256(tbs) != u.Hash() || ca.Hash(cert) != u.Hash() {
				t.Errorf("%s, %v: hash differs", what, kind)
			}
			if err := a.PublicKey().Verify(tbs, cert.Signature); err != nil || cert.Signature.Format == ssh.KeyAlgoRSA {
				t.Errorf("%s, %v: signature %s: %v", what, kind, cert.Signature.Format, err)
			}
			back, err := ssh.ParsePublicKey(cert.Marshal())
			if err != nil || ca.Hash(back.(*ssh.Certificate)) != u.Hash() {
				t.Errorf("%s, %v: after the wire: %v", what, kind, err)
			}
		}
	}
	if ca.Hash(nil) != [32]byte{} || ca.Hash(&ssh.Certificate{}) != [32]byte{} {
		t.Error("the hash of nothing is not zero")
	}
}

// No byte of the signed bytes may change without the lint or the hash seeing it,
// and no other text may stand for the same certificate.
func TestS9LintSeesOnlyCanonicalBytes(t *testing.T) {
	key := newKey(t)
	a := newAuthority(t, ca.Target, key)
	tbs := tbsOf(issue(t, a, request(ca.Target, key.PublicKey(), newKey(t).PublicKey())))
	if err := ca.Lint(ca.Target, tbs); err != nil {
		t.Fatal(err)
	}
	for n := range len(tbs) {
		if ca.Lint(ca.Target, tbs[:n]) == nil {
			t.Errorf("accepted the first %d bytes alone", n)
		}
	}
	for _, extra := range [][]byte{{0}, {0, 0, 0, 0}, tbs} {
		if ca.Lint(ca.Target, append(bytes.Clone(tbs), extra...)) == nil {
			t.Errorf("accepted %d bytes more", len(extra))
		}
	}
	for _, kind := range []ca.Kind{0, ca.User, ca.Host, ca.Emergency, 5} {
		if ca.Lint(kind, tbs) == nil {
			t.Errorf("accepted as %v", kind)
		}
	}
	for _, certType := range []uint32{0, ssh.HostCert, 3} {
		cert := issue(t, a, request(ca.Target, key.PublicKey(), newKey(t).PublicKey()))
		cert.CertType = certType
		if err := ca.Lint(ca.Target, tbsOf(cert)); !errors.Is(err, ca.ErrWrongType) {
			t.Errorf("type %d: %v, want ErrWrongType", certType, err)
		}
	}
	// An empty option value may be written as no bytes, or as an empty string.
	pty := ssh.Marshal(struct{ Name, Value string }{ca.PermitPTY, ""})
	long := ssh.Marshal(struct{ Name, Value string }{ca.PermitPTY, "\x00\x00\x00\x00"})
	other := bytes.Replace(tbs, ssh.Marshal(struct{ List []byte }{pty}), ssh.Marshal(struct{ List []byte }{long}), 1)
	if bytes.Equal(other, tbs) {
		t.Fatal("the second text was not made")
	}
	if err := ca.Lint(ca.Target, other); !errors.Is(err, ca.ErrMalformed) {
		t.Errorf("second text of the same certificate: %v, want ErrMalformed", err)
	}
}
