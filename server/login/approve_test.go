package login_test

import (
	"context"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/store"
)

// An approvals has a request of carol's that bob may approve.
type approvals struct {
	*office
	key     *token
	bob     store.UserID
	in      store.Index // bob's session
	enrols  store.Index // his passkey's entry
	carol   []byte      // her token
	request store.Index
}

func newApprovals(t *testing.T) *approvals {
	t.Helper()
	a := &approvals{office: found(t), key: newToken(t)}
	local := access.Caller{Local: true}
	invitation := random(32)
	add := addUser("bob", invitation)
	add.Roles, a.bob = []store.Role{store.RoleApprover}, add.ID
	a.do(add)
	begun, asked, err := a.BeginPasskey(invitation, chrome, home)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.FinishPasskey(t.Context(), begun.ID, chrome, a.key.create(t, asked.Create), "key"); err != nil {
		t.Fatal(err)
	}
	u, _ := a.ledger.State().User(a.bob)
	a.enrols, a.in = u.Passkeys()[0].Entry, a.signIn(a.enter(a.key))
	other, _ := a.enrolPasskey("carol")
	a.carol = a.enter(other).Token
	a.do(access.AddTarget{
		By: local, Name: "db1", Address: "db1:22", HostKeys: []ssh.PublicKey{a.ledger.UserCA.PublicKey()}, Logins: []string{"root"}, Egress: "192.0.2.1",
	})
	a.do(access.AddGroup{By: local, Name: "leads"})
	a.do(access.AddMember{By: local, Group: "leads", User: "bob"})
	a.do(access.AddGrant{
		By: local, User: "carol", Target: "db1", Logins: []string{"root"}, Approvers: "leads", Conditions: store.Conditions{Approvals: 1},
	})
	a.request = a.ask()
	return a
}

func (a *approvals) ask() store.Index {
	a.Helper()
	r, err := a.ledger.Do(context.Background(), access.MakeRequest{
		By: by(a.carol), Target: "db1", Login: "root", Lasts: 3_600_000_000_000, Nonce: store.Hash(random(32)), Source: "192.0.2.7",
	})
	if err != nil {
		a.Fatal(err)
	}
	return r.First
}

func (a *approvals) begin() login.Begun {
	a.Helper()
	begun, err := a.BeginApproval(a.in, a.request, "go on", []login.Detail{{Label: "Who", Text: "carol"}}, home)
	if err != nil {
		a.Fatal(err)
	}
	return begun
}

func (a *approvals) stored(i store.Index) []byte {
	a.Helper()
	_, data, err := a.ledger.Entry(context.Background(), i)
	if err != nil {
		a.Fatal(err)
	}
	return data
}

// TestApprovalIsKept: what the authenticator signed stands in the ledger, and a
// stranger verifies it from three entries.
func TestApprovalIsKept(t *testing.T) {
	a := newApprovals(t)
	begun := a.begin()
	if v, err := a.View(begun.ID); err != nil || v.Purpose != login.PurposeApprove || len(v.Details) != 1 {
		t.Errorf("view %+v, error %v", v, err)
	}
	a.clock.wait(time.Minute)
	if _, err := a.confirm(begun.ID, a.key); err != nil {
		t.Fatal(err)
	}
	if err := a.Wait(t.Context(), begun.ID, a.in); err != nil {
		t.Fatal(err)
	}
	approved := a.entries(store.TypeRequestApproved)[0]
	if err := store.VerifyApproval(a.stored(a.request), a.stored(approved.Index), a.stored(a.enrols), a.ledger.State().Name()); err != nil {
		t.Error(err)
	}
	grant, ok := a.ledger.State().Grant(approved.Index + 1)
	if !ok || grant.Request != a.request {
		t.Errorf("the next entry makes %+v", grant)
	}
	if x, _ := a.ledger.State().SignIn(a.in, store.At(a.clock.Now())); x.Touched >= approved.Time {
		t.Error("an approval counts as the touch for something else")
	}
}

// TestS17ApprovalForNothingElse: what was touched for an approval is no answer
// elsewhere, and no other touch is an approval.
func TestS17ApprovalForNothingElse(t *testing.T) {
	a := newApprovals(t)
	begun := a.begin()
	asked, err := a.Ask(begun.ID, chrome, home)
	if err != nil {
		t.Fatal(err)
	}
	answer := a.key.get(t, asked.Get)
	confirm, err := a.BeginConfirm(a.in, login.PurposeConfirm, "x", home)
	if err != nil {
		t.Fatal(err)
	}
	other, err := a.Ask(confirm.ID, chrome, home)
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Answer(t.Context(), confirm.ID, chrome, answer, home)
	wantKind(t, "an approval as a confirmation", err, access.Unauthenticated)
	_, err = a.Answer(t.Context(), begun.ID, chrome, a.key.get(t, other.Get), home)
	wantKind(t, "a confirmation as an approval", err, access.Unauthenticated)

	// The same page asks again: the nonce is another one, and the old answer none.
	if asked, err = a.Ask(begun.ID, chrome, home); err != nil {
		t.Fatal(err)
	}
	answer = a.key.get(t, asked.Get)
	if _, err = a.Ask(begun.ID, chrome, home); err != nil {
		t.Fatal(err)
	}
	_, err = a.Answer(t.Context(), begun.ID, chrome, answer, home)
	wantKind(t, "to the nonce before", err, access.Unauthenticated)

	// Withdrawn and made again between touch and answer: it is another request.
	if asked, err = a.Ask(begun.ID, chrome, home); err != nil {
		t.Fatal(err)
	}
	a.do(access.WithdrawRequest{By: by(a.carol), Request: a.request})
	a.request = a.ask()
	_, err = a.Answer(t.Context(), begun.ID, chrome, a.key.get(t, asked.Get), home)
	wantKind(t, "to a request that was withdrawn", err, access.Conflict)
	next := a.begin()
	if _, err := a.Ask(next.ID, chrome, home); err != nil {
		t.Fatal(err)
	}
	_, err = a.Answer(t.Context(), next.ID, chrome, answer, home)
	wantKind(t, "to the same wish, made once more", err, access.Unauthenticated)
	if n := len(a.entries(store.TypeRequestApproved)); n != 0 {
		t.Errorf("%d approvals", n)
	}
	// It can't be confirmed by another person's touch, nor in another browser.
	k, _ := a.enrolPasskey("dan")
	_, err = a.confirm(next.ID, k)
	wantKind(t, "by another's passkey", err, access.Unauthenticated)
	_, err = a.Ask(next.ID, []byte("another browser, of the same size.")[:32], home)
	wantKind(t, "in another browser", err, access.Forbidden)
}
