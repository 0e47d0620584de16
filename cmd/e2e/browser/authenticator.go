package browser

import (
	"context"
	"fmt"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// An Authenticator is one of Chromium's own: it keeps keys, asks nobody, and signs
// as a real one does (WebAuthn, section 11).
type Authenticator struct {
	b  *Browser
	id webauthn.AuthenticatorID
}

// A Kind is what an authenticator is to the browser.
type Kind string

// The kinds.
const (
	// Platform is built into the machine, keeps passkeys, and knows its user.
	Platform Kind = "platform"
	// SecurityKey is plugged in, keeps passkeys, and has a PIN.
	SecurityKey Kind = "security key"
	// OldKey is plugged in, and can neither keep passkeys nor know its user.
	OldKey Kind = "old key"
)

// Authenticator gives the browser an authenticator, which from then on answers at
// once and has always verified its user. It stays until Remove.
func (b *Browser) Authenticator(k Kind) (*Authenticator, error) {
	o := &webauthn.VirtualAuthenticatorOptions{
		Protocol:                    webauthn.AuthenticatorProtocolCtap2,
		Ctap2version:                webauthn.Ctap2versionCtap21,
		Transport:                   webauthn.AuthenticatorTransportUsb,
		HasResidentKey:              k != OldKey,
		HasUserVerification:         k != OldKey,
		IsUserVerified:              k != OldKey,
		AutomaticPresenceSimulation: true,
	}
	if k == Platform {
		o.Transport = webauthn.AuthenticatorTransportInternal
	}
	id, err := run(b, func(ctx context.Context, t *chromedp.Target) (webauthn.AuthenticatorID, error) {
		// Without EnableUI no window asks: the only authenticators are these.
		if _, err := cdp.Call(ctx, t, webauthn.Enable, webauthn.EnableParams{}); err != nil {
			return "", err
		}
		added, err := cdp.Call(ctx, t, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: o})
		return added.AuthenticatorID, err
	})
	if err != nil {
		return nil, fmt.Errorf("adding an authenticator: %w", err)
	}
	return &Authenticator{b: b, id: id}, nil
}

func (a *Authenticator) call(what string, call func(context.Context, *chromedp.Target) error) error {
	if err := a.b.do(chromedp.Func(call)); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Verify makes the authenticator recognise its user again.
func (a *Authenticator) Verify() error { return a.verified(true) }

// Doubt makes it take its user for somebody else: a wrong PIN, another finger.
func (a *Authenticator) Doubt() error { return a.verified(false) }

func (a *Authenticator) verified(is bool) error {
	return a.call("switching an authenticator", func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: a.id, IsUserVerified: is})
		return err
	})
}

// Touch makes the authenticator answer as soon as it is asked again. What it was
// asked meanwhile stays without an answer.
func (a *Authenticator) Touch() error { return a.present(true) }

// Wait makes it wait for a touch that does not come.
func (a *Authenticator) Wait() error { return a.present(false) }

func (a *Authenticator) present(is bool) error {
	return a.call("switching an authenticator", func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, webauthn.SetAutomaticPresenceSimulation, webauthn.SetAutomaticPresenceSimulationParams{AuthenticatorID: a.id, Enabled: is})
		return err
	})
}

// Remove takes the authenticator away, with the keys on it.
func (a *Authenticator) Remove() error {
	return a.call("removing an authenticator", func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, webauthn.RemoveVirtualAuthenticator, webauthn.RemoveVirtualAuthenticatorParams{AuthenticatorID: a.id})
		return err
	})
}

// A Credential is a passkey with its private key, as somebody has it who copied it.
// It is the part of DevTools' own type that every authenticator takes.
type Credential struct {
	CredentialID         []byte  `json:"credentialId"`
	IsResidentCredential bool    `json:"isResidentCredential"`
	RpID                 string  `json:"rpId"`
	PrivateKey           []byte  `json:"privateKey"` // ECDSA P-256, PKCS #8
	UserHandle           []byte  `json:"userHandle,omitzero"`
	SignCount            float64 `json:"signCount"`
}

// Credentials returns what the authenticator holds, private keys and all.
func (a *Authenticator) Credentials() ([]Credential, error) {
	held, err := run(a.b, func(ctx context.Context, t *chromedp.Target) (webauthn.GetCredentialsResult, error) {
		return cdp.Call(ctx, t, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: a.id})
	})
	if err != nil {
		return nil, fmt.Errorf("reading an authenticator: %w", err)
	}
	var all []Credential
	for _, c := range held.Credentials {
		all = append(all, Credential{
			CredentialID: c.CredentialID, IsResidentCredential: c.IsResidentCredential, RpID: c.RpID,
			PrivateKey: c.PrivateKey, UserHandle: c.UserHandle, SignCount: c.SignCount,
		})
	}
	return all, nil
}

type addCredential struct {
	AuthenticatorID webauthn.AuthenticatorID `json:"authenticatorId"`
	Credential      Credential               `json:"credential"`
}

// Put puts a passkey onto the authenticator: a copy of another's, or one whose
// SignCount somebody turned back.
func (a *Authenticator) Put(c Credential) error {
	return a.call("filling an authenticator", func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, cdp.Command[addCredential, cdp.Empty]{Method: webauthn.CommandAddCredential}, addCredential{AuthenticatorID: a.id, Credential: c})
		return err
	})
}

// Clear takes all passkeys off the authenticator.
func (a *Authenticator) Clear() error {
	return a.call("clearing an authenticator", func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, webauthn.ClearCredentials, webauthn.ClearCredentialsParams{AuthenticatorID: a.id})
		return err
	})
}
