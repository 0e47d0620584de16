package ca_test

import (
	"bytes"
	"slices"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
)

func fixedCert(t testing.TB) (*ssh.Certificate, ssh.PublicKey) {
	key := fixedKey(t, "user CA")
	r := request(ca.User, key.PublicKey(), fixedKey(t, "carol").PublicKey())
	r.SourceAddress, r.ForceCommand = prefixes("192.0.2.0/24"), "true"
	return issue(t, newAuthority(t, ca.User, key), r), key.PublicKey()
}

// Every single bit of a certificate matters.
func TestS2EveryBit(t *testing.T) {
	cert, authority := fixedCert(t)
	valid := cert.Marshal()
	parsed := 0
	for i := range len(valid) * 8 {
		blob := slices.Clone(valid)
		blob[i/8] ^= 1 << (i % 8)
		key, err := ssh.ParsePublicKey(blob)
		if err != nil {
			continue
		}
		other, ok := key.(*ssh.Certificate)
		if !ok {
			continue
		}
		parsed++
		if _, err := ca.CheckUser(other, authority, now, home); err == nil {
			t.Errorf("accepted with bit %d of byte %d flipped", i%8, i/8)
		}
	}
	t.Logf("%d mutations, %d of them parse, none accepted", len(valid)*8, parsed)
	if parsed == 0 {
		t.Error("no mutation parsed: the test shows nothing")
	}
}

// No mutation of a certificate is accepted: what is accepted encodes to the very
// bytes that were issued.
func FuzzCheckUser(f *testing.F) {
	cert, authority := fixedCert(f)
	valid := cert.Marshal()
	f.Add(valid)
	for i := 0; i < len(valid); i += 7 {
		blob := slices.Clone(valid)
		blob[i]++
		f.Add(blob)
	}
	f.Fuzz(func(t *testing.T, blob []byte) {
		key, err := ssh.ParsePublicKey(blob)
		if err != nil {
			return
		}
		got, ok := key.(*ssh.Certificate)
		if !ok {
			return
		}
		user, err := ca.CheckUser(got, authority, now, home)
		if err == nil && (!bytes.Equal(got.Marshal(), valid) || user != carol) {
			t.Fatalf("accepted a certificate that was never issued: %x", blob)
		}
		if err != nil && bytes.Equal(blob, valid) {
			t.Fatalf("refused the certificate that was issued: %v", err)
		}
	})
}
