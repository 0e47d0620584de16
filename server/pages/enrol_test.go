package pages_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/pquerna/otp/totp"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/pages"
)

// A person has a handle and passkeys.
type person struct {
	id     []byte
	handle string
	names  []string // of the passkeys
	keys   []webauthn.Credential
	codes  []string
}

func (p *person) WebAuthnID() []byte                         { return p.id }
func (p *person) WebAuthnName() string                       { return p.handle }
func (p *person) WebAuthnDisplayName() string                { return p.handle }
func (p *person) WebAuthnCredentials() []webauthn.Credential { return p.keys }

// An invitation is good once.
type invitation struct {
	person  *person
	secret  string
	uri     string
	expires time.Time
	refusal string // why there is no passkey
	kinds   []protocol.CredentialParameter
	session *webauthn.SessionData
	used    bool
}

// invite makes an invitation, and returns what stands behind "#" in its link.
func (d *desk) invite(p *person, changes ...func(*invitation)) (*invitation, string) {
	key, err := totp.Generate(totp.GenerateOpts{Issuer: siteName, AccountName: p.handle})
	if err != nil {
		d.t.Error(err)
	}
	token := make([]byte, 32)
	_, _ = rand.Read(token) // never fails
	inv := &invitation{person: p, secret: key.Secret(), uri: key.URL(), expires: time.Now().Add(24 * time.Hour)}
	for _, change := range changes {
		change(inv)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.people[string(p.id)] = p
	d.invitations[string(token)] = inv
	return inv, base64.RawURLEncoding.EncodeToString(token)
}

// newPerson has no passkey yet.
func newPerson(handle string) *person {
	return &person{id: []byte(rand.Text()), handle: handle, codes: []string{"abcd-efgh-ijkm-npqr-stuv-wxyz", "2345-6789-abcd-efgh-ijkm-npqr", "stuv-wxyz-2345-6789-abcd-efgh"}}
}

func (d *desk) invited(token []byte) (*invitation, error) {
	inv := d.invitations[string(token)]
	if inv == nil || inv.used {
		return nil, api.NewError(api.KindUnauthenticated, "ask an administrator for a new invitation", "this invitation was used already, or ran out")
	}
	return inv, nil
}

type passkeyOffer struct {
	ID      string                                      `json:"id"`
	Options protocol.PublicKeyCredentialCreationOptions `json:"options"`
}

type enrollBegun struct {
	api.EnrollBeginResponse
	QR             []string      `json:"qr,omitempty"`
	Passkey        *passkeyOffer `json:"passkey,omitempty"`
	PasskeyRefusal string        `json:"passkey_refusal,omitempty"`
}

func (d *desk) enrollBegin(_ *http.Request, q api.EnrollBeginRequest) (any, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	inv, err := d.invited(q.Token)
	if err != nil {
		return nil, err
	}
	rows, err := pages.QR(inv.uri)
	if err != nil {
		return nil, err
	}
	begun := enrollBegun{
		EnrollBeginResponse: api.EnrollBeginResponse{Handle: inv.person.handle, Secret: inv.secret, URI: inv.uri, Expires: inv.expires},
		QR:                  rows, PasskeyRefusal: inv.refusal,
	}
	if inv.refusal != "" {
		return begun, nil
	}
	options := []webauthn.RegistrationOption{webauthn.WithExclusions(webauthn.Credentials(inv.person.keys).CredentialDescriptors())}
	if inv.kinds != nil {
		options = append(options, webauthn.WithCredentialParameters(inv.kinds))
	}
	creation, session, err := d.keys.BeginRegistration(inv.person, options...)
	if err != nil {
		return nil, err
	}
	inv.session = session
	begun.Passkey = &passkeyOffer{ID: base64.RawURLEncoding.EncodeToString(q.Token), Options: creation.Response}
	return begun, nil
}

type enrollPasskey struct {
	ID         string          `json:"id"`
	Name       string          `json:"name"`
	Credential json.RawMessage `json:"credential"`
}

func (d *desk) enrollPasskey(_ *http.Request, q enrollPasskey) (any, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	token, err := base64.RawURLEncoding.DecodeString(q.ID)
	if err != nil {
		return nil, err
	}
	inv, err := d.invited(token)
	if err != nil {
		return nil, err
	}
	if err := d.keep(inv.person, inv.session, q.Name, q.Credential); err != nil {
		return nil, err
	}
	inv.used = true
	return api.SignInResponse{Handle: inv.person.handle, RecoveryCodes: inv.person.codes}, nil
}

// keep verifies a new passkey and adds it to its person's.
func (d *desk) keep(p *person, s *webauthn.SessionData, name string, credential []byte) error {
	parsed, err := protocol.ParseCredentialCreationResponseBytes(credential)
	if err != nil {
		return err
	}
	made, err := d.keys.CreateCredential(p, *s, parsed)
	if err != nil {
		return err
	}
	p.keys, p.names = append(p.keys, *made), append(p.names, name)
	return nil
}

func (d *desk) enrollFinish(_ *http.Request, q api.EnrollFinishRequest) (any, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	inv, err := d.invited(q.Token)
	if err != nil {
		return nil, err
	}
	if !totp.Validate(strings.ReplaceAll(q.Code, " ", ""), inv.secret) {
		return nil, api.NewError(api.KindUnauthenticated, "look at the authenticator again; its clock must be right", "this code is not the one that the authenticator shows now")
	}
	inv.used = true
	return api.SignInResponse{Handle: inv.person.handle, RecoveryCodes: inv.person.codes}, nil
}
