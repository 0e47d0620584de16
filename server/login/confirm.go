package login

import (
	"context"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// BeginConfirm opens a ceremony in which the person of a sign-in session proves to
// be there, or adds a passkey. What is what wants it, in words for that person.
func (l *Login) BeginConfirm(signIn store.Index, purpose Purpose, what string, client Client) (Begun, error) {
	if err := l.passkeysWork(); err != nil {
		return Begun{}, err
	}
	now := store.At(l.Now())
	x, ok := l.Ledger.State().SignIn(signIn, now)
	if !ok || purpose != PurposeConfirm && purpose != PurposeAdd {
		return Begun{}, errGone
	}
	u, _ := l.Ledger.State().User(x.User)
	if len(u.Passkeys()) == 0 && (purpose == PurposeConfirm || !x.Fresh(now)) {
		return Begun{}, &access.Refusal{
			Kind: access.Conflict, Message: "you have no passkey yet", Hint: "type a code of your authenticator app: vaultpam confirm --totp, then add one: vaultpam factor add",
		}
	}
	return l.begin(&ceremony{purpose: purpose, user: &u, signIn: x.Entry, what: what, client: client})
}

// Register takes the passkey that a browser made for a ceremony that adds one.
func (l *Login) Register(ctx context.Context, id string, browser, credential []byte, name string) error {
	c, asked, err := l.ceremonies.take(id, browser, true)
	if err != nil {
		return err
	}
	if c.purpose != PurposeAdd {
		return errGone
	}
	u, ok := l.Ledger.State().User(c.user.ID)
	if !ok {
		return errGone
	}
	key, err := l.created(u, asked, credential)
	if err != nil {
		return err
	}
	add := access.AddFactor{SignIn: c.signIn, Factor: access.NewFactor{Passkey: key, Name: name}}
	if err := l.draw(add.Factor.Salt[:]); err != nil {
		return err
	}
	if _, err := l.Ledger.Do(ctx, add); err != nil {
		return err
	}
	return l.ceremonies.with(id, func(c *ceremony) error {
		c.end(nil)
		return nil
	})
}

// created verifies a new passkey, for what the company allows now.
func (l *Login) created(u access.User, asked *challenge, credential []byte) (*store.Passkey, error) {
	models, err := l.Ledger.State().Authenticators()
	if err != nil {
		return nil, err
	}
	return l.passkeys.created(u, asked, models, credential)
}

// Wait waits until a ceremony of a sign-in session has an outcome, or the context
// ends: that is ErrPending.
func (l *Login) Wait(ctx context.Context, id string, signIn store.Index) error {
	var found *ceremony
	err := l.ceremonies.with(id, func(c *ceremony) error {
		if c.signIn == 0 || c.signIn != signIn {
			return errGone
		}
		found = c
		return nil
	})
	if err != nil {
		return err
	}
	select {
	case <-found.over:
	case <-ctx.Done():
		return ErrPending
	}
	l.ceremonies.drop(id)
	return found.err
}

// BeginPasskey opens a ceremony in which an invitation enrols a passkey, and
// returns what the browser is asked for.
func (l *Login) BeginPasskey(invitation, browser []byte, client Client) (Begun, Asked, error) {
	if err := l.passkeysWork(); err != nil {
		return Begun{}, Asked{}, err
	}
	u, _, ok := l.Ledger.State().Invited(TokenHash(invitation), store.At(l.Now()))
	if !ok {
		return Begun{}, Asked{}, access.ErrInvitation
	}
	// Whatever passkeys there were are no hindrance: the new one takes their place.
	u.Factors = nil
	c := &ceremony{purpose: PurposeEnrol, user: &u, token: invitation, client: client}
	begun, err := l.begin(c)
	if err != nil {
		return Begun{}, Asked{}, err
	}
	models, err := l.Ledger.State().Authenticators()
	if err != nil {
		return Begun{}, Asked{}, err
	}
	var asked Asked
	err = l.ceremonies.with(c.id, func(c *ceremony) error {
		if err := c.bind(browser); err != nil {
			return err
		}
		var err error
		asked.Create, c.challenge, err = l.passkeys.create(u, models, l.Now())
		return err
	})
	return begun, asked, err
}

// FinishPasskey uses the invitation of a ceremony up for the passkey that the
// browser made, and returns its user's recovery codes. Nobody is signed in by it.
func (l *Login) FinishPasskey(ctx context.Context, id string, browser, credential []byte, name string) (Session, error) {
	c, asked, err := l.ceremonies.take(id, browser, true)
	if err != nil {
		return Session{}, err
	}
	if c.purpose != PurposeEnrol {
		return Session{}, errGone
	}
	key, err := l.created(*c.user, asked, credential)
	if err != nil {
		return Session{}, err
	}
	f := access.NewFactor{Passkey: key, Name: name}
	if err := l.draw(f.Salt[:]); err != nil {
		return Session{}, err
	}
	// The secret that an authenticator app may have had signs nobody in any more.
	s, err := l.enrol(ctx, *c.user, c.token, f, Client{}, store.SideWrite{Table: store.SideSecrets, Key: c.user.ID[:]})
	if err == nil {
		l.ceremonies.drop(id)
	}
	return s, err
}
