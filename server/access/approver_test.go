package access_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/fxamacker/cbor/v2"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// touchKey is a passkey's key pair; all software passkeys of one run share it,
// because what tells them apart here is their factors.
var touchKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

// coseKey is the public key of touchKey as a COSE_Key.
func coseKey() []byte {
	point, err := touchKey().PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	enc, err := cbor.CTAP2EncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	data, err := enc.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
	if err != nil {
		panic(err)
	}
	return data
}

// signed is what touchKey makes of a challenge, with a counter.
func signed(challenge store.Hash, counter uint32) store.Assertion {
	rp := sha256.Sum256([]byte("pam.example.eu"))
	a := store.Assertion{
		AuthenticatorData: binary.BigEndian.AppendUint32(append(rp[:], 5), counter),
		ClientDataJSON: fmt.Appendf(nil, `{"type":"webauthn.get","challenge":%q,"origin":"https://pam.example.eu","crossOrigin":false}`,
			base64.RawURLEncoding.EncodeToString(challenge[:])),
	}
	client := sha256.Sum256(a.ClientDataJSON)
	digest := sha256.Sum256(append(append([]byte{}, a.AuthenticatorData...), client[:]...))
	var err error
	if a.Signature, err = ecdsa.SignASN1(rand.Reader, touchKey(), digest[:]); err != nil {
		panic(err)
	}
	return a
}

// passkeyOf gives somebody a passkey of touchKey, and returns its factor.
func (c *company) passkeyOf(p person) store.Index {
	c.Helper()
	c.do(access.AddFactor{SignIn: p.signIn, Factor: access.NewFactor{
		Passkey: &store.Passkey{Credential: fmt.Appendf(nil, "of %s", p.handle), PublicKey: coseKey()},
	}})
	return c.state.Next() - 1
}

// approve is the command of somebody who touches their passkey for a request.
func (c *company) approve(p person, factor, request store.Index) access.ApproveRequest {
	c.Helper()
	r, _ := c.state.Request(request)
	nonce := c.hash()
	return access.ApproveRequest{
		SignIn: p.signIn, Request: request, Nonce: nonce, Assertion: access.Assertion{User: p.id, Factor: factor},
		Signed: signed(store.ApprovalChallenge(r.Hash, nonce), 0), Salt: c.random(),
	}
}

// request is the command of somebody who wants root on db1 for an hour.
func (c *company) request(p person) access.MakeRequest {
	return access.MakeRequest{
		By: p.caller(), Target: "db1", Login: "root", Lasts: 3_600_000_000_000, Reason: "the disk is full", Ticket: "INC-4711",
		Source: "192.0.2.7", Nonce: c.hash(), Salts: [3][32]byte{c.random(), c.random(), c.random()},
	}
}
