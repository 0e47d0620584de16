package store_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/store"
)

const approvalServer = "pam.example.eu"

// A passkeyPair is a passkey's key: its COSE_Key and how it signs.
type passkeyPair struct {
	cose []byte
	sign func(data []byte) []byte
}

func ecdsaPair(t testing.TB, curve elliptic.Curve, alg, id int, h crypto.Hash) passkeyPair {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	half := len(point) / 2
	return passkeyPair{cose(t, map[int]any{1: 2, 3: alg, -1: id, -2: point[1 : 1+half], -3: point[1+half:]}), func(data []byte) []byte {
		d := h.New()
		d.Write(data)
		s, err := ecdsa.SignASN1(rand.Reader, key, d.Sum(nil))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}}
}

func cose(t testing.TB, key map[int]any) []byte {
	t.Helper()
	enc, err := cbor.CTAP2EncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	data, err := enc.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func passkeyPairs(t testing.TB) map[string]passkeyPair {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	exponent := binary.BigEndian.AppendUint32(nil, uint32(key.E))[1:]
	digest := func(data []byte) []byte { s := sha256.Sum256(data); return s[:] }
	return map[string]passkeyPair{
		"ES256": ecdsaPair(t, elliptic.P256(), -7, 1, crypto.SHA256),
		"ES384": ecdsaPair(t, elliptic.P384(), -35, 2, crypto.SHA384),
		"ES512": ecdsaPair(t, elliptic.P521(), -36, 3, crypto.SHA512),
		"EdDSA": {cose(t, map[int]any{1: 1, 3: -8, -1: 6, -2: []byte(public)}), func(data []byte) []byte { return ed25519.Sign(private, data) }},
		"RS256": {cose(t, map[int]any{1: 3, 3: -257, -1: key.N.Bytes(), -2: exponent}), func(data []byte) []byte {
			s, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest(data))
			if err != nil {
				t.Fatal(err)
			}
			return s
		}},
		"PS256": {cose(t, map[int]any{1: 3, 3: -37, -1: key.N.Bytes(), -2: exponent}), func(data []byte) []byte {
			s, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest(data), nil)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}},
	}
}

// A ballot is the three entries that an approval is verified from, and how it is
// signed.
type ballot struct {
	request, approved, enrolled *store.Entry
	rp, origin, kind            string
	flags                       byte
	extra                       string // members of the client data
}

func newBallot(key passkeyPair) *ballot {
	carol, bob := store.UserID{1, 15: 7}, store.UserID{2, 15: 7}
	return &ballot{
		request: &store.Entry{Index: 40, Time: 1000, Actor: store.Actor{User: carol}, Event: &store.RequestMade{
			User: carol, Target: 9, Login: "root", Base: 11, Lasts: 3_600_000, Expires: 9_000_000, Nonce: store.Hash{1},
		}},
		approved: &store.Entry{Index: 41, Time: 2000, Actor: store.Actor{User: bob}, Event: &store.RequestApproved{
			User: carol, Target: 9, Request: 40, SignIn: 30, Factor: 20, Kind: store.FactorPasskey, Nonce: store.Hash{2}, Assertion: &store.Assertion{},
		}},
		enrolled: &store.Entry{Index: 20, Time: 500, Actor: store.Actor{User: bob}, Event: &store.FactorEnrolled{
			User: bob, Kind: store.FactorPasskey, Invitation: 10, Passkey: &store.Passkey{Credential: []byte("c"), PublicKey: key.cose},
		}},
		rp: approvalServer, origin: "https://" + approvalServer + ":8443", kind: "webauthn.get", flags: 5,
	}
}

func (b *ballot) assertion() *store.Assertion {
	return b.approved.Event.(*store.RequestApproved).Assertion
}

// sign signs the request as it is now.
func (b *ballot) sign(t testing.TB, key passkeyPair) {
	t.Helper()
	e := b.approved.Event.(*store.RequestApproved)
	challenge := store.ApprovalChallenge(store.RequestHash(bytesOf(t, b.request)), e.Nonce)
	rp := sha256.Sum256([]byte(b.rp))
	a := e.Assertion
	a.AuthenticatorData = binary.BigEndian.AppendUint32(append(rp[:], b.flags), 7)
	a.ClientDataJSON = fmt.Appendf(nil, `{"type":%q,"challenge":%q,"origin":%q,"crossOrigin":false%s}`,
		b.kind, base64.RawURLEncoding.EncodeToString(challenge[:]), b.origin, b.extra)
	hash := sha256.Sum256(a.ClientDataJSON)
	a.Signature = key.sign(append(bytes.Clone(a.AuthenticatorData), hash[:]...))
}

func (b *ballot) verify(t testing.TB) error {
	t.Helper()
	return store.VerifyApproval(bytesOf(t, b.request), bytesOf(t, b.approved), bytesOf(t, b.enrolled), approvalServer)
}

func bytesOf(t testing.TB, e *store.Entry) []byte {
	t.Helper()
	data, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestApprovalVerifies: with every kind of key that a passkey has.
func TestApprovalVerifies(t *testing.T) {
	for name, key := range passkeyPairs(t) {
		b := newBallot(key)
		b.sign(t, key)
		if err := b.verify(t); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if n := b.assertion().Counter(); n != 7 {
			t.Errorf("%s: the counter is %d", name, n)
		}
		a := b.assertion()
		for _, part := range []*[]byte{&a.AuthenticatorData, &a.ClientDataJSON, &a.Signature} {
			for i := range *part {
				(*part)[i] ^= 1
				if err := b.verify(t); !errors.Is(err, store.ErrNotApproved) {
					t.Errorf("%s: byte %d of a part changed: %v", name, i, err)
				}
				(*part)[i] ^= 1
			}
		}
	}
}

// TestS17ApprovalOfAnotherRequest: whoever holds an approval shows it for nothing
// but its request, of nobody but its approver.
func TestS17ApprovalOfAnotherRequest(t *testing.T) {
	key := ecdsaPair(t, elliptic.P256(), -7, 1, crypto.SHA256)
	other := ecdsaPair(t, elliptic.P256(), -7, 1, crypto.SHA256)
	request := func(change func(*store.RequestMade)) func(*ballot) {
		return func(b *ballot) { change(b.request.Event.(*store.RequestMade)) }
	}
	approved := func(change func(*store.RequestApproved)) func(*ballot) {
		return func(b *ballot) { change(b.approved.Event.(*store.RequestApproved)) }
	}
	for name, spoil := range map[string]func(*ballot){
		"longer":        request(func(e *store.RequestMade) { e.Lasts *= 2 }),
		"another login": request(func(e *store.RequestMade) { e.Login = "postgres" }),
		"another target": func(b *ballot) {
			b.request.Event.(*store.RequestMade).Target, b.approved.Event.(*store.RequestApproved).Target = 8, 8
		},
		"another grant":       request(func(e *store.RequestMade) { e.Base = 12 }),
		"other purposes":      request(func(e *store.RequestMade) { e.For = store.Purposes{{Purpose: store.PurposeDirect, Limits: []string{}}} }),
		"another reason":      request(func(e *store.RequestMade) { e.Reason = store.Commitment{3} }),
		"another ticket":      request(func(e *store.RequestMade) { e.Ticket = store.Commitment{3} }),
		"the same, once more": request(func(e *store.RequestMade) { e.Nonce = store.Hash{9} }),
		"later":               func(b *ballot) { b.request.Time++ },
		"somebody else's": func(b *ballot) {
			b.request.Event.(*store.RequestMade).User, b.approved.Event.(*store.RequestApproved).User = store.UserID{3}, store.UserID{3}
		},
		"another entry":       func(b *ballot) { b.request.Index = 39 },
		"another entry named": func(b *ballot) { b.request.Index, b.approved.Event.(*store.RequestApproved).Request = 39, 39 },
		"another nonce":       approved(func(e *store.RequestApproved) { e.Nonce = store.Hash{3} }),
		"another factor":      approved(func(e *store.RequestApproved) { e.Factor = 21 }),
		"another approver":    func(b *ballot) { b.approved.Actor.User = store.UserID{4} },
		"by who made it": func(b *ballot) {
			b.approved.Actor.User, b.enrolled.Event.(*store.FactorEnrolled).User = store.UserID{1, 15: 7}, store.UserID{1, 15: 7}
		},
		"another key": func(b *ballot) { b.enrolled.Event.(*store.FactorEnrolled).Passkey.PublicKey = other.cose },
		"no key":      func(b *ballot) { b.enrolled.Event.(*store.FactorEnrolled).Passkey.PublicKey = []byte("key") },
		"TOTP": approved(func(e *store.RequestApproved) {
			e.Kind, e.Assertion, e.Nonce, e.Step = store.FactorTOTP, nil, store.Hash{}, 7
		}),
		"not a request":   func(b *ballot) { b.request = b.approved },
		"not an approval": func(b *ballot) { b.approved = b.request },
		"not a factor":    func(b *ballot) { b.enrolled = b.request },
	} {
		b := newBallot(key)
		b.sign(t, key)
		spoil(b)
		if err := b.verify(t); !errors.Is(err, store.ErrNotApproved) {
			t.Errorf("%s: error %v, want ErrNotApproved", name, err)
		}
	}
	for name, spoil := range map[string]func(*ballot){
		"another server":   func(b *ballot) { b.rp = "pam.example.com" },
		"another page":     func(b *ballot) { b.origin = "https://pam.example.com" },
		"a page like it":   func(b *ballot) { b.origin = "https://evilpam.example.eu" },
		"no https":         func(b *ballot) { b.origin = "http://" + approvalServer },
		"a user in it":     func(b *ballot) { b.origin = "https://x@" + approvalServer },
		"a path":           func(b *ballot) { b.origin += "/" },
		"no page":          func(b *ballot) { b.origin = "" },
		"a registration":   func(b *ballot) { b.kind = "webauthn.create" },
		"nobody there":     func(b *ballot) { b.flags = 4 },
		"nobody verified":  func(b *ballot) { b.flags = 1 },
		"in a frame":       func(b *ballot) { b.extra = `,"topOrigin":"https://evil.example"` },
		"a member twice":   func(b *ballot) { b.extra = `,"crossOrigin":false` },
		"something behind": func(b *ballot) { b.extra = `}{"a":1` },
	} {
		b := newBallot(key)
		spoil(b)
		b.sign(t, key)
		if err := b.verify(t); !errors.Is(err, store.ErrNotApproved) {
			t.Errorf("signed for %s: error %v, want ErrNotApproved", name, err)
		}
	}
}

// FuzzVerifyApproval: no mutation of what is signed verifies, however it is made.
// Changed entries either can't be read or prove nothing; what is not signed (when
// the approval was written down, its comment and session) may change.
func FuzzVerifyApproval(f *testing.F) {
	key := ecdsaPair(f, elliptic.P256(), -7, 1, crypto.SHA256)
	b := newBallot(key)
	b.sign(f, key)
	parts := [][]byte{bytesOf(f, b.request), bytesOf(f, b.approved), bytesOf(f, b.enrolled)}
	for which := range byte(3) {
		f.Add(which, uint16(5), byte(1))
		f.Add(which, uint16(60), byte(0x80))
	}
	f.Fuzz(func(t *testing.T, which byte, at uint16, by byte) {
		mutated := [][]byte{bytes.Clone(parts[0]), bytes.Clone(parts[1]), bytes.Clone(parts[2])}
		part := mutated[which%3]
		if by == 0 {
			return
		}
		part[int(at)%len(part)] ^= by
		if store.VerifyApproval(mutated[0], mutated[1], mutated[2], approvalServer) != nil {
			return
		}
		same := func(i int, blank func(*store.Entry)) bool {
			var texts [2]string
			for j, data := range [][]byte{parts[i], mutated[i]} {
				e, err := store.DecodeEntry(data)
				if err != nil {
					t.Fatal(err)
				}
				blank(e)
				texts[j] = string(bytesOf(t, e))
			}
			return texts[0] == texts[1]
		}
		if which%3 == 1 && same(1, func(e *store.Entry) {
			v := e.Event.(*store.RequestApproved)
			e.Index, e.Time, v.SignIn, v.Comment = 0, 0, 1, store.Commitment{}
		}) {
			return
		}
		if which%3 == 2 && same(2, func(e *store.Entry) {
			v := e.Event.(*store.FactorEnrolled)
			e.Time, e.Actor, v.Invitation, v.Passkey.Credential = 0, store.Actor{}, 1, []byte("c")
		}) {
			return
		}
		t.Errorf("part %d verifies with byte %d changed by %#x", which%3, int(at)%len(part), by)
	})
}

// TestPurposesWithin: within means within, compared with a plain reading.
func TestPurposesWithin(t *testing.T) {
	for _, tc := range []struct {
		inner, outer string
		want         bool
	}{
		{"shell", "shell; exec", true},
		{"shell; exec", "shell", false},
		{"exec=uptime", "exec", true},
		{"exec", "exec=uptime", false},
		{"exec=uptime", "exec=uptime; exec=df -h", true},
		{"exec=uptime; exec=df -h", "exec=uptime", false},
		{"exec=rsync --server -x", "exec=rsync --server *", false}, // compared as written
		{"sftp=read-only", "sftp=read-write", true},
		{"sftp=read-write", "sftp=read-only", false},
		{"local-forward=10.0.0.5:5432", "local-forward=*:*", false},
		{"local-forward=10.0.0.5:5432", "local-forward=10.0.0.5:5432", true},
		{"direct", "shell; exec; no-tty; sftp=read-write", false},
	} {
		inner, outer := must(store.ParsePurposes(tc.inner)), must(store.ParsePurposes(tc.outer))
		if got := inner.Within(outer); got != tc.want {
			t.Errorf("%q within %q: %v", tc.inner, tc.outer, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		items := []string{"shell", "exec=uptime", "exec=df -h", "no-tty", "sftp=read-only", "sftp=read-write", "local-forward=*:22"}
		draw := func(name string) store.Purposes {
			return rapid.Custom(func(t *rapid.T) store.Purposes {
				p, err := store.ParsePurposes(strings.Join(rapid.SliceOfNDistinct(rapid.SampledFrom(items), 1, 4, rapid.ID).Draw(t, "items"), ";"))
				if err != nil { // both kinds of sftp
					return store.DefaultPurposes()
				}
				return p
			}).Draw(t, name)
		}
		inner, outer := draw("inner"), draw("outer")
		if !inner.Within(outer) {
			return
		}
		for _, command := range []string{"uptime", "df -h", "ls"} {
			in, _ := inner.AllowsExec(command)
			if out, _ := outer.AllowsExec(command); in && !out {
				t.Fatalf("%q within %q allows %s", inner, outer, command)
			}
		}
		for _, p := range store.AllPurposes() {
			if inner.Has(p) && !outer.Has(p) {
				t.Fatalf("%q within %q has %s", inner, outer, p)
			}
		}
		if inner.SFTP() == store.SFTPReadWrite && outer.SFTP() != store.SFTPReadWrite {
			t.Fatalf("%q within %q writes", inner, outer)
		}
	})
}
