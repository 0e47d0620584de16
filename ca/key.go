package ca

import (
	"crypto/rsa"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

const (
	minSubjectRSA   = 2048
	minAuthorityRSA = 3072
	// maxRSA bounds what a verification can be made to cost (CVE-2026-39829).
	maxRSA = 8192
)

// checkSubject accepts the keys that a person, a session or a relay may have.
func checkSubject(key ssh.PublicKey) error {
	switch key.Type() {
	case ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		return nil
	}
	return checkPlainKey(key, minSubjectRSA)
}

// checkAuthority accepts the keys that may sign. Keys that need a finger on them
// ("sk-") are not among them: a server signs unattended.
func checkAuthority(key ssh.PublicKey) error { return checkPlainKey(key, minAuthorityRSA) }

func checkPlainKey(key ssh.PublicKey, minRSA int) error {
	if isCertificate(key) {
		return ErrNested
	}
	switch key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521:
		return nil
	case ssh.KeyAlgoRSA:
		return checkRSA(key, minRSA)
	}
	return fmt.Errorf("%w: type is none of ed25519, ecdsa or rsa", ErrKey)
}

func checkRSA(key ssh.PublicKey, least int) error {
	crypto, ok := key.(ssh.CryptoPublicKey)
	if !ok { // an agent's key is only its encoding
		parsed, err := ssh.ParsePublicKey(key.Marshal())
		if crypto, ok = parsed.(ssh.CryptoPublicKey); err != nil || !ok {
			return fmt.Errorf("%w: unreadable rsa key", ErrKey)
		}
	}
	public, ok := crypto.CryptoPublicKey().(*rsa.PublicKey)
	if !ok {
		return fmt.Errorf("%w: unreadable rsa key", ErrKey)
	}
	if bits := public.N.BitLen(); bits < least || bits > maxRSA {
		return fmt.Errorf("%w: rsa key of %d bits, want %d to %d; ed25519 is the better choice", ErrKey, bits, least, maxRSA)
	}
	return nil
}

// isCertificate goes by both, Go type and name: a nested certificate may have
// been built by hand, or come from an agent that knows only its encoding.
func isCertificate(key ssh.PublicKey) bool {
	_, ok := key.(*ssh.Certificate)
	return ok || strings.Contains(key.Type(), "-cert-")
}

// signatureAlgorithms returns what an authority's key may sign certificates
// with, the preferred one first. SHA-1 ("ssh-rsa") is never among them.
func signatureAlgorithms(key ssh.PublicKey) []string {
	if key.Type() == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{key.Type()}
}

// verify checks cert's signature over tbs by its own SignatureKey, which the
// caller has found to be the authority's.
func verify(cert *ssh.Certificate, tbs []byte) error {
	sig := cert.Signature
	if sig == nil || len(sig.Rest) > 0 || !slices.Contains(signatureAlgorithms(cert.SignatureKey), sig.Format) {
		return ErrSignature
	}
	if err := cert.SignatureKey.Verify(tbs, sig); err != nil {
		return ErrSignature
	}
	return nil
}
