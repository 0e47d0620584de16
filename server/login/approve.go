package login

import (
	"context"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// A Detail is a line of what a page says about a request.
type Detail struct{ Label, Text string }

// An approvalWish is the request that a ceremony is about, and what its approver
// writes to it.
type approvalWish struct {
	request store.Index
	comment string
	details []Detail
}

// BeginApproval opens a ceremony in which the person of a sign-in session approves a
// request by a touch of a passkey. The details are what the page says about it.
func (l *Login) BeginApproval(signIn, request store.Index, comment string, details []Detail, client Client) (Begun, error) {
	if err := l.passkeysWork(); err != nil {
		return Begun{}, err
	}
	x, ok := l.Ledger.State().SignIn(signIn, store.At(l.Now()))
	if !ok {
		return Begun{}, errGone
	}
	u, _ := l.Ledger.State().User(x.User)
	if len(u.Passkeys()) == 0 {
		return Begun{}, &access.Refusal{
			Kind: access.Conflict, Message: "you have no passkey yet, and approvals are signed with one", Hint: "vaultpam factor add",
		}
	}
	return l.begin(&ceremony{
		purpose: PurposeApprove, user: &u, signIn: x.Entry, client: client,
		approval: &approvalWish{request: request, comment: comment, details: details},
	})
}

// askToApprove asks for an assertion over the request itself and a nonce, so that it
// is good for nothing else.
func (l *Login) askToApprove(c *ceremony, asked *Asked) error {
	r, ok := l.Ledger.State().Request(c.approval.request)
	if !ok {
		return errGone
	}
	var nonce store.Hash
	if err := l.draw(nonce[:]); err != nil {
		return err
	}
	challenge := store.ApprovalChallenge(r.Hash, nonce)
	var err error
	asked.Get, c.challenge, err = l.passkeys.get(c.user, l.Now(), webauthn.WithChallenge(challenge[:]))
	if err == nil {
		c.challenge.nonce = nonce
	}
	return err
}

// approved takes an assertion that was verified, with what the browser sent.
func (l *Login) approved(ctx context.Context, c *ceremony, asked *challenge, a access.Assertion, credential []byte) (Outcome, error) {
	parsed, err := protocol.ParseCredentialRequestResponseBytes(credential)
	if err != nil {
		return Outcome{}, badPasskey(err)
	}
	raw := parsed.Raw.AssertionResponse
	approve := access.ApproveRequest{
		SignIn: c.signIn, Request: c.approval.request, Nonce: asked.nonce, Assertion: a, Comment: c.approval.comment,
		Signed: store.Assertion{AuthenticatorData: raw.AuthenticatorData, ClientDataJSON: raw.ClientDataJSON, Signature: raw.Signature},
	}
	if err := l.draw(approve.Salt[:]); err != nil {
		return Outcome{}, err
	}
	if _, err := l.Ledger.Do(ctx, approve); err != nil {
		return Outcome{}, err
	}
	return Outcome{}, l.ceremonies.with(c.id, func(c *ceremony) error {
		c.end(nil)
		return nil
	})
}

// ApproveWithTOTP approves a request with a code of an authenticator app, where the
// company allows that.
func (l *Login) ApproveWithTOTP(ctx context.Context, by access.Caller, request store.Index, comment string, p Proof, client Client) error {
	u, _, err := l.Ledger.State().Caller(by, store.At(l.Now()))
	if err != nil {
		return err
	}
	if err := l.Ledger.State().MayApproveWithTOTP(); err != nil {
		return err // before a code is spent on it
	}
	approve := access.ApproveWithTOTP{By: by, Request: request, Comment: comment}
	if err := l.draw(approve.Salt[:]); err != nil {
		return err
	}
	return l.withStep(ctx, u, p, client, func(step uint64) error {
		approve.Step = step
		_, err := l.Ledger.Do(ctx, approve)
		return err
	})
}
