package ca_test

import (
	"crypto/elliptic"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/ca"
)

// S9: what is hashed is what x/crypto writes and every other program reads, for
// every type of key and whatever stands in the fields.
func TestEncodingIsTheLibrarys(t *testing.T) {
	key := newKey(t)
	authorities := []ssh.Signer{
		key, ecdsaSigner(t, elliptic.P256()), ecdsaSigner(t, elliptic.P384()), ecdsaSigner(t, elliptic.P521()), rsaSigner(t, 3072),
	}
	subjects := []ssh.PublicKey{skKey(t), rsaSigner(t, 2048).PublicKey()}
	for _, a := range authorities {
		subjects = append(subjects, a.PublicKey())
	}
	text := rapid.StringN(0, 40, 200)
	options := rapid.MapOfN(text, text, 0, 8)
	bytes := rapid.SliceOfN(rapid.Byte(), 0, 80)
	rapid.Check(t, func(t *rapid.T) {
		cert := &ssh.Certificate{
			Nonce: bytes.Draw(t, "nonce"), Key: rapid.SampledFrom(subjects).Draw(t, "key"),
			Serial: rapid.Uint64().Draw(t, "serial"), CertType: rapid.Uint32().Draw(t, "type"), KeyId: text.Draw(t, "key ID"),
			ValidPrincipals: rapid.SliceOfN(text, 0, 4).Draw(t, "principals"),
			ValidAfter:      rapid.Uint64().Draw(t, "after"), ValidBefore: rapid.Uint64().Draw(t, "before"),
			Permissions: ssh.Permissions{CriticalOptions: options.Draw(t, "options"), Extensions: options.Draw(t, "extensions")},
			Reserved:    bytes.Draw(t, "reserved"), SignatureKey: rapid.SampledFrom(authorities).Draw(t, "authority").PublicKey(),
			Signature: &ssh.Signature{Format: text.Draw(t, "format"), Blob: bytes.Draw(t, "blob")},
		}
		if ca.Hash(cert) != sha256.Sum256(tbsOf(cert)) {
			t.Fatalf("hash of other bytes than x/crypto's for %+v", cert)
		}
		line, err := ca.AuthorizedKey(cert)
		if want := strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(cert)), "\n"); err != nil || line != want {
			t.Fatalf("%s, error %v, want %s", line, err, want)
		}
	})
}

// A key whose encoding has no room for its own name is refused, not read past.
func TestEncodingRefusesUnreadableKey(t *testing.T) {
	for _, blob := range []string{"", "\x00\x00\x00", "\x00\x00\x00\x0cssh-ed25519", "\xff\xff\xff\xff"} {
		cert := &ssh.Certificate{Key: brokenKey{newKey(t).PublicKey(), blob}, SignatureKey: newKey(t).PublicKey()}
		if ca.Hash(cert) != [32]byte{} {
			t.Errorf("%q: has a hash", blob)
		}
		if line, err := ca.AuthorizedKey(cert); err == nil {
			t.Errorf("%q: has a text form: %s", blob, line)
		}
	}
}

func TestUnsignedHasNoTextForm(t *testing.T) {
	cert := &ssh.Certificate{Key: newKey(t).PublicKey(), SignatureKey: newKey(t).PublicKey()}
	if line, err := ca.AuthorizedKey(cert); !errors.Is(err, ca.ErrSignature) {
		t.Errorf("%s, error %v", line, err)
	}
}

// A brokenKey is encoded as something else.
type brokenKey struct {
	ssh.PublicKey
	blob string
}

func (k brokenKey) Marshal() []byte { return []byte(k.blob) }
