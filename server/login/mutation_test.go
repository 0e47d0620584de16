package login_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/store"
)

// wrongClientData are changes of clientDataJSON that no answer may have, in both
// ceremonies. The signature is over what was changed.
var wrongClientData = map[string]func(*message){
	"type of the other ceremony": func(m *message) {
		m.kind = map[string]string{"webauthn.get": "webauthn.create", "webauthn.create": "webauthn.get"}[m.kind]
	},
	"type of a payment":           func(m *message) { m.kind = "payment.get" },
	"type in capitals":            func(m *message) { m.kind = strings.ToUpper(m.kind) },
	"no type":                     func(m *message) { m.kind = "" },
	"another challenge":           func(m *message) { m.challenge = unpadded(random(32)) },
	"no challenge":                func(m *message) { m.challenge = "" },
	"half a challenge":            func(m *message) { m.challenge = m.challenge[:20] },
	"a longer challenge":          func(m *message) { m.challenge += "AAAA" },
	"a padded challenge":          func(m *message) { m.challenge += "=" },
	"a challenge in capitals":     func(m *message) { m.challenge = strings.ToUpper(m.challenge) },
	"another scheme":              origin("http://" + siteName),
	"another port":                origin(siteOrigin + ":8443"),
	"the port that is implied":    origin(siteOrigin + ":443"),
	"a subdomain":                 origin("https://evil." + siteName),
	"the domain above":            origin("https://example.eu"),
	"a name that begins alike":    origin(siteOrigin + ".evil.example"),
	"a name that ends alike":      origin("https://evil" + siteName),
	"a trailing dot":              origin(siteOrigin + "."),
	"capitals":                    origin("https://PAM.example.eu"),
	"a scheme in capitals":        origin("HTTPS://" + siteName),
	"a path":                      origin(siteOrigin + "/signin"),
	"a slash":                     origin(siteOrigin + "/"),
	"a query":                     origin(siteOrigin + "?x"),
	"user information":            origin("https://carol@" + siteName),
	"user information that looks": origin(siteOrigin + "@evil.example"),
	"a space":                     origin(siteOrigin + " "),
	"a line end":                  origin(siteOrigin + "\n"),
	"another letter":              origin("https://pam.example.\u0435u"),
	"an address":                  origin("https://192.0.2.1"),
	"the null origin":             origin("null"),
	"no origin":                   origin(""),
	"an app's origin":             origin("android:apk-key-hash:AAAA"),
	"an extension's origin":       origin("chrome-extension://abcdefgh"),
	"crossOrigin":                 client(`{"type":%q,"challenge":%q,"origin":%q,"crossOrigin":true}`),
	"crossOrigin in a string":     client(`{"type":%q,"challenge":%q,"origin":%q,"crossOrigin":"false"}`),
	"topOrigin and crossOrigin":   client(`{"type":%q,"challenge":%q,"origin":%q,"crossOrigin":true,"topOrigin":"https://evil.example"}`),
	"topOrigin of our own":        client(`{"type":%q,"challenge":%q,"origin":%q,"crossOrigin":true,"topOrigin":"` + siteOrigin + `"}`),
	"topOrigin alone":             extra(`,"topOrigin":"https://evil.example"`),
	"an empty topOrigin":          extra(`,"topOrigin":""`),
	"two types":                   extra(`,"type":"payment.get"`),
	"two challenges":              extra(`,"challenge":"AAAA"`),
	"two origins":                 extra(`,"origin":"https://evil.example"`),
	"the same origin twice":       extra(`,"origin":"` + siteOrigin + `"`),
	"an origin in capitals too":   extra(`,"Origin":"https://evil.example"`),
	"only ORIGIN":                 client(`{"type":%q,"challenge":%q,"ORIGIN":%q}`),
	"two crossOrigins":            extra(`,"crossOrigin":false`),
	"no type member":              client(`{"challenge":%[2]q,"origin":%[3]q}`),
	"no challenge member":         client(`{"type":%[1]q,"origin":%[3]q}`),
	"no origin member":            client(`{"type":%[1]q,"challenge":%[2]q}`),
	"origins in a list":           client(`{"type":%q,"challenge":%q,"origin":[%q]}`),
	"type null":                   client(`{"type":null,"challenge":%[2]q,"origin":%[3]q}`),
	"an array":                    client(`["type",%q,"challenge",%q,"origin",%q]`),
	"in an array":                 client(`[{"type":%q,"challenge":%q,"origin":%q}]`),
	"a byte order mark":           client("\ufeff" + `{"type":%q,"challenge":%q,"origin":%q}`),
	"two values":                  client(`{"type":%q,"challenge":%q,"origin":%q}{}`),
	"cut off":                     client(`{"type":%q,"challenge":%q,"origin":%q`),
	"a comment":                   client(`{"type":%q,"challenge":%q,"origin":%q/**/}`),
	"a string":                    func(m *message) { m.client = []byte(`"{}"`) },
	"null":                        func(m *message) { m.client = []byte(`null`) },
	"nothing":                     func(m *message) { m.client = []byte{} },
	"UTF-16": func(m *message) {
		var wide []byte
		for _, b := range m.clientData() {
			wide = append(wide, b, 0)
		}
		m.client = wide
	},
}

func origin(o string) func(*message)      { return func(m *message) { m.origin = o } }
func extra(members string) func(*message) { return func(m *message) { m.extra = members } }

func client(format string) func(*message) {
	return func(m *message) { m.client = fmt.Appendf(nil, format, m.kind, m.challenge, m.origin) }
}

// wrongAuthData are the same for authenticator data.
var wrongAuthData = map[string]func(*message){
	"another rpId":             func(m *message) { m.rp = "evil.example" },
	"rpId of the domain above": func(m *message) { m.rp = "example.eu" },
	"rpId in capitals":         func(m *message) { m.rp = "PAM.example.eu" },
	"rpId is the origin":       func(m *message) { m.rp = siteOrigin },
	"no rpId":                  func(m *message) { m.rp = "" },
	"nobody present":           flags(0, flagUP),
	"nobody verified":          flags(0, flagUV),
	"neither":                  flags(0, flagUP|flagUV),
	"backed up, not eligible":  flags(flagBS, 0),
	"extensions announced":     flags(flagED, 0),
	"extensions not announced": func(m *message) { m.extensions = encoded(map[string]any{"credProtect": 2}) },
	"extensions that are none": func(m *message) { m.flags |= flagED; m.extensions = []byte{0xff} },
	"extended by a byte":       func(m *message) { m.tail = []byte{0} },
	"extended by 1,000 bytes":  func(m *message) { m.tail = make([]byte, 1000) },
	"one byte short":           func(m *message) { m.auth = cut(m, 1) },
	"the counter short":        func(m *message) { m.auth = m.authData()[:35] },
	"the hash alone":           func(m *message) { m.auth = m.authData()[:32] },
	"empty":                    func(m *message) { m.auth = []byte{} },
	"all zero":                 func(m *message) { m.auth = make([]byte, 37) },
}

func cut(m *message, n int) []byte { data := m.authData(); return data[:len(data)-n] }

func flags(on, off byte) func(*message) {
	return func(m *message) { m.flags = m.flags&^off | on }
}

// wrongAssertions are those that only an assertion can have.
func wrongAssertions(t *testing.T, k, other *token) map[string]func(*message) {
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]func(*message){
		"backup eligible now":        flags(flagBE, 0),
		"backup eligible and backed": flags(flagBE|flagBS, 0),
		"another key":                func(m *message) { m.sign = other.sign },
		"Ed25519":                    func(m *message) { m.sign = func(data []byte) []byte { return ed25519.Sign(edwards, data) } },
		"SHA-512":                    func(m *message) { m.sign = k.sign512 },
		"a raw signature":            func(m *message) { m.sign = k.signRaw },
		"no signature":               func(m *message) { m.sign = func([]byte) []byte { return nil } },
		"r and s are zero":           func(m *message) { m.sign = func([]byte) []byte { return []byte{0x30, 6, 2, 1, 0, 2, 1, 0} } },
		"a signature and more":       func(m *message) { m.sign = func(d []byte) []byte { return append(k.sign(d), 0) } },
		"signed without client data": func(m *message) { m.signed = func(auth, _ []byte) []byte { return auth } },
		"signed without the data":    func(m *message) { m.signed = func(_, hash []byte) []byte { return hash } },
		"signed the other way round": func(m *message) {
			m.signed = func(auth, hash []byte) []byte { return append(bytes.Clone(hash), auth...) }
		},
		"signed other client data": func(m *message) {
			m.signed = func(auth, _ []byte) []byte { return append(bytes.Clone(auth), random(32)...) }
		},
		"signed a bit less":           func(m *message) { m.signed = func(a, h []byte) []byte { d := plainData(a, h); d[33] ^= 1; return d } },
		"another's credential":        func(m *message) { m.id = other.id },
		"another's, with its key":     func(m *message) { m.id, m.sign = other.id, other.sign },
		"a credential of nobody":      func(m *message) { m.id = random(32) },
		"no credential":               func(m *message) { m.id = nil },
		"half a credential":           func(m *message) { m.id = m.id[:16] },
		"another's handle":            func(m *message) { m.handle = other.handle },
		"another's handle and ID":     func(m *message) { m.handle, m.id = other.handle, other.id },
		"a handle of nobody":          func(m *message) { m.handle = random(16) },
		"no handle":                   func(m *message) { m.handle = nil },
		"a longer handle":             func(m *message) { m.handle = append(bytes.Clone(m.handle), 0) },
		"a key of its own, announced": func(m *message) { m.flags |= flagAT; m.attested = other.attested(); m.sign = other.sign },
		"a key announced, not there":  func(m *message) { m.flags |= flagAT },
		"a key there, not announced":  func(m *message) { m.attested = other.attested() },
	}
}

func (k *token) sign512(data []byte) []byte {
	hash := sha512.Sum512(data)
	sig, err := ecdsa.SignASN1(rand.Reader, k.key, hash[:])
	if err != nil {
		panic(err)
	}
	return sig
}

func (k *token) signRaw(data []byte) []byte {
	// 64 bytes that are no ASN.1, as JOSE has them.
	return append(k.sign(data)[:32], k.sign(data)[:32]...)
}

// wrongRegistrations are those that only a registration can have.
func wrongRegistrations(t *testing.T, k *token) map[string]func(*message) {
	t.Helper()
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	head := func(id []byte) []byte {
		return append(append(make([]byte, 16), byte(len(id)>>8), byte(len(id))), id...)
	}
	with := func(key any) func(*message) {
		return func(m *message) { m.attested = append(head(k.id), encoded(key)...) }
	}
	point, err := p384.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	good, err := k.key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	off := append([]byte{}, good[33:]...)
	off[31] ^= 1
	return map[string]func(*message){
		"no key announced":         flags(0, flagAT),
		"no key there":             func(m *message) { m.attested = nil },
		"the key cut off":          func(m *message) { m.attested = m.attested[:len(m.attested)-1] },
		"another credential's ID":  func(m *message) { m.id = random(32) },
		"no ID":                    func(m *message) { m.attested = append(head(nil), k.cose()...); m.id = nil },
		"an ID of 1,024 bytes":     func(m *message) { m.id = random(1024); m.attested = append(head(m.id), k.cose()...) },
		"an ID longer than it is":  func(m *message) { m.attested[17] = 200 },
		"an unknown algorithm":     with(map[int]any{1: 2, 3: -65000, -1: 1, -2: good[1:33], -3: good[33:]}),
		"a MAC's algorithm":        with(map[int]any{1: 4, 3: 5, -1: random(32)}),
		"another curve's point":    with(map[int]any{1: 2, 3: -7, -1: 2, -2: point[1:49], -3: point[49:]}),
		"a point off the curve":    with(map[int]any{1: 2, 3: -7, -1: 1, -2: good[1:33], -3: off}),
		"half a point":             with(map[int]any{1: 2, 3: -7, -1: 1, -2: good[1:33]}),
		"no key in it":             with(map[int]any{}),
		"none with a statement":    func(m *message) { m.statement = func(_, _ []byte) any { return map[string]any{"sig": []byte{1}} } },
		"an unknown format":        func(m *message) { m.format = "vaultpam" },
		"no format":                func(m *message) { m.format = "" },
		"packed without signature": func(m *message) { m.format = "packed" },
		"packed by another key": func(m *message) {
			m.format = "packed"
			m.statement = func(auth, hash []byte) any {
				return map[string]any{"alg": -7, "sig": newToken(t).sign(plainData(auth, hash))}
			}
		},
		"a statement that is a list": func(m *message) { m.statement = func(_, _ []byte) any { return []int{1} } },
	}
}

// TestS17Assertions: no change of an assertion signs anybody in or confirms
// anything, and each one uses its challenge up.
func TestS17Assertions(t *testing.T) {
	o := found(t)
	k, _ := o.enrolPasskey("carol")
	other, _ := o.enrolPasskey("bob")
	all := []map[string]func(*message){wrongClientData, wrongAuthData, wrongAssertions(t, k, other)}
	session := o.enter(k)
	size, count := len(o.entries(store.TypeSignInSucceeded)), 0
	for _, some := range all {
		for name, change := range some {
			count++
			p := o.loopback(address(count))
			asked, err := o.Ask(p.begun.ID, chrome, home)
			if err != nil {
				t.Fatal(err)
			}
			if out, err := o.Answer(t.Context(), p.begun.ID, chrome, k.get(t, asked.Get, change), home); kind(err) != access.Unauthenticated || out.Redirect != "" {
				t.Errorf("%s: outcome %+v, error %v", name, out, err)
			}
			// The right answer comes too late for it.
			if _, err := o.Answer(t.Context(), p.begun.ID, chrome, k.get(t, asked.Get), home); kind(err) != access.Conflict {
				t.Errorf("%s: afterwards %v", name, err)
			}
			again, err := o.Ask(p.begun.ID, chrome, home)
			if err != nil || bytes.Equal(again.Get, asked.Get) {
				t.Errorf("%s: the challenge comes again, error %v", name, err)
			}
		}
	}
	in := o.signIn(session)
	for _, some := range all {
		for name, change := range some {
			if name == "no handle" { // who was named need not say who they are
				continue
			}
			if count++; count%40 == 0 {
				o.clock.wait(5 * time.Minute) // for ceremonies to end
			}
			begun, err := o.BeginConfirm(in, login.PurposeConfirm, "x", home)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := o.confirm(begun.ID, k, change); err == nil {
				t.Errorf("%s: confirmed", name)
			}
		}
	}
	t.Logf("%d changed assertions", count)
	if n := len(o.entries(store.TypeSignInSucceeded)); n != size || len(o.entries(store.TypeSignInConfirmed)) != 0 || len(o.entries(store.TypeFactorCloned)) != 0 {
		t.Errorf("%d sign-ins, was %d; or something was confirmed, or a copy was found", n, size)
	}
	o.enter(k) // what was not changed is good
}

// TestS17Registrations: no change of a registration enrols a passkey.
func TestS17Registrations(t *testing.T) {
	o := found(t)
	_, carol := o.enrolPasskey("carol")
	invitation, k, count := o.invite("dave"), newToken(t), 0
	for _, some := range []map[string]func(*message){wrongClientData, wrongAuthData, wrongRegistrations(t, k)} {
		for name, change := range some {
			count++
			begun, asked, err := o.BeginPasskey(invitation, chrome, address(count))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := o.FinishPasskey(t.Context(), begun.ID, chrome, k.create(t, asked.Create, change), ""); kind(err) != access.Unauthenticated {
				t.Errorf("%s: error %v", name, err)
			}
			if _, err := o.FinishPasskey(t.Context(), begun.ID, chrome, k.create(t, asked.Create), ""); kind(err) != access.Conflict {
				t.Errorf("%s: afterwards %v", name, err)
			}
		}
	}
	t.Logf("%d changed registrations", count)
	if n := len(o.entries(store.TypeFactorEnrolled)); n != 1 {
		t.Errorf("%d factors were enrolled, want %s's alone", n, carol.Handle)
	}
	begun, asked, err := o.BeginPasskey(invitation, chrome, home)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.FinishPasskey(t.Context(), begun.ID, chrome, k.create(t, asked.Create), ""); err != nil {
		t.Errorf("what was not changed: %v", err)
	}
}

// TestS17Unknown: members and extensions that nobody knows yet are no fault
// (WebAuthn Level 3, sections 5.8.1 and 9), nor is a passkey that is synced.
func TestS17Unknown(t *testing.T) {
	o := found(t)
	k := newToken(t)
	k.flags |= flagBE
	o.enrolToken("carol", k)
	for name, change := range map[string]func(*message){
		"another member":    extra(`,"new_keys_may_be_added_here":"do not compare","x":{"origin":["https://evil.example",{}]}`),
		"an extension":      func(m *message) { m.flags |= flagED; m.extensions = encoded(map[string]any{"credProtect": 2}) },
		"other white space": client("\n{ \"origin\" : %[3]q ,\t\"type\":%[1]q, \"challenge\":%[2]q }\n"),
		"backed up now":     flags(flagBS, 0),
		"no crossOrigin":    client(`{"type":%q,"challenge":%q,"origin":%q}`),
	} {
		p := o.loopback(home)
		out, err := o.confirm(p.begun.ID, k, change)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := p.redeem(o.codeIn(out)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestS17Envelope: what is no answer at all is refused as one that is wrong.
func TestS17Envelope(t *testing.T) {
	o := found(t)
	k, _ := o.enrolPasskey("carol")
	for name, change := range map[string]func([]byte) []byte{
		"nothing":       func([]byte) []byte { return nil },
		"null":          func([]byte) []byte { return []byte("null") },
		"an array":      func(b []byte) []byte { return append(append([]byte("["), b...), ']') },
		"two":           func(b []byte) []byte { return append(bytes.Clone(b), b...) },
		"cut off":       func(b []byte) []byte { return b[:len(b)-1] },
		"no response":   func([]byte) []byte { return []byte(`{"id":"AAAA","rawId":"AAAA","type":"public-key"}`) },
		"another type":  func(b []byte) []byte { return bytes.Replace(b, []byte("public-key"), []byte("password"), 1) },
		"another id":    func(b []byte) []byte { return bytes.Replace(b, []byte(`"id":"`), []byte(`"id":"AAAA`), 1) },
		"another rawId": func(b []byte) []byte { return bytes.Replace(b, []byte(`"rawId":"`), []byte(`"rawId":"AAAA`), 1) },
		"not base64":    func(b []byte) []byte { return bytes.Replace(b, []byte(`"signature":"`), []byte(`"signature":"!`), 1) },
		"deep":          func([]byte) []byte { return bytes.Repeat([]byte("["), 60_000) },
		"a registration": func([]byte) []byte {
			_, asked, err := o.BeginPasskey(o.invite("bob"), chrome, home)
			if err != nil {
				t.Fatal(err)
			}
			return newToken(t).create(t, asked.Create)
		},
	} {
		p := o.loopback(home)
		asked, err := o.Ask(p.begun.ID, chrome, home)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.Answer(t.Context(), p.begun.ID, chrome, change(k.get(t, asked.Get)), home); kind(err) != access.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
	o.nobodyIn("no answers")
}

// FuzzS17Assertion: no bytes are an answer but those of an authenticator.
func FuzzS17Assertion(f *testing.F) {
	o := found(f)
	k, _ := o.enrolPasskey("carol")
	p := o.loopback(home)
	asked, err := o.Ask(p.begun.ID, chrome, home)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(k.get(f, asked.Get))
	f.Add([]byte(`{"id":"AAAA","rawId":"AAAA","type":"public-key","response":{"clientDataJSON":"e30","authenticatorData":"","signature":""}}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if _, err := o.Ask(p.begun.ID, chrome, home); err != nil { // draws another challenge
			t.Fatal(err)
		}
		if _, err := o.Answer(t.Context(), p.begun.ID, chrome, answer, home); err == nil {
			t.Errorf("accepted: %q", answer)
		}
	})
}
