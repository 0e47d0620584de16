package login_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

const (
	siteName   = "pam.example.eu"
	siteOrigin = "https://" + siteName
)

// Flags of authenticator data (WebAuthn Level 3, section 6.1).
const (
	flagUP = 1 << 0
	flagUV = 1 << 2
	flagBE = 1 << 3
	flagBS = 1 << 4
	flagAT = 1 << 6
	flagED = 1 << 7
)

// A token is an authenticator with one passkey, which writes down what the
// specification says byte by byte, so that any of it can be wrong.
type token struct {
	id      []byte
	key     *ecdsa.PrivateKey
	handle  []byte
	counter uint32
	flags   byte
	aaguid  [16]byte
	counts  bool
}

func newToken(t testing.TB) *token {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &token{id: random(32), key: key, flags: flagUP | flagUV, counts: true}
}

// A message is what a browser sends of a ceremony, as it stands before it is put
// together. A test changes it before that.
type message struct {
	kind, challenge, origin string
	extra                   string // further members of clientDataJSON, with a comma first
	client                  []byte // all of clientDataJSON, in place of that
	rp                      string
	flags                   byte
	counter                 uint32
	attested                []byte // attested credential data
	extensions              []byte
	tail                    []byte
	auth                    []byte // all of the authenticator data, in place of that
	id, handle              []byte
	sign                    func(data []byte) []byte
	signed                  func(auth, hash []byte) []byte // what is signed
	format                  string
	statement               func(auth, hash []byte) any
}

func (m *message) clientData() []byte {
	if m.client != nil {
		return m.client
	}
	return fmt.Appendf(nil, `{"type":%s,"challenge":%s,"origin":%s,"crossOrigin":false%s}`, quoted(m.kind), quoted(m.challenge), quoted(m.origin), m.extra)
}

// quoted is a text in JSON.
func quoted(text string) []byte {
	data, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return data
}

func (m *message) authData() []byte {
	if m.auth != nil {
		return m.auth
	}
	hash := sha256.Sum256([]byte(m.rp))
	data := append(hash[:], m.flags)
	data = binary.BigEndian.AppendUint32(data, m.counter)
	return append(append(append(data, m.attested...), m.extensions...), m.tail...)
}

func (k *token) sign(data []byte) []byte {
	hash := sha256.Sum256(data)
	sig, err := k.key.Sign(rand.Reader, hash[:], crypto.SHA256)
	if err != nil {
		panic(err)
	}
	return sig
}

// cose is the public key as a COSE_Key (RFC 9053, section 7.1.1).
func (k *token) cose() []byte {
	point, err := k.key.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	return encoded(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
}

func encoded(v any) []byte {
	mode, err := cbor.CTAP2EncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	data, err := mode.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

func plainData(auth, hash []byte) []byte { return append(bytes.Clone(auth), hash...) }

func unpadded(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// create answers PublicKeyCredentialCreationOptionsJSON.
func (k *token) create(t testing.TB, options json.RawMessage, changes ...func(*message)) []byte {
	t.Helper()
	var o struct {
		Challenge string
		RP        struct{ ID string }
		User      struct{ ID string }
	}
	if err := json.Unmarshal(options, &o); err != nil || o.RP.ID != siteName {
		t.Fatalf("options %s, error %v", options, err)
	}
	handle, err := base64.RawURLEncoding.DecodeString(o.User.ID)
	if err != nil {
		t.Fatal(err)
	}
	k.handle = handle
	m := &message{
		kind: "webauthn.create", challenge: o.Challenge, origin: siteOrigin, rp: siteName, flags: k.flags | flagAT, counter: k.counter,
		attested: k.attested(), id: k.id, format: "none", statement: func(_, _ []byte) any { return map[string]any{} },
	}
	for _, change := range changes {
		change(m)
	}
	client, auth := m.clientData(), m.authData()
	hash := sha256.Sum256(client)
	return sent(t, m.id, map[string]any{
		"clientDataJSON":    unpadded(client),
		"attestationObject": unpadded(encoded(map[string]any{"fmt": m.format, "attStmt": m.statement(auth, hash[:]), "authData": auth})),
	})
}

// attested is attested credential data (section 6.5.1).
func (k *token) attested() []byte {
	data := append(k.aaguid[:], byte(len(k.id)>>8), byte(len(k.id)))
	return append(append(data, k.id...), k.cose()...)
}

// get answers PublicKeyCredentialRequestOptionsJSON.
func (k *token) get(t testing.TB, options json.RawMessage, changes ...func(*message)) []byte {
	t.Helper()
	var o struct {
		Challenge        string
		RPID             string `json:"rpId"`
		UserVerification string
	}
	if err := json.Unmarshal(options, &o); err != nil || o.RPID != siteName || o.UserVerification != "required" {
		t.Fatalf("options %s, error %v", options, err)
	}
	if k.counts {
		k.counter++
	}
	m := &message{
		kind: "webauthn.get", challenge: o.Challenge, origin: siteOrigin, rp: siteName, flags: k.flags, counter: k.counter,
		id: k.id, handle: k.handle, sign: k.sign, signed: plainData,
	}
	for _, change := range changes {
		change(m)
	}
	client, auth := m.clientData(), m.authData()
	hash := sha256.Sum256(client)
	return sent(t, m.id, map[string]any{
		"clientDataJSON": unpadded(client), "authenticatorData": unpadded(auth),
		"signature": unpadded(m.sign(m.signed(auth, hash[:]))), "userHandle": unpadded(m.handle),
	})
}

func sent(t testing.TB, id []byte, response map[string]any) []byte {
	t.Helper()
	data, err := json.Marshal(map[string]any{"id": unpadded(id), "rawId": unpadded(id), "type": "public-key", "response": response})
	if err != nil {
		t.Fatal(err)
	}
	return data
}
