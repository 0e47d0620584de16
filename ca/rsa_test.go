package ca_test

import (
	"crypto/rsa"
	"errors"
	"math/big"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
)

// rsaOf is an RSA key of so many bits that belongs to nobody: only its size is
// looked at before it is refused.
func rsaOf(t testing.TB, bits uint) ssh.PublicKey {
	t.Helper()
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	key, err := ssh.NewPublicKey(&rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestS32RSABounds: a key that would cost much to verify with is refused before
// anything is verified with it, wherever a stranger can bring one.
func TestS32RSABounds(t *testing.T) {
	key := newKey(t)
	for bits, want := range map[uint]bool{1024: false, 2047: false, 2048: true, 4096: true, 8192: true, 8193: false, 16384: false} {
		subject := rsaOf(t, bits)
		if _, err := ca.Build(request(ca.User, key.PublicKey(), subject)); (err == nil) != want || !want && !errors.Is(err, ca.ErrKey) {
			t.Errorf("subject of %d bits: %v, want accepted: %v", bits, err, want)
		}
		cert := handSigned(t, key, subject, func(*ssh.Certificate) {})
		if _, err := ca.CheckUser(cert, key.PublicKey(), now, home); (err == nil) != want || !want && !errors.Is(err, ca.ErrKey) {
			t.Errorf("certificate over %d bits: %v, want accepted: %v", bits, err, want)
		}
	}
	for bits, want := range map[uint]bool{3071: false, 3072: true, 8192: true, 8193: false} {
		if _, err := ca.Build(request(ca.User, rsaOf(t, bits), key.PublicKey())); (err == nil) != want || !want && !errors.Is(err, ca.ErrKey) {
			t.Errorf("authority of %d bits: %v, want accepted: %v", bits, err, want)
		}
	}
}
