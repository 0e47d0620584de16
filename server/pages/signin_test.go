package pages_test

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/pages"
)

// A ceremony is what somebody is asked on a sign-in page.
type ceremony struct {
	page     pages.SignIn
	code     string // of a device
	redirect string
	session  *webauthn.SessionData
	by       *person // who touched a passkey
	ended    string
}

func (d *desk) signInPage(r *http.Request) pages.Page {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.ceremonies[r.PathValue("id")]
	if c == nil || c.ended != "" {
		return pages.Message{
			Server: siteName, Title: "This link is not good any more", Text: "It was used already, or its two minutes are over.",
			Hint: "type the command again that led you here",
		}
	}
	return c.page
}

func (d *desk) open(r *http.Request) (*ceremony, error) {
	c := d.ceremonies[r.PathValue("id")]
	if c == nil || c.ended != "" {
		return nil, api.NewError(api.KindNotFound, "type the command again that led you here", "this was answered already, or its time is over")
	}
	return c, nil
}

func (d *desk) begin(r *http.Request, _ api.Empty) (any, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, err := d.open(r)
	if err != nil {
		return nil, err
	}
	assertion, session, err := d.keys.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return nil, err
	}
	c.session = session
	return map[string]any{"options": assertion.Response}, nil
}

type credentialRequest struct {
	Credential json.RawMessage `json:"credential"`
}

func (d *desk) finish(r *http.Request, q credentialRequest) (any, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, err := d.open(r)
	if err != nil {
		return nil, err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(q.Credential)
	if err != nil {
		return nil, err
	}
	find := func(_, id []byte) (webauthn.User, error) {
		if p := d.people[string(id)]; p != nil {
			return p, nil
		}
		return nil, api.NewError(api.KindUnauthenticated, "", "this passkey is nobody's here")
	}
	user, used, err := d.keys.ValidatePasskeyLogin(find, *c.session, parsed)
	if err != nil {
		return nil, err
	}
	if used.Authenticator.CloneWarning {
		return nil, api.NewError(api.KindUnauthenticated, "tell an administrator", "this passkey seems to have been copied: its counter went back")
	}
	c.by = user.(*person)
	for i, k := range c.by.keys {
		if string(k.ID) == string(used.ID) {
			c.by.keys[i] = *used
		}
	}
	return d.finished(c)
}

func (d *desk) finished(c *ceremony) (any, error) {
	if c.page.Purpose == pages.ToAddPasskey {
		creation, session, err := d.keys.BeginRegistration(c.by, webauthn.WithExclusions(webauthn.Credentials(c.by.keys).CredentialDescriptors()))
		if err != nil {
			return nil, err
		}
		c.session = session
		return map[string]any{"create": map[string]any{"options": creation.Response}}, nil
	}
	c.ended = "passkey"
	if c.redirect != "" {
		return map[string]any{"redirect": c.redirect}, nil
	}
	return map[string]any{"done": c.by.handle + " is signed in on " + c.page.Machine}, nil
}

func (d *desk) register(r *http.Request, q struct {
	Name       string          `json:"name"`
	Credential json.RawMessage `json:"credential"`
}) (any, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, err := d.open(r)
	if err != nil {
		return nil, err
	}
	if err := d.keep(c.by, c.session, q.Name, q.Credential); err != nil {
		return nil, err
	}
	c.ended = "registered"
	return map[string]any{"done": "the passkey “" + q.Name + "” was added"}, nil
}

func (d *desk) deny(r *http.Request, _ api.Empty) (any, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, err := d.open(r)
	if err != nil {
		return nil, err
	}
	c.ended = "denied"
	return api.Empty{}, nil
}

func (d *desk) sso(r *http.Request, _ api.Empty) (any, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, err := d.open(r)
	if err != nil {
		return nil, err
	}
	return map[string]any{"location": c.redirect}, nil
}

func (d *desk) find(_ *http.Request, q struct {
	Code string `json:"code"`
}) (any, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, c := range d.ceremonies {
		if c.code != "" && c.code == strings.ReplaceAll(q.Code, "-", "") {
			return map[string]any{"id": id}, nil
		}
	}
	return nil, api.NewError(api.KindNotFound, "look at the machine's screen again; a code is good for five minutes", "no machine shows this code")
}
