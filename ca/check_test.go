package ca_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/store"
)

var (
	home     = netip.MustParseAddr("192.0.2.7")
	loopback = netip.MustParseAddr("127.0.0.1")
)

// handSigned makes a user certificate with the library alone, past Build and
// Lint: good, then spoiled, then signed.
func handSigned(t testing.TB, authority ssh.Signer, key ssh.PublicKey, spoil func(*ssh.Certificate)) *ssh.Certificate {
	t.Helper()
	cert := &ssh.Certificate{
		Key: key, Serial: 4711, CertType: ssh.UserCert, KeyId: "vaultpam:user:carol:4700",
		ValidPrincipals: []string{carol.String()},
		ValidAfter:      uint64(now.Add(-time.Minute).Unix()), ValidBefore: uint64(now.Add(5 * time.Minute).Unix()),
		Permissions: ssh.Permissions{
			CriticalOptions: map[string]string{"source-address": "192.0.2.0/24,2001:db8::/32"},
			Extensions:      map[string]string{"permit-pty": ""},
		},
	}
	spoil(cert)
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestCheckUserAccepts(t *testing.T) {
	for what, key := range map[string]ssh.Signer{"ed25519": newKey(t), "rsa": rsaSigner(t, 3072)} {
		built := issue(t, newAuthority(t, ca.User, key), request(ca.User, key.PublicKey(), newKey(t).PublicKey()))
		for _, c := range []struct {
			what   string
			cert   *ssh.Certificate
			at     time.Time
			source netip.Addr
		}{
			{"built", built, now, home},
			{"built, no address known", built, now, netip.Addr{}},
			{"first second", built, now.Add(-time.Minute), home},
			{"last instant", built, now.Add(5*time.Minute - 1), home},
			{"by hand", handSigned(t, key, newKey(t).PublicKey(), func(*ssh.Certificate) {}), now, home},
			{"mapped address", handSigned(t, key, newKey(t).PublicKey(), func(*ssh.Certificate) {}), now, netip.MustParseAddr("::ffff:192.0.2.7")},
			{"second network", handSigned(t, key, newKey(t).PublicKey(), func(*ssh.Certificate) {}), now, netip.MustParseAddr("2001:db8::7%eth0")},
			{"command", handSigned(t, key, newKey(t).PublicKey(), func(c *ssh.Certificate) { c.CriticalOptions["force-command"] = "true" }), now, home},
		} {
			user, err := ca.CheckUser(c.cert, key.PublicKey(), c.at, c.source)
			if err != nil || user != carol {
				t.Errorf("%s, %s: %v, %v", what, c.what, user, err)
			}
		}
	}
}

// refusals are certificates with a good signature of the right authority.
func refusals(t *testing.T, authority ssh.PublicKey) []refusal {
	at := func(d time.Duration) uint64 { return uint64(now.Add(d).Unix()) }
	principals := func(p ...string) func(*ssh.Certificate) {
		return func(c *ssh.Certificate) { c.ValidPrincipals = p }
	}
	validity := func(after, before uint64) func(*ssh.Certificate) {
		return func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = after, before }
	}
	critical := func(name, value string) func(*ssh.Certificate) {
		return func(c *ssh.Certificate) { c.CriticalOptions[name] = value }
	}
	extension := func(name, value string) func(*ssh.Certificate) {
		return func(c *ssh.Certificate) { c.Extensions[name] = value }
	}
	keyID := func(id string) func(*ssh.Certificate) { return func(c *ssh.Certificate) { c.KeyId = id } }
	serial := func(n uint64) func(*ssh.Certificate) { return func(c *ssh.Certificate) { c.Serial = n } }
	return []refusal{
		{"no principal", ca.ErrPrincipal, principals()},
		{"empty principal", ca.ErrPrincipal, principals("")},
		{"two principals", ca.ErrPrincipal, principals(carol.String(), store.UserID{1}.String())},
		{"principal twice", ca.ErrPrincipal, principals(carol.String(), carol.String())},
		{"wildcard", ca.ErrPrincipal, principals("*")},
		{"account", ca.ErrPrincipal, principals("root")},
		{"target's principal", ca.ErrPrincipal, principals("root@db1")},
		{"comma inside", ca.ErrPrincipal, principals(carol.String() + ",root")},
		{"space after", ca.ErrPrincipal, principals(carol.String() + " ")},
		{"newline after", ca.ErrPrincipal, principals(carol.String() + "\n")},
		{"NUL after", ca.ErrPrincipal, principals(carol.String() + "\x00")},
		{"upper case", ca.ErrPrincipal, principals("u:" + string(bytes.ToUpper([]byte(carol.String()[2:]))))},
		{"nobody", ca.ErrPrincipal, principals(store.UserID{}.String())},
		{"short ID", ca.ErrPrincipal, principals(carol.String()[:20])},
		{"host certificate", ca.ErrWrongType, func(c *ssh.Certificate) { c.CertType = ssh.HostCert }},
		{"type 0", ca.ErrWrongType, func(c *ssh.Certificate) { c.CertType = 0 }},
		{"type 3", ca.ErrWrongType, func(c *ssh.Certificate) { c.CertType = 3 }},
		{"expired", ca.ErrExpired, validity(at(-10*time.Minute), at(-time.Second))},
		{"expires this second", ca.ErrExpired, validity(at(-10*time.Minute), at(0))},
		{"not yet valid", ca.ErrNotYetValid, validity(at(time.Second), at(5*time.Minute))},
		{"for ever", ca.ErrValidity, validity(at(-time.Minute), ssh.CertTimeInfinity)},
		{"always", ca.ErrValidity, validity(0, ssh.CertTimeInfinity)},
		{"since ever", ca.ErrValidity, validity(0, at(time.Minute))},
		{"backwards", ca.ErrValidity, validity(at(time.Minute), at(-time.Minute))},
		{"longer than policy", ca.ErrValidity, validity(at(-time.Minute), at(59*time.Minute+time.Second))},
		{"a year", ca.ErrValidity, validity(at(-time.Minute), at(365*24*time.Hour))},
		{"beyond int64", ca.ErrValidity, validity(1<<63-10, 1<<63+10)},
		{"unknown option", ca.ErrOption, critical("only-on-sundays", "")},
		{"verify-required", ca.ErrOption, critical("verify-required", "")},
		{"extension as option", ca.ErrOption, critical("permit-pty", "")},
		{"empty command", ca.ErrOption, critical("force-command", "")},
		{"command of two lines", ca.ErrOption, critical("force-command", "a\nb")},
		{"other source", ca.ErrSource, critical("source-address", "198.51.100.0/24")},
		{"empty source", ca.ErrOption, critical("source-address", "")},
		{"every source", ca.ErrOption, critical("source-address", "0.0.0.0/0")},
		{"source without mask", ca.ErrOption, critical("source-address", "192.0.2.7")},
		{"source with host bits", ca.ErrOption, critical("source-address", "192.0.2.7/24")},
		{"source with a space", ca.ErrOption, critical("source-address", "192.0.2.0/24, 198.51.100.0/24")},
		{"source and rubbish", ca.ErrOption, critical("source-address", "192.0.2.0/24,x")},
		{"negated source", ca.ErrOption, critical("source-address", "!198.51.100.0/24")},
		{"unknown extension", ca.ErrOption, extension("permit-everything", "")},
		{"no-touch-required", ca.ErrOption, extension("no-touch-required", "")},
		{"extension with value", ca.ErrOption, extension("permit-pty", "yes")},
		{"reserved field", ca.ErrMalformed, func(c *ssh.Certificate) { c.Reserved = []byte{0} }},
		{"target's key ID", ca.ErrWrongType, keyID("vaultpam:target:carol:" + session.String())},
		{"emergency key ID", ca.ErrWrongType, keyID("vaultpam:emergency:db1")},
		{"host's key ID", ca.ErrWrongType, keyID("vaultpam:host:db1.pam")},
		{"empty key ID", ca.ErrKeyID, keyID("")},
		{"free key ID", ca.ErrKeyID, keyID("carol")},
		{"key ID with more", ca.ErrKeyID, keyID("vaultpam:user:carol:4700 ")},
		{"key ID with zeros", ca.ErrKeyID, keyID("vaultpam:user:carol:04700")},
		{"serial 0", ca.ErrSerial, serial(0)},
		{"emergency serial", ca.ErrSerial, serial(1 << 52)},
		{"serial beyond all", ca.ErrSerial, serial(1 << 63)},
		{"weak key", ca.ErrKey, func(c *ssh.Certificate) { c.Key = rsaSigner(t, 1024).PublicKey() }},
		{"authority's own key", ca.ErrKey, func(c *ssh.Certificate) { c.Key = authority }},
	}
}

type refusal struct {
	what  string
	want  error
	spoil func(*ssh.Certificate)
}

func TestS2CheckUserRefuses(t *testing.T) {
	key := newKey(t)
	all := refusals(t, key.PublicKey())
	for _, c := range all {
		cert := handSigned(t, key, newKey(t).PublicKey(), c.spoil)
		user, err := ca.CheckUser(cert, key.PublicKey(), now, home)
		if !errors.Is(err, c.want) || !user.IsZero() {
			t.Errorf("%s: %v, %v; want %v", c.what, user, err, c.want)
		}
	}
	t.Logf("%d certificates with a good signature refused", len(all))
}

// What is wrong here is wrong after signing, or with the signature itself.
func TestS2CheckUserRefusesSignatures(t *testing.T) {
	key, rsaKey := newKey(t), rsaSigner(t, 3072)
	good := func() *ssh.Certificate { return handSigned(t, key, newKey(t).PublicKey(), func(*ssh.Certificate) {}) }
	after := func(spoil func(*ssh.Certificate)) *ssh.Certificate {
		cert := good()
		spoil(cert)
		return cert
	}
	resign := func(cert *ssh.Certificate) *ssh.Certificate {
		sig, err := key.Sign(nil, tbsOf(cert))
		if err != nil {
			t.Fatal(err)
		}
		cert.Signature = sig
		return cert
	}
	sha1, err := ssh.NewSignerWithAlgorithms(rsaKey.(ssh.AlgorithmSigner), []string{ssh.KeyAlgoRSA})
	if err != nil {
		t.Fatal(err)
	}
	own := newKey(t)
	cases := []struct {
		what      string
		want      error
		authority ssh.PublicKey
		cert      *ssh.Certificate
	}{
		{"nil", ca.ErrMalformed, key.PublicKey(), nil},
		{"zero", ca.ErrMalformed, key.PublicKey(), new(ssh.Certificate)},
		{"no subject key", ca.ErrMalformed, key.PublicKey(), after(func(c *ssh.Certificate) { c.Key = nil })},
		{"no signature key", ca.ErrMalformed, key.PublicKey(), after(func(c *ssh.Certificate) { c.SignatureKey = nil })},
		{"no signature", ca.ErrSignature, key.PublicKey(), after(func(c *ssh.Certificate) { c.Signature = nil })},
		{"empty signature", ca.ErrSignature, key.PublicKey(), after(func(c *ssh.Certificate) { c.Signature = new(ssh.Signature) })},
		{"bit flipped", ca.ErrSignature, key.PublicKey(), after(func(c *ssh.Certificate) { c.Signature.Blob[9] ^= 1 })},
		{"signature with more", ca.ErrSignature, key.PublicKey(), after(func(c *ssh.Certificate) { c.Signature.Rest = []byte{1} })},
		{"signature of another", ca.ErrSignature, key.PublicKey(), after(func(c *ssh.Certificate) { c.Signature = good().Signature })},
		{"serial changed", ca.ErrSignature, key.PublicKey(), after(func(c *ssh.Certificate) { c.Serial++ })},
		{"validity stretched", ca.ErrSignature, key.PublicKey(), after(func(c *ssh.Certificate) { c.ValidBefore++ })},
		{"restriction dropped", ca.ErrSignature, key.PublicKey(), after(func(c *ssh.Certificate) { c.CriticalOptions = nil })},
		{"short nonce", ca.ErrMalformed, key.PublicKey(), resign(after(func(c *ssh.Certificate) { c.Nonce = c.Nonce[:16] }))},
		{"zero nonce", ca.ErrMalformed, key.PublicKey(), resign(after(func(c *ssh.Certificate) { clear(c.Nonce) }))},
		{"foreign", ca.ErrForeign, newKey(t).PublicKey(), good()},
		{"signed by itself", ca.ErrForeign, key.PublicKey(), handSigned(t, own, own.PublicKey(), func(*ssh.Certificate) {})},
		{"foreign that names us", ca.ErrSignature, key.PublicKey(), func() *ssh.Certificate {
			c := handSigned(t, own, newKey(t).PublicKey(), func(*ssh.Certificate) {})
			c.SignatureKey = key.PublicKey()
			sig, err := own.Sign(nil, tbsOf(c))
			if err != nil {
				t.Fatal(err)
			}
			c.Signature = sig
			return c
		}()},
		{"SHA-1", ca.ErrSignature, rsaKey.PublicKey(), handSigned(t, sha1, newKey(t).PublicKey(), func(*ssh.Certificate) {})},
		{"no authority", ca.ErrForeign, nil, good()},
		{"weak authority", ca.ErrForeign, rsaSigner(t, 1024).PublicKey(), good()},
	}
	for _, c := range cases {
		if user, err := ca.CheckUser(c.cert, c.authority, now, home); !errors.Is(err, c.want) || !user.IsZero() {
			t.Errorf("%s: %v, %v; want %v", c.what, user, err, c.want)
		}
	}
	if _, err := ca.CheckUser(good(), key.PublicKey(), now, netip.Addr{}); !errors.Is(err, ca.ErrSource) {
		t.Errorf("restricted, address unknown: %v, want ErrSource", err)
	}
	if _, err := ca.CheckUser(good(), key.PublicKey(), time.Time{}, home); !errors.Is(err, ca.ErrNotYetValid) {
		t.Errorf("no clock: %v, want ErrNotYetValid", err)
	}
	t.Logf("%d certificates refused", len(cases)+2)
}

// S2: certificates of the other authorities, issued properly, open nothing at
// the relay, even if a company used one key for all.
func TestS2OtherAuthorities(t *testing.T) {
	key := newKey(t)
	for kind := ca.Target; kind <= ca.Emergency; kind++ {
		cert := issue(t, newAuthority(t, kind, key), request(kind, key.PublicKey(), newKey(t).PublicKey()))
		if _, err := ca.CheckUser(cert, key.PublicKey(), now, home); err == nil {
			t.Errorf("%v certificate accepted as a user's", kind)
		}
	}
}

// nested returns a certificate whose signature key is itself a certificate over
// the CA's key, and that inner certificate (CVE-2025-49825).
func nested(t testing.TB, key *ca.Key) (*ssh.Certificate, *ssh.Certificate) {
	t.Helper()
	inner := handSigned(t, newKey(t), key.PublicKey(), func(*ssh.Certificate) {})
	cert := handSigned(t, key, newKey(t).PublicKey(), func(*ssh.Certificate) {})
	cert.SignatureKey = inner
	sig, err := key.Sign(nil, tbsOf(cert))
	if err != nil {
		t.Fatal(err)
	}
	cert.Signature = sig
	return cert, inner
}

func TestS3Nested(t *testing.T) {
	key := newKey(t)
	cert, inner := nested(t, key)
	if err := inner.Verify(tbsOf(cert), cert.Signature); err != nil {
		t.Fatalf("the attack was not built: %v", err)
	}
	if _, err := ca.CheckUser(cert, key.PublicKey(), now, home); !errors.Is(err, ca.ErrNested) {
		t.Errorf("signature key is a certificate: %v, want ErrNested", err)
	}
	if _, err := ca.CheckUser(cert, inner, now, home); !errors.Is(err, ca.ErrForeign) {
		t.Errorf("authority is a certificate: %v, want ErrForeign", err)
	}
	if _, err := ssh.ParsePublicKey(cert.Marshal()); err == nil {
		t.Error("a nested certificate parses")
	}
	if err := ca.Lint(ca.User, tbsOf(cert)); err == nil {
		t.Error("a nested certificate passes the lint")
	}
	subject := handSigned(t, key, newKey(t).PublicKey(), func(*ssh.Certificate) {})
	subject.Key = inner
	if _, err := ca.CheckUser(subject, key.PublicKey(), now, home); !errors.Is(err, ca.ErrNested) {
		t.Errorf("subject is a certificate: %v, want ErrNested", err)
	}
	if ca.Hash(cert) != [32]byte{} || ca.Hash(subject) != [32]byte{} {
		t.Error("a nested certificate has a hash")
	}
}
