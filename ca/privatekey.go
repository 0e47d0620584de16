package ca

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"
)

// A Key is an Ed25519 key pair in this process's memory. It signs like any
// ssh.Signer, prints as its fingerprint under every verb, and its private half
// leaves only by [WriteKey]. It is safe for concurrent use.
type Key struct {
	private ed25519.PrivateKey
	public  ssh.PublicKey
}

var (
	_ ssh.Signer    = (*Key)(nil)
	_ fmt.Formatter = Key{}
)

// GenerateKey draws a new key from random, which is crypto/rand.Reader outside
// tests.
func GenerateKey(random io.Reader) (*Key, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, fmt.Errorf("generating key: %w", err)
	}
	return newKey(ed25519.NewKeyFromSeed(seed))
}

func newKey(private ed25519.PrivateKey) (*Key, error) {
	public, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		return nil, fmt.Errorf("deriving public key: %w", err)
	}
	return &Key{private: private, public: public}, nil
}

// PublicKey returns the public half.
func (k *Key) PublicKey() ssh.PublicKey { return k.public }

// Sign signs data. Ed25519 is deterministic and needs no randomness.
func (k *Key) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) {
	if !k.usable() {
		return nil, errors.New("signing: no key")
	}
	return &ssh.Signature{Format: ssh.KeyAlgoED25519, Blob: ed25519.Sign(k.private, data)}, nil
}

// Format keeps the private half out of whatever prints a Key.
func (k Key) Format(f fmt.State, _ rune) {
	if !k.usable() {
		_, _ = io.WriteString(f, "no key")
		return
	}
	_, _ = io.WriteString(f, "key "+ssh.FingerprintSHA256(k.public))
}

// usable is false for the zero Key and for nil.
func (k *Key) usable() bool {
	return k != nil && len(k.private) == ed25519.PrivateKeySize && k.public != nil
}
