package ca

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"
)

// An Authority holds one signing key and signs certificates of one kind. It is
// safe for concurrent use if its key is; a [Key] is.
type Authority struct {
	kind    Kind
	public  ssh.PublicKey
	encoded []byte // public, marshalled
	// sign is the only way to the key.
	sign func(tbs []byte) (*ssh.Signature, error)
	// ours says that the key is a Key: in this process's memory, by this package.
	ours bool
}

// NewAuthority makes an authority of a key: a [Key], or any signer, such as an
// ssh-agent's in front of an HSM. Certificates, "sk-" keys, and RSA outside
// 3072..8192 bits are refused. An RSA key must be able to sign with SHA-2
// (RFC 8332). It signs one probe, so that a signer that answers for another key
// is found at the start and not at a login.
func NewAuthority(kind Kind, key ssh.Signer) (*Authority, error) {
	if kind < User || kind > Emergency {
		return nil, fmt.Errorf("opening certificate authority: %v", kind)
	}
	if k, isKey := key.(*Key); key == nil || isKey && !k.usable() || key.PublicKey() == nil {
		return nil, fmt.Errorf("opening %v CA: no key", kind)
	}
	encoded := key.PublicKey().Marshal()
	public, err := ssh.ParsePublicKey(encoded)
	if err != nil {
		return nil, fmt.Errorf("opening %v CA: %w: unreadable public key", kind, ErrKey)
	}
	if err := checkAuthority(public); err != nil {
		return nil, fmt.Errorf("opening %v CA: %w", kind, err)
	}
	sign, err := signFunc(key, signatureAlgorithms(public))
	if err != nil {
		return nil, fmt.Errorf("opening %v CA: %w", kind, err)
	}
	_, ours := key.(*Key)
	a := &Authority{kind: kind, public: public, encoded: encoded, sign: sign, ours: ours}
	if err := a.probe(); err != nil {
		return nil, fmt.Errorf("opening %v CA: %w", kind, err)
	}
	return a, nil
}

// signFunc picks the first of the allowed algorithms that the key can do.
func signFunc(key ssh.Signer, allowed []string) (func([]byte) (*ssh.Signature, error), error) {
	algorithm := allowed[0]
	if multi, ok := key.(ssh.MultiAlgorithmSigner); ok {
		i := slices.IndexFunc(allowed, func(a string) bool { return slices.Contains(multi.Algorithms(), a) })
		if i < 0 {
			return nil, fmt.Errorf("%w: signs with none of %v", ErrKey, allowed)
		}
		algorithm = allowed[i]
	}
	if s, ok := key.(ssh.AlgorithmSigner); ok {
		return func(tbs []byte) (*ssh.Signature, error) { return s.SignWithAlgorithm(rand.Reader, tbs, algorithm) }, nil
	}
	if key.PublicKey().Type() == ssh.KeyAlgoRSA {
		return nil, fmt.Errorf("%w: the signer cannot choose SHA-2 for its rsa key", ErrKey)
	}
	return func(tbs []byte) (*ssh.Signature, error) { return key.Sign(rand.Reader, tbs) }, nil
}

// probe signs something that can never be a certificate: no certificate's bytes
// are this short.
func (a *Authority) probe() error {
	text := []byte("vaultpam: is this key usable?")
	sig, err := a.sign(text)
	if err != nil {
		return fmt.Errorf("trying the key: %w", err)
	}
	if err := verify(&ssh.Certificate{SignatureKey: a.public, Signature: sig}, text); err != nil {
		return fmt.Errorf("trying the key: %w", err)
	}
	return nil
}

// Kind returns what the authority signs.
func (a *Authority) Kind() Kind { return a.kind }

// PublicKey returns the key that certificates of this authority name.
func (a *Authority) PublicKey() ssh.PublicKey { return a.public }

// Sign signs exactly the bytes that [Unsigned.Hash] is the hash of. An Unsigned
// is taken once: of any number of calls, at the same time or later, at most one
// returns a certificate. If the key fails after that, or the process dies, the
// certificate stays unsigned and its entry stands: it counts as issued.
func (a *Authority) Sign(u *Unsigned) (*ssh.Certificate, error) {
	if a == nil || a.sign == nil || u == nil || u.cert == nil {
		return nil, errors.New("signing certificate: no authority or no certificate")
	}
	if u.kind != a.kind {
		return nil, fmt.Errorf("signing %v certificate: %w: this is the %v CA", u.kind, ErrWrongType, a.kind)
	}
	if !bytes.Equal(marshal(u.cert.SignatureKey), a.encoded) {
		return nil, fmt.Errorf("signing %v certificate: %w: built for another key", u.kind, ErrForeign)
	}
	if !u.used.CompareAndSwap(false, true) {
		return nil, fmt.Errorf("signing %v certificate %d: %w", u.kind, u.cert.Serial, ErrUsed)
	}
	sig, err := a.sign(u.tbs)
	if err != nil {
		return nil, fmt.Errorf("signing %v certificate %d: %w", u.kind, u.cert.Serial, err)
	}
	cert := *u.cert
	cert.Signature = sig
	if err := a.checkSigned(&cert, u); err != nil {
		return nil, fmt.Errorf("signing %v certificate %d: %w", u.kind, u.cert.Serial, err)
	}
	return &cert, nil
}

// checkSigned makes sure that what leaves is what was hashed, and that a foreign
// signer did sign it. The check of the signature costs more than twice what an
// Ed25519 signature does, and is left out for a Key: that is the standard
// library over a pair whose halves were matched when it was loaded, and a fault
// of the machine there tells nobody the key, because nonce and single use keep
// two signatures from ever being made over the same bytes.
func (a *Authority) checkSigned(cert *ssh.Certificate, u *Unsigned) error {
	if Hash(cert) != u.hash {
		return fmt.Errorf("%w: encodes to other bytes than were hashed", ErrMalformed)
	}
	if a.ours {
		return nil
	}
	return verify(cert, u.tbs)
}
