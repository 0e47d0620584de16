package server

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/server/pages"
	"github.com/vaultpam/vaultpam/store"
)

// waitStep is how long a call waits for what happens in a browser before it says
// that nothing has: shorter than what proxies give an answer.
const waitStep = 20 * time.Second

func (n *Node) enrollBegin(_ context.Context, c call, q api.EnrollBeginRequest) (api.EnrollBeginResponse, error) {
	e, err := n.login.BeginEnrolment(q.Token)
	if err != nil {
		return api.EnrollBeginResponse{}, err
	}
	r := api.EnrollBeginResponse{Handle: string(e.Handle), Secret: e.Secret, URI: e.URI, Expires: e.Expires}
	if r.QR, err = pages.QR(e.URI); err != nil {
		return api.EnrollBeginResponse{}, err
	}
	if r.PasskeyRefusal = n.noPasskeys(); r.PasskeyRefusal != "" || c.browser == nil {
		return r, nil
	}
	begun, asked, err := n.login.BeginPasskey(q.Token, c.browser, c.client(""))
	if err != nil {
		return api.EnrollBeginResponse{}, err
	}
	r.Passkey = &api.PasskeyOptions{ID: begun.ID, Options: asked.Create}
	return r, nil
}

func (n *Node) enrollPasskey(ctx context.Context, c call, q api.PasskeyRequest) (api.EnrollPasskeyResponse, error) {
	s, err := n.login.FinishPasskey(ctx, q.ID, c.browser, q.Credential, q.Name)
	return api.EnrollPasskeyResponse{Handle: string(s.User.Handle), RecoveryCodes: s.Codes}, err
}

// beginSignIn opens the page on which a program is signed in.
func (n *Node) beginSignIn(_ context.Context, c call, q api.BrowserSignInRequest) (api.BrowserResponse, error) {
	wish := login.SignInWish{Port: q.Port, State: q.State}
	if len(q.Challenge) != len(wish.Challenge) || len(q.State) > 128 {
		return api.BrowserResponse{}, api.NewError(api.KindInvalid, "", "want a challenge of %d bytes, and a state of at most 128", len(wish.Challenge))
	}
	copy(wish.Challenge[:], q.Challenge)
	begun, err := n.login.BeginSignIn(c.client(q.Machine), wish)
	if err != nil {
		return api.BrowserResponse{}, err
	}
	return n.browserResponse(begun), nil
}

// browserResponse sends a browser to a ceremony. Where there is a code, its page is
// where that is typed: a link that holds the code is how codes are phished.
func (n *Node) browserResponse(b login.Begun) api.BrowserResponse {
	r := api.BrowserResponse{ID: b.ID, Code: b.Code, Expires: b.Expires, URL: n.origin() + signInPage + b.ID}
	if b.Code != "" {
		r.URL = n.origin() + devicePage
	}
	return r
}

func (n *Node) redeem(ctx context.Context, c call, q api.RedeemRequest) (api.RedeemResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, waitStep)
	defer cancel()
	s, err := n.login.Redeem(ctx, login.Redemption{ID: q.ID, Code: q.Code, Verifier: q.Verifier, Device: q.Device}, c.client(""))
	if errors.Is(err, login.ErrPending) {
		return api.RedeemResponse{Pending: true}, nil
	} else if err != nil {
		return api.RedeemResponse{}, err
	}
	r := signedIn(s)
	return api.RedeemResponse{SignIn: &r}, nil
}

func (n *Node) ask(_ context.Context, c call, _ api.Empty) (api.PasskeyOptions, error) {
	asked, err := n.login.Ask(c.param("id"), c.browser, c.client(""))
	return api.PasskeyOptions{Options: asked.Get, Create: asked.Create}, err
}

func (n *Node) answer(ctx context.Context, c call, q api.PasskeyRequest) (api.PasskeyOutcome, error) {
	o, err := n.login.Answer(ctx, c.param("id"), c.browser, q.Credential, c.client(""))
	switch {
	case err != nil:
		return api.PasskeyOutcome{}, err
	case o.Redirect != "":
		return api.PasskeyOutcome{Redirect: o.Redirect}, nil
	case o.Create != nil:
		return api.PasskeyOutcome{Create: &api.PasskeyOptions{Options: o.Create}}, nil
	}
	return api.PasskeyOutcome{Done: "Done. The machine that asked goes on by itself."}, nil
}

func (n *Node) register(ctx context.Context, c call, q api.PasskeyRequest) (api.PasskeyOutcome, error) {
	err := n.login.Register(ctx, c.param("id"), c.browser, q.Credential, q.Name)
	return api.PasskeyOutcome{Done: "The passkey is yours. You can sign in with it from now on."}, err
}

func (n *Node) deny(_ context.Context, c call, _ api.Empty) (api.PasskeyOutcome, error) {
	err := n.login.Deny(c.param("id"), c.browser, c.source)
	return api.PasskeyOutcome{Done: "Nobody was signed in. If you did not ask for this, tell an administrator: somebody tries to sign in as you."}, err
}

func (n *Node) findDevice(_ context.Context, c call, q api.DeviceFindRequest) (api.DeviceFindResponse, error) {
	id, err := n.login.FindDevice(q.Code, c.source)
	return api.DeviceFindResponse{ID: id}, err
}

// confirm opens the page on which the caller touches a passkey: for no reason but
// their own, to add one, or for a target that wants it.
func (n *Node) confirm(_ context.Context, c call, q api.ConfirmRequest) (api.ConfirmResponse, error) {
	s, now := n.ledger.State(), store.At(n.Now())
	u, x, err := s.Caller(c.caller, now)
	if err != nil {
		return api.ConfirmResponse{}, err
	}
	purpose, what := login.PurposeConfirm, fmt.Sprintf("%s wants to prove to be there", u.Handle)
	switch {
	case q.Add:
		purpose, what = login.PurposeAdd, ""
	case q.Target != "":
		if !s.WantsTouch(x, store.TargetName(q.Target), store.Login(q.Login), now) {
			return api.ConfirmResponse{}, nil
		}
		what = q.Target + " wants a fresh touch"
		if q.Login != "" {
			what = q.Login + "@" + what
		}
	}
	begun, err := n.login.BeginConfirm(x.Entry, purpose, what, login.Client{Source: c.source, Machine: n.machineOf(u, x)})
	if err != nil {
		return api.ConfirmResponse{}, err
	}
	return api.ConfirmResponse{Needed: true, BrowserResponse: n.browserResponse(begun)}, nil
}

// machineOf is what the machine of a sign-in session called itself.
func (n *Node) machineOf(u access.User, x access.SignIn) string {
	if x.Machine != (store.Commitment{}) {
		if text, err := n.ledger.Text(context.Background(), u.ID, x.Machine); err == nil {
			return text
		}
	}
	return "a machine that did not say its name"
}

func (n *Node) confirmWait(ctx context.Context, c call, q api.WaitRequest) (api.WaitResponse, error) {
	_, x, err := n.ledger.State().Caller(c.caller, store.At(n.Now()))
	if err != nil {
		return api.WaitResponse{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, waitStep)
	defer cancel()
	err = n.login.Wait(ctx, q.ID, x.Entry)
	if errors.Is(err, login.ErrPending) {
		return api.WaitResponse{Pending: true}, nil
	}
	return api.WaitResponse{}, err
}

func (n *Node) confirmCode(ctx context.Context, c call, q api.ConfirmCodeRequest) (api.Empty, error) {
	return api.Empty{}, n.login.ConfirmWithTOTP(ctx, c.caller, login.Proof{Code: q.Code, Device: q.Device}, c.client(""))
}

func (n *Node) factors(ctx context.Context, c call, _ api.Empty) ([]api.Factor, error) {
	u, _, err := n.ledger.State().Caller(c.caller, store.At(n.Now()))
	if err != nil {
		return nil, err
	}
	all := []api.Factor{}
	r := n.newReader()
	for _, f := range u.Factors {
		w := api.Factor{
			ID: uint64(f.Entry), Kind: string(f.Kind), Name: r.title(ctx, u.ID, f.Name),
			Added: f.Added.Time(), Used: f.Used.Time(), Cloned: f.Cloned,
		}
		if f.Passkey != nil {
			w.Model, w.Synced = f.Passkey.AAGUID.String(), f.Passkey.Flags&backupEligible != 0
		}
		all = append(all, w)
	}
	return all, nil
}

// backupEligible is the flag BE of authenticator data (WebAuthn Level 3, section
// 6.1.3).
const backupEligible = 1 << 3

func (n *Node) nameFactor(ctx context.Context, c call, q api.FactorNameRequest) (api.Empty, error) {
	id, err := entryID(c, "vaultpam factor ls")
	if err != nil {
		return api.Empty{}, err
	}
	name := access.NameFactor{By: c.caller, Factor: id, Name: q.Name}
	if err := draw(n.Random, name.Salt[:]); err != nil {
		return api.Empty{}, err
	}
	_, err = n.ledger.Do(ctx, name)
	return api.Empty{}, err
}

func (n *Node) removeFactor(ctx context.Context, c call, _ api.Empty) (api.Empty, error) {
	id, err := entryID(c, "vaultpam factor ls")
	if err != nil {
		return api.Empty{}, err
	}
	_, err = n.ledger.Do(ctx, access.RemoveFactor{By: c.caller, Factor: id})
	return api.Empty{}, err
}

func (n *Node) signIns(ctx context.Context, c call, _ api.Empty) ([]api.OpenSignIn, error) {
	s, now := n.ledger.State(), store.At(n.Now())
	u, this, err := s.Caller(c.caller, now)
	if err != nil {
		return nil, err
	}
	all := []api.OpenSignIn{}
	r := n.newReader()
	for _, x := range s.SignInsOf(u.ID, now) {
		all = append(all, api.OpenSignIn{
			ID: uint64(x.Entry), Kind: string(x.Kind), Machine: r.title(ctx, u.ID, x.Machine), Source: r.title(ctx, u.ID, x.Source),
			Opened: x.Opened.Time(), Used: x.Used.Time(), Ends: x.Ends().Time(), Confirmed: x.Confirmed.Time(), This: x.Entry == this.Entry,
		})
	}
	return all, nil
}

func (n *Node) endSignIn(ctx context.Context, c call, _ api.Empty) (api.Empty, error) {
	id, err := entryID(c, "vaultpam status --all")
	if err != nil {
		return api.Empty{}, err
	}
	_, err = n.ledger.Do(ctx, access.SignOut{By: c.caller, SignIn: id})
	return api.Empty{}, err
}

// entryID is the path's parameter "id", which is the index of an entry.
func entryID(c call, hint string) (store.Index, error) {
	id, err := strconv.ParseUint(c.param("id"), 10, 63)
	if err != nil || id == 0 {
		return 0, api.NewError(api.KindInvalid, hint, "an ID is a number")
	}
	return store.Index(id), nil
}

// passkeyRefusal is why browsers will make no passkey here at the moment, in the
// words of vaultpamd doctor, or "".
func (n *Node) passkeyRefusal() string {
	chain := n.tls.current()
	why, _ := passkeyRefusal(n.config, chain, n.Roots, n.Now())
	if why == "" && chain == nil {
		return "the server has no certificate yet"
	}
	return why
}

// noPasskeys tells who enrols why they are not asked for a passkey, or is "".
func (n *Node) noPasskeys() string {
	why := n.passkeyRefusal()
	if why == "" {
		return ""
	}
	return sentence("browsers will refuse passkeys here, because " + why)
}
