package login

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// ssoLife is how long somebody has to sign in at the provider. It ends with the
// ceremony at the latest.
const ssoLife = ceremonyLife

// An errand to the provider is what was drawn for one way there and back. It can be
// answered once.
type ssoErrand struct {
	state    store.Hash // of the state; the state itself is in the browser's address alone
	nonce    string
	verifier string // of PKCE (RFC 7636)
	begun    time.Time
}

// vouched is whom the provider vouched for in a ceremony.
type vouched struct {
	identity access.Identity
	sid      store.Hash
	groups   access.GroupSync
	user     store.UserID
}

// SSOName is what people call the company's provider, or "" where there is none.
func (l *Login) SSOName() string {
	if l.provider == nil {
		return ""
	}
	return l.provider.Name
}

// errNoSSO answers where there is no provider.
var errNoSSO = &access.Refusal{Kind: access.NotFound, Message: "this server knows no provider of sign-ins", Hint: "use a passkey"}

// BeginSSO sends the browser of a ceremony to the company's provider, and returns
// where. State, nonce and the verifier of PKCE are drawn for this once and kept
// with the ceremony, and with that they belong to its browser alone.
//
// A sign-in whose code was typed on another machine takes a passkey: its person
// would otherwise need no more than a click on a link that somebody sent them (S20).
func (l *Login) BeginSSO(ctx context.Context, id string, browser []byte) (string, error) {
	if l.provider == nil {
		return "", errNoSSO
	}
	if err := l.ceremonies.with(id, func(c *ceremony) error { return maySSO(c, browser) }); err != nil {
		return "", err
	}
	d, err := l.provider.discover(ctx)
	if err != nil {
		return "", err
	}
	random := make([]byte, 3*idSize)
	if err := l.draw(random); err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString
	state := text(random[:idSize])
	errand := &ssoErrand{
		state: sha256.Sum256([]byte(state)), nonce: text(random[idSize : 2*idSize]), verifier: text(random[2*idSize:]), begun: l.Now(),
	}
	options := []oauth2.AuthCodeOption{oidc.Nonce(errand.nonce), oauth2.S256ChallengeOption(errand.verifier)}
	if len(l.provider.ACR) > 0 {
		options = append(options, oauth2.SetAuthURLParam("acr_values", strings.Join(l.provider.ACR, " ")))
	}
	err = l.ceremonies.with(id, func(c *ceremony) error {
		if err := maySSO(c, browser); err != nil {
			return err
		}
		c.errand = errand
		return nil
	})
	return d.oauth.AuthCodeURL(state, options...), err
}

func maySSO(c *ceremony, browser []byte) error {
	if err := c.bind(browser); err != nil {
		return err
	}
	if c.purpose != PurposeSignIn || c.device != "" {
		return &access.Refusal{Kind: access.Forbidden, Message: "this takes a passkey, and not the word of another server", Hint: "use your passkey on the same page"}
	}
	return nil
}

// An SSOAnswer is what the provider sent a browser back with (RFC 6749, section
// 4.1.2, and RFC 9207).
type SSOAnswer struct {
	State  string
	Code   string
	Issuer string // empty where the provider does not name itself
	Error  string
}

// A SecondFactor is what a person still has to show after the provider vouched for
// them.
type SecondFactor struct {
	ID      string // of the ceremony
	Handle  store.Handle
	Passkey bool
	TOTP    bool
}

// FinishSSO takes what the provider sent a browser back with. The person is then
// signed in, or has to show a second factor of theirs.
func (l *Login) FinishSSO(ctx context.Context, browser []byte, answer SSOAnswer) (Outcome, error) {
	if l.provider == nil {
		return Outcome{}, errNoSSO
	}
	c, errand, err := l.ceremonies.takeErrand(answer.State, browser)
	if err != nil {
		return Outcome{}, err
	}
	d, err := l.provider.discover(ctx)
	if err != nil {
		return Outcome{}, err
	}
	if err := l.provider.check(d, answer); err != nil {
		return Outcome{}, l.notVouched(err)
	}
	client := l.provider.context(ctx)
	token, err := d.oauth.Exchange(client, answer.Code, oauth2.VerifierOption(errand.verifier))
	if err != nil {
		return Outcome{}, l.notVouched(fmt.Errorf("redeeming the code: %w", err))
	}
	claims, err := l.provider.claims(client, d, token, errand.nonce)
	if err != nil {
		return Outcome{}, l.notVouched(err)
	}
	reading, err := l.provider.Read(claims)
	if err != nil {
		return Outcome{}, l.notVouched(err)
	}
	return l.vouch(c, reading)
}

// check holds an answer to its sender: another provider's code must not be shown to
// ours, nor ours to another (RFC 9207, section 2.4).
func (p *provider) check(d *discovered, a SSOAnswer) error {
	switch {
	case a.Issuer != "" && a.Issuer != p.Issuer, a.Issuer == "" && d.namesItself:
		return fmt.Errorf("%w: the answer is another provider's", errClaims)
	case a.Error != "":
		return fmt.Errorf("%w: the provider answered %.80q", errClaims, a.Error)
	case a.Code == "":
		return fmt.Errorf("%w: an answer without a code", errClaims)
	}
	return nil
}

// notVouched tells the person that the provider did not vouch for them, and the log
// why. Everything that is wrong with an answer has this one answer.
func (l *Login) notVouched(why error) error {
	l.Log.Warn("a provider's answer signs nobody in", "provider", l.provider.Issuer, "error", clip(why))
	return &access.Refusal{
		Kind: access.Unauthenticated, Message: l.provider.Name + " did not say who you are in a way that counts here",
		Hint: "try again on the page where you began, or use your passkey there",
	}
}

// takeErrand finds the ceremony by whose errand a browser comes back. The errand can
// be answered no second time, whatever becomes of this one.
func (t *ceremonies) takeErrand(state string, browser []byte) (*ceremony, *ssoErrand, error) {
	hash := store.Hash(sha256.Sum256([]byte(state)))
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.open {
		if c.errand == nil || t.late(c) || subtle.ConstantTimeCompare(c.errand.state[:], hash[:]) != 1 {
			continue
		}
		// A stolen address must not use the errand up for the browser that it is of.
		if err := c.bind(browser); err != nil {
			return nil, nil, err
		}
		errand := c.errand
		c.errand = nil
		if t.now().Sub(errand.begun) >= ssoLife {
			return nil, nil, errGone
		}
		return c, errand, nil
	}
	return nil, nil, errGone
}

// vouch notes in a ceremony whom the provider vouched for.
func (l *Login) vouch(c *ceremony, r Reading) (Outcome, error) {
	identity := access.Identity{Issuer: l.provider.Issuer, Subject: r.Subject}
	u, linked, err := l.Ledger.State().SSOUser(identity, r.Handle)
	if err != nil {
		return Outcome{}, err
	}
	v := &vouched{identity: identity, sid: access.SIDHash(identity.Issuer, r.SID), groups: r.Groups, user: u.ID}
	_, totp := u.TOTP()
	second := SecondFactor{ID: c.id, Handle: u.Handle, Passkey: len(u.Passkeys()) > 0 && l.passkeysWork() == nil, TOTP: totp}
	enough := linked && r.Counts
	if !enough && !second.Passkey && !second.TOTP {
		return Outcome{}, access.ErrSecondFactor
	}
	err = l.ceremonies.with(c.id, func(c *ceremony) error {
		if c.ended || c.proven != nil {
			return errGone
		}
		// From here on the ceremony is this person's: nobody else's passkey ends it.
		c.vouched, c.user, c.challenge = v, &u, nil
		return nil
	})
	if err != nil {
		return Outcome{}, err
	}
	if enough {
		return l.proven(c, proof{user: u.ID, counts: true})
	}
	return Outcome{Second: &second}, nil
}

// AnswerCode takes the code of an authenticator app as the second factor of whom the
// provider vouched for. It is counted as every code is, and used up where the
// session is opened.
func (l *Login) AnswerCode(ctx context.Context, id string, browser []byte, code string, client Client) (Outcome, error) {
	var found *ceremony
	var user store.UserID
	err := l.ceremonies.with(id, func(c *ceremony) error {
		if err := c.bind(browser); err != nil {
			return err
		}
		if c.vouched == nil {
			return errGone
		}
		found, user = c, c.vouched.user
		return nil
	})
	if err != nil {
		return Outcome{}, err
	}
	u, ok := l.Ledger.State().User(user)
	if !ok {
		return Outcome{}, errGone
	}
	var o Outcome
	err = l.withStep(ctx, u, Proof{Code: code}, client, func(step uint64) error {
		if f, _ := u.TOTP(); step <= f.LastStep {
			return access.ErrSecondLook
		}
		o, err = l.proven(found, proof{user: u.ID, step: step})
		return err
	})
	return o, err
}
