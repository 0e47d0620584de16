package login

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/vaultpam/vaultpam/store"
)

// A Sealer encrypts what lies in the side table and must stay secret when
// somebody gets hold of the database or a backup of it. Its key is in the keys
// folder, not in the database.
type Sealer struct {
	key    []byte
	codes  []byte // key of recovery codes' hashes
	aead   cipher.AEAD
	random io.Reader
}

// NewSealer returns a sealer with a key of 32 bytes.
func NewSealer(key []byte, random io.Reader) (*Sealer, error) {
	if random == nil {
		return nil, errors.New("sealing: no source of randomness")
	}
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, errors.New("sealing: want a key of 32 bytes")
	}
	codes, err := hkdf.Key(sha256.New, key, nil, "vaultpam recovery codes", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return &Sealer{key: key, codes: codes, aead: aead, random: random}, nil
}

// seal encrypts a user's secret with XChaCha20-Poly1305, bound to whose it is.
func (s *Sealer) seal(user store.UserID, secret []byte) ([]byte, error) {
	nonce := make([]byte, s.aead.NonceSize())
	if _, err := io.ReadFull(s.random, nonce); err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return s.aead.Seal(nonce, nonce, secret, user[:]), nil
}

// open decrypts what seal encrypted for the same user.
func (s *Sealer) open(user store.UserID, sealed []byte) ([]byte, error) {
	n := s.aead.NonceSize()
	if len(sealed) < n {
		return nil, errors.New("opening a sealed secret: too short")
	}
	secret, err := s.aead.Open(nil, sealed[:n], sealed[n:], user[:])
	if err != nil {
		return nil, errors.New("opening a sealed secret: it was sealed with another key, or changed")
	}
	return secret, nil
}

// nobody returns what stands for a handle that nobody has, where failures are
// counted. Without the key it says nothing about the handle.
func (s *Sealer) nobody(handle string) store.UserID {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte("vaultpam unknown handle\x00"))
	mac.Write([]byte(handle))
	return store.UserID(mac.Sum(nil)[:len(store.UserID{})])
}

// seed derives the TOTP seed that an invitation enrols. It is the same however
// often the invitation is looked at, so nothing has to be stored before a code
// has proved that the seed arrived. It takes the invitation's token itself, which
// only the invited person has: with its hash, which is in the ledger, whoever
// gets hold of the key could derive every seed again.
func (s *Sealer) seed(token []byte) ([]byte, error) {
	return hkdf.Key(sha256.New, append(bytes.Clone(s.key), token...), nil, "vaultpam totp seed", seedSize)
}
