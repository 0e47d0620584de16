package ca_test

import (
	"crypto/rand"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
)

// foreignSigner hides that a key is a ca.Key, as an agent or an HSM would.
type foreignSigner struct{ ssh.Signer }

func BenchmarkBuild(b *testing.B) {
	r := request(ca.Target, newKey(b).PublicKey(), newKey(b).PublicKey())
	for b.Loop() {
		if _, err := ca.Build(r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIssue is Build and Sign and what the wire needs, beside the library's
// SignCert and Marshal, which check nothing.
func BenchmarkIssue(b *testing.B) {
	key := newKey(b)
	for _, c := range []struct {
		name   string
		signer ssh.Signer
	}{{"key", key}, {"foreign signer", foreignSigner{key}}} {
		b.Run(c.name, func(b *testing.B) {
			authority := newAuthority(b, ca.Target, c.signer)
			r := request(ca.Target, key.PublicKey(), newKey(b).PublicKey())
			for b.Loop() {
				issue(b, authority, r).Marshal()
			}
		})
	}
	b.Run("raw SignCert", func(b *testing.B) {
		cert := issue(b, newAuthority(b, ca.Target, key), request(ca.Target, key.PublicKey(), newKey(b).PublicKey()))
		for b.Loop() {
			if err := cert.SignCert(rand.Reader, key); err != nil {
				b.Fatal(err)
			}
			cert.Marshal()
		}
	})
}

func BenchmarkCheckUser(b *testing.B) {
	key := newKey(b)
	cert := issue(b, newAuthority(b, ca.User, key), request(ca.User, key.PublicKey(), newKey(b).PublicKey()))
	for b.Loop() {
		if _, err := ca.CheckUser(cert, key.PublicKey(), now, noAddress); err != nil {
			b.Fatal(err)
		}
	}
}
