package login

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// A Browser says how browsers come to this server.
type Browser struct {
	// Origins are the origins that its pages have: "https://pam.example.eu".
	Origins []string
	// Refusal returns why browsers would make no passkey here at the moment, or "".
	Refusal func() string
	// Roots are the authorities of the makers of authenticators. Where the company
	// names the models that it allows, an attestation has to come from one of them.
	Roots *x509.CertPool
}

// challengeLife is how long a challenge lives (security.md, S17).
const challengeLife = 2 * time.Minute

// passkeys verifies WebAuthn ceremonies (WebAuthn Level 3, section 7). It keeps
// nothing: challenges are the ceremonies', and what an assertion is worth is for
// the rules to say.
type passkeys struct {
	rp    *webauthn.WebAuthn
	roots *x509.CertPool
}

func newPasskeys(name string, b Browser) (*passkeys, error) {
	required := true
	rp, err := webauthn.New(&webauthn.Config{
		RPID: name, RPDisplayName: "VaultPAM " + name, RPOrigins: b.Origins,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			RequireResidentKey: &required, ResidentKey: protocol.ResidentKeyRequirementRequired,
			UserVerification: protocol.VerificationRequired,
		},
		Timeouts: webauthn.TimeoutsConfig{
			Login:        webauthn.TimeoutConfig{Timeout: challengeLife, TimeoutUVD: challengeLife},
			Registration: webauthn.TimeoutConfig{Timeout: challengeLife, TimeoutUVD: challengeLife},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("preparing for passkeys: %w", err)
	}
	return &passkeys{rp: rp, roots: b.Roots}, nil
}

// A person is a user as the library asks for them.
type person struct{ access.User }

// WebAuthnID is the user's random ID.
func (p person) WebAuthnID() []byte { return p.ID[:] }

// WebAuthnName is the user's handle.
func (p person) WebAuthnName() string { return string(p.Handle) }

// WebAuthnDisplayName is the user's handle.
func (p person) WebAuthnDisplayName() string { return string(p.Handle) }

// WebAuthnCredentials are the user's passkeys, without counters: those are compared
// where the assertion is decided.
func (p person) WebAuthnCredentials() []webauthn.Credential {
	var all []webauthn.Credential
	for _, f := range p.Passkeys() {
		all = append(all, webauthn.Credential{
			ID: f.Passkey.Credential, PublicKey: f.Passkey.PublicKey,
			Flags:         webauthn.NewCredentialFlags(protocol.AuthenticatorFlags(f.Passkey.Flags)),
			Authenticator: webauthn.Authenticator{AAGUID: f.Passkey.AAGUID[:]},
		})
	}
	return all
}

// A challenge is what a browser was asked, and what is needed to judge the answer.
type challenge struct {
	session webauthn.SessionData
	asked   time.Time
	creates bool // asks for a new passkey
	// of is whom it asks; nil: whoever has a passkey. It does not change with the
	// ceremony, which the provider may meanwhile have made somebody's.
	of    *access.User
	nonce store.Hash // of an approval
}

// options are what a browser is asked, as PublicKeyCredentialCreationOptionsJSON or
// PublicKeyCredentialRequestOptionsJSON.
func encodeOptions(v any) (json.RawMessage, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding a challenge: %w", err)
	}
	return data, nil
}

// create asks for a new passkey of a user.
func (p *passkeys) create(u access.User, models []store.AAGUID, now time.Time) (json.RawMessage, *challenge, error) {
	who := person{u}
	conveyance := protocol.PreferNoAttestation
	if models != nil {
		conveyance = protocol.PreferDirectAttestation
	}
	creation, session, err := p.rp.BeginRegistration(who,
		webauthn.WithConveyancePreference(conveyance),
		webauthn.WithExclusions(webauthn.Credentials(who.WebAuthnCredentials()).CredentialDescriptors()))
	if err != nil {
		return nil, nil, fmt.Errorf("asking for a passkey: %w", err)
	}
	options, err := encodeOptions(creation.Response)
	return options, &challenge{session: *session, asked: now, creates: true}, err
}

// created verifies what a browser made of create. The models are those that may be
// enrolled now, whatever they were when it was asked; nil: any.
func (p *passkeys) created(u access.User, c *challenge, models []store.AAGUID, answer []byte) (*store.Passkey, error) {
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return nil, badPasskey(err)
	}
	if err := checkClientData(parsed.Raw.AttestationResponse.ClientDataJSON, p.rp.Config.RPOrigins); err != nil {
		return nil, badPasskey(err)
	}
	made, err := p.rp.CreateCredential(person{u}, c.session, parsed)
	if err != nil {
		return nil, badPasskey(err)
	}
	if err := onCurve(made.PublicKey); err != nil {
		return nil, badPasskey(err)
	}
	if models != nil {
		if err := p.attested(&parsed.Response.AttestationObject); err != nil {
			return nil, err
		}
	}
	key := &store.Passkey{
		Credential: made.ID, PublicKey: made.PublicKey, Counter: uint64(made.Authenticator.SignCount),
		Flags: uint64(parsed.Response.AttestationObject.AuthData.Flags),
	}
	copy(key.AAGUID[:], made.Authenticator.AAGUID)
	return key, nil
}

// get asks for an assertion: of that user, or of whoever has a passkey here where
// there is no user.
func (p *passkeys) get(u *access.User, now time.Time, more ...webauthn.LoginOption) (json.RawMessage, *challenge, error) {
	var assertion *protocol.CredentialAssertion
	var session *webauthn.SessionData
	var err error
	options := append([]webauthn.LoginOption{webauthn.WithUserVerification(protocol.VerificationRequired)}, more...)
	if u == nil {
		assertion, session, err = p.rp.BeginDiscoverableLogin(options...)
	} else {
		assertion, session, err = p.rp.BeginLogin(person{*u}, options...)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("asking for a passkey: %w", err)
	}
	encoded, err := encodeOptions(assertion.Response)
	return encoded, &challenge{session: *session, asked: now, of: u}, err
}

// got verifies what a browser made of get. find returns the user with an ID. The
// account is the one that the answer speaks of, verified or not.
func (p *passkeys) got(u *access.User, c *challenge, answer []byte, find func(store.UserID) (access.User, bool)) (a access.Assertion, speaksOf store.UserID, err error) {
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return a, speaksOf, badPasskey(err)
	}
	handle := parsed.Response.UserHandle
	switch {
	case u != nil:
		speaksOf = u.ID
	case len(handle) == len(speaksOf):
		speaksOf = store.UserID(handle)
	}
	if err := checkClientData(parsed.Raw.AssertionResponse.ClientDataJSON, p.rp.Config.RPOrigins); err != nil {
		return a, speaksOf, badPasskey(err)
	}
	var who access.User
	if u != nil {
		who = *u
		_, err = p.rp.ValidateLogin(person{who}, c.session, parsed)
	} else {
		_, _, err = p.rp.ValidatePasskeyLogin(func(_, handle []byte) (webauthn.User, error) {
			var ok bool
			if who, ok = find(speaksOf); !ok || len(handle) != len(speaksOf) {
				return nil, access.ErrPasskey
			}
			return person{who}, nil
		}, c.session, parsed)
	}
	if err != nil {
		return a, speaksOf, badPasskey(err)
	}
	for _, f := range who.Passkeys() {
		if bytes.Equal(f.Passkey.Credential, parsed.RawID) {
			counter := uint64(parsed.Response.AuthenticatorData.Counter)
			return access.Assertion{User: who.ID, Factor: f.Entry, Counter: counter, Last: f.Passkey.Counter}, speaksOf, nil
		}
	}
	return a, speaksOf, access.ErrPasskey
}

// A passkeyError is a refusal with what the library found, for the log.
type passkeyError struct {
	*access.Refusal
	found error
}

func (e *passkeyError) Unwrap() []error { return []error{e.Refusal, e.found} }

// LogValue says what was wrong in words for operators; the person is told less.
// What the library found in the way, or compared, is a stranger's text and is left
// out.
func (e *passkeyError) LogValue() slog.Value {
	var detailed *protocol.Error
	switch {
	case errors.Is(e.found, errClientData):
		return slog.StringValue(e.found.Error())
	case !errors.As(e.found, &detailed):
		return slog.StringValue("it can't be read")
	case detailed.Err != nil:
		return slog.StringValue(detailed.Type)
	}
	return slog.StringValue(detailed.Type + ": " + detailed.Details)
}

// badPasskey answers whatever does not verify.
func badPasskey(found error) error {
	return &passkeyError{
		Refusal: &access.Refusal{
			Kind:    access.Unauthenticated,
			Message: "what the browser sent does not prove who you are",
			Hint:    "try again; if it goes on, use another passkey or another browser",
		},
		found: found,
	}
}
