package login

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// A SignInWish is how a program wants to be signed in by a browser: by a redirect
// to a port of 127.0.0.1 (RFC 8252, section 7.3) with the code's challenge of PKCE
// (RFC 7636, method S256) and its own state; or, where Port is 0, by a code that
// its user types on another machine (RFC 8628).
type SignInWish struct {
	Port      uint16
	State     string
	Challenge store.Hash // SHA-256 of the verifier
}

// A Begun is a ceremony that waits for a browser.
type Begun struct {
	ID      string
	Code    string // to type, where there is no redirect
	Expires time.Time
}

// passkeysWork refuses where browsers make no passkeys.
func (l *Login) passkeysWork() error {
	why := "this server does not offer them"
	if l.passkeys != nil {
		why = l.Browser.Refusal()
	}
	if why == "" {
		return nil
	}
	return &access.Refusal{
		Kind: access.Conflict, Message: "browsers make no passkeys with this server: " + why, Hint: "use the code of an authenticator app: --totp",
	}
}

// BeginSignIn opens a ceremony that signs in a program. The client's key is the one
// that the session will be bound to.
func (l *Login) BeginSignIn(client Client, wish SignInWish) (Begun, error) {
	if err := l.passkeysWork(); err != nil {
		return Begun{}, err
	}
	if client.Key.IsZero() || wish.Challenge == (store.Hash{}) || wish.Port != 0 && len(wish.State) < 16 {
		return Begun{}, &access.Refusal{Kind: access.Invalid, Message: "a sign-in by browser needs a key, a challenge and, for a redirect, a state"}
	}
	if _, err := store.ParseTitle(client.Machine); err != nil {
		return Begun{}, &access.Refusal{Kind: access.Invalid, Message: "the machine's name: " + err.Error()}
	}
	c := &ceremony{purpose: PurposeSignIn, client: client, wish: wish}
	if wish.Port == 0 {
		if err := l.Ledger.State().MayBeginDevice(); err != nil {
			return Begun{}, err
		}
	}
	return l.begin(c)
}

// begin opens a ceremony, with a code to type where its program gets no redirect.
func (l *Login) begin(c *ceremony) (Begun, error) {
	var err error
	if c.id, err = l.newID(); err != nil {
		return Begun{}, err
	}
	if c.purpose == PurposeSignIn && c.wish.Port == 0 {
		if c.device, err = l.newDeviceCode(); err != nil {
			return Begun{}, err
		}
	}
	if err := l.ceremonies.add(c); err != nil {
		return Begun{}, err
	}
	return Begun{ID: c.id, Code: c.device, Expires: c.begun.Add(ceremonyLife)}, nil
}

// An Asked is what the page of a ceremony asks the browser for: an assertion, or
// where Create is set a new passkey.
type Asked struct {
	Get    json.RawMessage // PublicKeyCredentialRequestOptionsJSON
	Create json.RawMessage // PublicKeyCredentialCreationOptionsJSON
}

// Ask begins, or begins again, what the browser does for a ceremony: it draws a
// challenge that may be answered once, by this browser, within two minutes.
func (l *Login) Ask(id string, browser []byte, client Client) (Asked, error) {
	var asked Asked
	err := l.ceremonies.with(id, func(c *ceremony) error {
		if err := c.bind(browser); err != nil {
			return err
		}
		if c.purpose == PurposeEnrol { // its page was told what to ask with the invitation
			return errGone
		}
		if err := l.mayGoOn(c, client); err != nil {
			return err
		}
		if x, ok := l.Ledger.State().SignIn(c.signIn, store.At(l.Now())); c.purpose == PurposeAdd && ok && x.Fresh(store.At(l.Now())) {
			return l.askToCreate(c, &asked)
		}
		if c.purpose == PurposeApprove {
			return l.askToApprove(c, &asked)
		}
		var err error
		asked.Get, c.challenge, err = l.passkeys.get(c.user, l.Now())
		return err
	})
	return asked, err
}

func (l *Login) askToCreate(c *ceremony, asked *Asked) (err error) {
	u, ok := l.Ledger.State().User(c.user.ID)
	if !ok {
		return errGone
	}
	models, err := l.Ledger.State().Authenticators()
	if err != nil {
		return err
	}
	asked.Create, c.challenge, err = l.passkeys.create(u, models, l.Now())
	return err
}

// mayGoOn holds who confirms a device's sign-in to the company's rule.
func (l *Login) mayGoOn(c *ceremony, client Client) error {
	if c.device == "" {
		return nil
	}
	return l.Ledger.State().MayConfirmDevice(network(c.client.Source), network(client.Source))
}

// An Outcome is how a browser goes on after its ceremony: to a program that waits
// on the person's own machine, to making a passkey, or nowhere.
type Outcome struct {
	Redirect string
	Create   json.RawMessage
	Second   *SecondFactor // that is still asked for
}

// Answer takes what a browser made of Ask. What does not verify counts as a failure
// of the account that it speaks of.
func (l *Login) Answer(ctx context.Context, id string, browser, credential []byte, client Client) (Outcome, error) {
	c, asked, err := l.ceremonies.take(id, browser, false)
	if err != nil {
		return Outcome{}, err
	}
	if err := l.mayGoOn(c, client); err != nil {
		return Outcome{}, err
	}
	assertion, speaksOf, err := l.passkeys.got(asked.of, asked, credential, l.Ledger.State().User)
	if err != nil {
		return Outcome{}, errors.Join(err, l.failed(ctx, speaksOf, client, err))
	}
	if c.purpose == PurposeSignIn {
		return l.proven(c, proof{user: assertion.User, assertion: &assertion})
	}
	if c.purpose == PurposeApprove {
		return l.approved(ctx, c, asked, assertion, credential)
	}
	confirm := access.ConfirmWithPasskey{SignIn: c.signIn, Assertion: assertion, Source: client.address()}
	if err := l.draw(confirm.Salt[:]); err != nil {
		return Outcome{}, err
	}
	if _, err := l.Ledger.Do(ctx, confirm); err != nil {
		return Outcome{}, err
	}
	if c.purpose == PurposeAdd {
		var create Asked
		err := l.ceremonies.with(id, func(c *ceremony) error { return l.askToCreate(c, &create) })
		return Outcome{Create: create.Create}, err
	}
	return Outcome{}, l.ceremonies.with(id, func(c *ceremony) error {
		c.end(nil)
		return nil
	})
}

// proven notes that somebody proved who they are, for a program that will fetch
// its session. The sign-in itself is decided then.
func (l *Login) proven(c *ceremony, p proof) (Outcome, error) {
	code := make([]byte, idSize)
	if err := l.draw(code); err != nil {
		return Outcome{}, err
	}
	var o Outcome
	err := l.ceremonies.with(c.id, func(c *ceremony) error {
		if c.ended || c.proven != nil {
			return errGone
		}
		// The provider's answer may have come while a passkey was being verified.
		if c.vouched != nil && c.vouched.user != p.user {
			return access.ErrPasskey
		}
		c.proven, c.codeMade = &p, l.Now()
		if c.device == "" {
			c.code = sha256.Sum256(code)
			o.Redirect = "http://127.0.0.1:" + strconv.Itoa(int(c.wish.Port)) + "/?" + url.Values{
				"code": {base64.RawURLEncoding.EncodeToString(code)}, "state": {c.wish.State},
			}.Encode()
		}
		c.end(nil)
		return nil
	})
	return o, err
}

// failed counts an assertion that did not verify. Nobody can guess one, and
// anybody who knows a user's ID can send one that speaks of them, so that it shuts
// nobody out; the auditor sees it.
func (l *Login) failed(ctx context.Context, speaksOf store.UserID, client Client, why error) error {
	l.Log.Warn("a passkey did not verify", "source", client.Source, "error", why)
	if _, ok := l.Ledger.State().User(speaksOf); !ok {
		return nil
	}
	return l.attempts.note(ctx, account{speaksOf, true}, prefix(client.Source))
}

// A Redemption fetches the session of a ceremony: with the redirect's code, or none
// for a device, and the verifier of the challenge. The client's key is the one that
// the ceremony was begun with.
type Redemption struct {
	ID       string
	Code     []byte
	Verifier string
	Device   []byte // what this machine was given when its user last signed in
}

// ErrPending answers who fetches a session that nobody has confirmed yet.
var ErrPending = errors.New("nobody has confirmed the sign-in yet")

// Redeem opens the session that a ceremony is for. It waits until somebody has
// confirmed it in a browser, or the context ends: that is ErrPending. Who is still
// waiting for the redirect has no code yet, and hears of refusals alone.
func (l *Login) Redeem(ctx context.Context, r Redemption, client Client) (Session, error) {
	c, err := l.claimed(r, client)
	if err != nil {
		return Session{}, err
	}
	select {
	case <-c.over:
	case <-ctx.Done():
		return Session{}, ErrPending
	}
	if c.device == "" && len(r.Code) == 0 && c.err == nil {
		<-ctx.Done() // the code is on its way to the program
		return Session{}, ErrPending
	}
	// Whatever comes now, nobody fetches it a second time.
	proven, err := l.taken(c, r)
	if err != nil {
		return Session{}, err
	}
	if c.device != "" {
		if err := l.Ledger.State().MayBeginDevice(); err != nil {
			return Session{}, err
		}
	}
	u, ok := l.Ledger.State().User(proven.user)
	if !ok {
		return Session{}, access.ErrPasskey
	}
	devices, err := l.devices(ctx, u.ID)
	if err != nil {
		return Session{}, err
	}
	at := entrance{client: c.client, device: r.Device, devices: devices, known: knows(devices, r.Device)}
	at.client.Source = client.Source
	return l.openProven(ctx, u, at, c.vouched, proven)
}

// openProven opens the session of somebody who proved who they are in a browser.
func (l *Login) openProven(ctx context.Context, u access.User, at entrance, v *vouched, p proof) (Session, error) {
	if v == nil {
		return l.open(ctx, u, at, func(h access.Holder) access.Command {
			return access.SignInWithPasskey{Assertion: *p.assertion, Holder: h}
		})
	}
	sso := access.SignInWithSSO{
		Identity: v.identity, SID: v.sid, User: u.ID, Assertion: p.assertion, Step: p.step, Counts: p.counts, Groups: v.groups,
	}
	if err := l.draw(sso.LinkSalt[:]); err != nil {
		return Session{}, err
	}
	return l.open(ctx, u, at, func(h access.Holder) access.Command {
		sso.Holder = h
		return sso
	})
}

// claimed returns the ceremony that a client began.
func (l *Login) claimed(r Redemption, client Client) (*ceremony, error) {
	var found *ceremony
	err := l.ceremonies.with(r.ID, func(c *ceremony) error {
		if c.purpose != PurposeSignIn || c.client.Key != client.Key {
			return errGone // who has seen the ID alone
		}
		found = c
		return nil
	})
	return found, err
}

// taken ends a ceremony and returns what it proved, if the client can show that it
// is the one that began it and that was redirected to.
func (l *Login) taken(c *ceremony, r Redemption) (proof, error) {
	l.ceremonies.mu.Lock()
	defer l.ceremonies.mu.Unlock()
	if l.ceremonies.open[c.id] != c {
		return proof{}, errGone
	}
	delete(l.ceremonies.open, c.id)
	if c.err != nil {
		return proof{}, c.err
	}
	verifier, code := sha256.Sum256([]byte(r.Verifier)), store.Hash(sha256.Sum256(r.Code))
	fits := subtle.ConstantTimeCompare(verifier[:], c.wish.Challenge[:])
	if c.device == "" {
		fits &= subtle.ConstantTimeCompare(code[:], c.code[:])
	}
	life := codeLife
	if c.device != "" {
		life = ceremonyLife
	}
	if fits != 1 || c.proven == nil || l.Now().Sub(c.codeMade) >= life {
		return proof{}, errGone
	}
	return *c.proven, nil
}
