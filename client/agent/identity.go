package agent

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/crypto/ssh"
)

// What can be wrong with an identity. Each is put right by a new certificate.
var (
	ErrMissing    = errors.New("no key and certificate here yet")
	ErrUnreadable = errors.New("identity file cannot be read")
	ErrMismatch   = errors.New("key and certificate do not belong together")
	ErrExposed    = errors.New("private key can be read by others")
)

// ErrClock says that a certificate fresh from the server is not valid by this
// machine's clock.
var ErrClock = errors.New("the server's certificate is not valid by this machine's clock; set the clock right")

// An Identity is a private key and the user certificate for it.
type Identity struct {
	Key  ed25519.PrivateKey
	Cert *ssh.Certificate
}

// NeedsRenewal says that less than a third of the certificate's life is left,
// or that it is not valid yet, or that there is none.
func NeedsRenewal(cert *ssh.Certificate, now time.Time) bool {
	if !validAt(cert, now) {
		return true
	}
	life := cert.ValidBefore - cert.ValidAfter
	left := cert.ValidBefore - uint64(now.Unix())
	return left < (life+2)/3
}

// validAt says that cert is valid at now. OpenSSH's end is exclusive.
func validAt(cert *ssh.Certificate, now time.Time) bool {
	if cert == nil || now.Unix() < 0 {
		return false
	}
	t := uint64(now.Unix())
	return cert.ValidAfter <= t && t < cert.ValidBefore
}

// checkPair refuses what a server should never send: a certificate for another
// key, for a host, or without an end.
func checkPair(key ed25519.PrivateKey, cert *ssh.Certificate) error {
	if len(key) != ed25519.PrivateKeySize {
		return errors.New("want an Ed25519 private key")
	}
	if cert == nil || cert.Key == nil {
		return errors.New("want a certificate")
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("reading public key: %w", err)
	}
	if !bytes.Equal(public.Marshal(), cert.Key.Marshal()) {
		return ErrMismatch
	}
	if cert.CertType != ssh.UserCert {
		return errors.New("the certificate is not a user's")
	}
	if cert.ValidBefore > math.MaxInt64 || cert.ValidAfter >= cert.ValidBefore {
		return errors.New("the certificate has no bounded validity")
	}
	return nil
}
