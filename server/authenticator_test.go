package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// An authenticator holds one passkey, and verifies its user whenever it is asked
// (WebAuthn Level 3, section 6). Browsers with real ones are in cmd/e2e.
type authenticator struct {
	t      *testing.T
	origin string // of the page that asks, as its browser says it
	key    *ecdsa.PrivateKey
	id     []byte
	user   []byte
	count  uint32
}

func newAuthenticator(t *testing.T, origin string) *authenticator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := make([]byte, 32)
	if _, err := rand.Read(id); err != nil {
		t.Fatal(err)
	}
	return &authenticator{t: t, origin: origin, key: key, id: id}
}

const (
	userWasThere  = 1<<0 | 1<<2 // flags UP and UV of authenticator data
	hasCredential = 1 << 6      // flag AT
)

// data is authenticator data (section 6.1).
func (a *authenticator) data(rp string, flags byte, rest []byte) []byte {
	a.count++
	hash := sha256.Sum256([]byte(rp))
	return append(binary.BigEndian.AppendUint32(append(hash[:], flags), a.count), rest...)
}

// client is the client data that a browser signs for (section 5.8.1).
func (a *authenticator) client(kind, challenge string) []byte {
	a.t.Helper()
	return a.json(map[string]any{"type": kind, "challenge": challenge, "origin": a.origin, "crossOrigin": false})
}

func (a *authenticator) json(v any) []byte {
	a.t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		a.t.Fatal(err)
	}
	return data
}

func inURL(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (a *authenticator) answer(response map[string]string) []byte {
	a.t.Helper()
	return a.json(map[string]any{
		"id": inURL(a.id), "rawId": inURL(a.id), "type": "public-key", "clientExtensionResults": map[string]any{}, "response": response,
	})
}

// create makes the passkey that a page asks for.
func (a *authenticator) create(options []byte) []byte {
	a.t.Helper()
	var asked struct {
		Challenge string `json:"challenge"`
		RP        struct {
			ID string `json:"id"`
		} `json:"rp"`
		User struct {
			ID string `json:"id"`
		} `json:"user"`
	}
	if err := json.Unmarshal(options, &asked); err != nil || asked.Challenge == "" {
		a.t.Fatalf("asked to create with %s: %v", options, err)
	}
	var err error
	if a.user, err = base64.RawURLEncoding.DecodeString(asked.User.ID); err != nil {
		a.t.Fatal(err)
	}
	point, err := a.key.PublicKey.Bytes() // 4, then both coordinates
	if err != nil {
		a.t.Fatal(err)
	}
	// An ES256 key as a COSE_Key (RFC 9053, section 7.1.1).
	cose, err := cbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
	if err != nil {
		a.t.Fatal(err)
	}
	credential := append(make([]byte, 16), 0, byte(len(a.id)))
	credential = append(append(credential, a.id...), cose...)
	object, err := cbor.Marshal(map[string]any{
		"fmt": "none", "attStmt": map[string]any{}, "authData": a.data(asked.RP.ID, userWasThere|hasCredential, credential),
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return a.answer(map[string]string{
		"clientDataJSON": inURL(a.client("webauthn.create", asked.Challenge)), "attestationObject": inURL(object),
	})
}

// get proves to hold it.
func (a *authenticator) get(options []byte) []byte {
	a.t.Helper()
	var asked struct {
		Challenge string `json:"challenge"`
		RP        string `json:"rpId"`
	}
	if err := json.Unmarshal(options, &asked); err != nil || asked.Challenge == "" {
		a.t.Fatalf("asked to sign with %s: %v", options, err)
	}
	client, data := a.client("webauthn.get", asked.Challenge), a.data(asked.RP, userWasThere, nil)
	said := sha256.Sum256(client)
	signed := sha256.Sum256(append(data[:len(data):len(data)], said[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, signed[:])
	if err != nil {
		a.t.Fatal(err)
	}
	return a.answer(map[string]string{
		"clientDataJSON": inURL(client), "authenticatorData": inURL(data), "signature": inURL(signature), "userHandle": inURL(a.user),
	})
}
