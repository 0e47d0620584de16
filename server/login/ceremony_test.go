package login_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/store"
)

var virtualSite = virtualwebauthn.RelyingParty{ID: siteName, Name: "VaultPAM", Origin: siteOrigin}

// newCredential makes a credential whose public key has all its bytes: the library cuts
// leading zeros of a coordinate off, which no authenticator does (RFC 9053, section
// 7.1.1), and one key in 128 has some.
func newCredential(kind virtualwebauthn.KeyType) virtualwebauthn.Credential {
	const whole = 77 // of P-256
	for {
		cred := virtualwebauthn.NewCredential(kind)
		if kind != virtualwebauthn.KeyTypeEC2 || len(cred.Key.AttestationData()) == whole {
			return cred
		}
	}
}

// TestPasskeyWay is the way from an invitation to a sign-in by browser, with an
// authenticator that somebody else wrote, for each kind of key that one may have.
func TestPasskeyWay(t *testing.T) {
	for name, kind := range map[string]virtualwebauthn.KeyType{"P-256": virtualwebauthn.KeyTypeEC2, "RSA": virtualwebauthn.KeyTypeRSA} {
		t.Run(name, func(t *testing.T) {
			o := found(t)
			invitation := o.invite("carol")
			begun, asked, err := o.BeginPasskey(invitation, chrome, home)
			if err != nil {
				t.Fatal(err)
			}
			auth, cred := virtualwebauthn.NewAuthenticator(), newCredential(kind)
			creation, err := virtualwebauthn.ParseAttestationOptions(string(asked.Create))
			if err != nil {
				t.Fatal(err)
			}
			auth.Options.UserHandle = []byte(creation.UserID)
			answer := virtualwebauthn.CreateAttestationResponse(virtualSite, auth, cred, *creation)
			s, err := o.FinishPasskey(t.Context(), begun.ID, chrome, []byte(answer), "blue key")
			if err != nil || len(s.Token) != 0 || len(s.Codes) != access.RecoveryCodes {
				t.Fatalf("session %+v, error %v: want recovery codes, and nobody signed in", s, err)
			}
			e := o.entries(store.TypeFactorEnrolled)[0].Event.(*store.FactorEnrolled)
			if e.User != s.User.ID || e.Kind != store.FactorPasskey || string(e.Passkey.Credential) != string(cred.ID) || e.SignIn != 0 {
				t.Errorf("entry %+v", e)
			}
			if text, err := o.ledger.Text(t.Context(), e.User, e.Name); err != nil || text != "blue key" {
				t.Errorf("it is called %q, error %v", text, err)
			}
			auth.AddCredential(cred)
			for i := range 2 {
				p := o.loopback(home)
				asked, err := o.Ask(p.begun.ID, chrome, home)
				if err != nil {
					t.Fatal(err)
				}
				request, err := virtualwebauthn.ParseAssertionOptions(string(asked.Get))
				if err != nil || len(request.AllowCredentials) != 0 {
					t.Fatalf("options %s, error %v: want none named, nobody said who they are", asked.Get, err)
				}
				cred.Counter = uint32(i + 1)
				out, err := o.Answer(t.Context(), p.begun.ID, chrome, []byte(virtualwebauthn.CreateAssertionResponse(virtualSite, auth, cred, *request)), home)
				if err != nil {
					t.Fatal(err)
				}
				in, err := p.redeem(o.codeIn(out))
				if err != nil || in.Kind != store.FactorPasskey || in.User.Handle != "carol" {
					t.Fatalf("session %+v, error %v", in, err)
				}
				o.holdsSession(in)
			}
			o.enteredFrom("carols-laptop", "192.0.2.7")
		})
	}
}

// enteredFrom holds the last sign-in's entry to the machine and address.
func (o *office) enteredFrom(machine, source string) {
	o.Helper()
	last := slices.MaxFunc(o.entries(store.TypeSignInSucceeded), func(a, b *store.Entry) int { return cmp.Compare(a.Index, b.Index) })
	e := last.Event.(*store.SignInSucceeded)
	got := map[string]string{}
	for field, c := range map[string]store.Commitment{"machine": e.Machine, "source": e.Source} {
		text, err := o.ledger.Text(context.Background(), e.User, c)
		if err != nil {
			o.Fatal(err)
		}
		got[field] = text
	}
	if diff := gocmp.Diff(map[string]string{"machine": machine, "source": source}, got); diff != "" || e.Key != clientKey {
		o.Errorf("entry (-want +got):\n%s of key %x", diff, e.Key)
	}
}

// TestDeviceWay: a machine without a browser waits while its user types a code.
func TestDeviceWay(t *testing.T) {
	o := found(t)
	k, carol := o.enrolPasskey("carol")
	p := o.device(home)
	type outcome struct {
		s   login.Session
		err error
	}
	done := make(chan outcome, 1)
	go func() { // ends with the redemption
		s, err := p.redeem(nil)
		done <- outcome{s, err}
	}()
	id, err := o.FindDevice(" "+p.begun.Code[:4]+p.begun.Code[5:]+" ", home.Source)
	if err != nil || id != p.begun.ID {
		t.Fatalf("found %q, error %v", id, err)
	}
	out, err := o.confirm(id, k)
	if err != nil || out.Redirect != "" {
		t.Fatalf("outcome %+v, error %v", out, err)
	}
	got := <-done
	if got.err != nil || got.s.User.ID != carol.ID {
		t.Fatalf("session %+v, error %v", got.s, got.err)
	}
	o.holdsSession(got.s)
	if _, err := p.redeem(nil); kind(err) != access.NotFound {
		t.Errorf("a second time: %v", err)
	}
	if _, err := o.FindDevice(p.begun.Code, home.Source); kind(err) != access.NotFound {
		t.Errorf("the code afterwards: %v", err)
	}
}

// TestConfirmAndAdd: a touch makes a session fresh, and with it another passkey is
// added, each with its entry.
func TestConfirmAndAdd(t *testing.T) {
	o := found(t)
	k, carol := o.enrolPasskey("carol")
	in := o.signIn(o.enter(k))
	o.clock.wait(access.FreshLook)
	begun, err := o.BeginConfirm(in, login.PurposeConfirm, "db1 wants a touch", home)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := o.View(begun.ID); err != nil || v.What != "db1 wants a touch" || v.Handle != "carol" {
		t.Errorf("view %+v, error %v", v, err)
	}
	if out, err := o.confirm(begun.ID, k); err != nil || out.Create != nil || out.Redirect != "" {
		t.Fatalf("outcome %+v, error %v", out, err)
	}
	if err := o.Wait(t.Context(), begun.ID, in); err != nil {
		t.Fatal(err)
	}
	e := o.entries(store.TypeSignInConfirmed)[0].Event.(*store.SignInConfirmed)
	if e.User != carol.ID || e.SignIn != in || e.Kind != store.FactorPasskey || e.Counter != uint64(k.counter) {
		t.Errorf("entry %+v", e)
	}
	if err := o.Wait(t.Context(), begun.ID, in); kind(err) != access.NotFound {
		t.Errorf("waiting again: %v", err)
	}
	o.clock.wait(access.FreshLook)
	second := newToken(t)
	o.addPasskey(in, second, k)
	added := o.entries(store.TypeFactorEnrolled)
	if u, _ := o.ledger.State().User(carol.ID); len(added) != 2 || len(u.Passkeys()) != 2 {
		t.Errorf("%d entries, passkeys %+v", len(added), u.Passkeys())
	}
	o.enter(second)
	// Within five minutes no second touch is asked for.
	o.addPasskey(in, newToken(t), nil)
}

// addPasskey adds one, after a touch of another where that is not nil.
func (o *office) addPasskey(in store.Index, fresh, touched *token) {
	o.Helper()
	begun, err := o.BeginConfirm(in, login.PurposeAdd, "", home)
	if err != nil {
		o.Fatal(err)
	}
	asked, err := o.Ask(begun.ID, chrome, home)
	if err != nil || (asked.Get != nil) != (touched != nil) || (asked.Create != nil) != (touched == nil) {
		o.Fatalf("asked %+v, error %v", asked, err)
	}
	create := asked.Create
	if touched != nil {
		out, err := o.Answer(context.Background(), begun.ID, chrome, touched.get(o, asked.Get), home)
		if err != nil {
			o.Fatal(err)
		}
		create = out.Create
	}
	if err := o.Register(context.Background(), begun.ID, chrome, fresh.create(o, create), "another key"); err != nil {
		o.Fatal(err)
	}
	if err := o.Wait(context.Background(), begun.ID, in); err != nil {
		o.Fatal(err)
	}
}

// TestAddAfterCode: who has no passkey confirms with a code of their app first.
func TestAddAfterCode(t *testing.T) {
	o := found(t)
	seed := o.employ("carol")
	o.clock.wait(access.FreshLook)
	s, err := o.SignIn(t.Context(), login.Proof{Handle: "carol", Code: o.code(seed)}, home)
	if err != nil {
		t.Fatal(err)
	}
	in := o.signIn(s)
	o.clock.wait(access.FreshLook)
	for _, purpose := range []login.Purpose{login.PurposeConfirm, login.PurposeAdd, login.PurposeEnrol, login.PurposeSignIn} {
		if _, err := o.BeginConfirm(in, purpose, "", home); err == nil {
			t.Errorf("%s without any passkey, and nothing confirmed", purpose)
		}
	}
	o.clock.wait(30 * time.Second)
	if err := o.ConfirmWithTOTP(t.Context(), by(s.Token), login.Proof{Code: o.wrong(seed)}, home); !errors.Is(err, access.ErrSecondLook) {
		t.Errorf("a wrong code: %v", err)
	}
	if err := o.ConfirmWithTOTP(t.Context(), by(s.Token), login.Proof{Code: o.code(seed)}, home); err != nil {
		t.Fatal(err)
	}
	k := newToken(t)
	o.addPasskey(in, k, nil)
	o.enter(k)
}

// TestDenied: who is asked for what they did not begin turns it down, and the
// program hears of it.
func TestDenied(t *testing.T) {
	o := found(t)
	k, _ := o.enrolPasskey("carol")
	p := o.device(home)
	if err := o.Deny(p.begun.ID, chrome, home.Source); err != nil {
		t.Fatal(err)
	}
	if _, err := o.confirm(p.begun.ID, k); kind(err) != access.NotFound {
		t.Errorf("confirmed afterwards: %v", err)
	}
	if _, err := p.redeem(nil); !says(err, "turned down") {
		t.Errorf("the program is told %v", err)
	}
	o.nobodyIn("denied")
}

// TestNoPasskeysHere: where browsers make none, no ceremony begins that would end
// nowhere.
func TestNoPasskeysHere(t *testing.T) {
	o := found(t)
	invitation := o.invite("carol")
	o.why = "its certificate is one that they refuse"
	_, err := o.BeginSignIn(login.Client{Source: home.Source, Key: clientKey, Machine: "m"}, login.SignInWish{Challenge: store.Hash{1}})
	wantKind(t, "signing in", err, access.Conflict)
	if !says(err, o.why) {
		t.Errorf("it does not say why: %v", err)
	}
	_, _, err = o.BeginPasskey(invitation, chrome, home)
	wantKind(t, "enrolling", err, access.Conflict)
	_, err = o.BeginConfirm(1, login.PurposeConfirm, "x", home)
	wantKind(t, "confirming", err, access.Conflict)
}

// TestPending: who waits for what nobody does gets an answer, and may go on waiting.
func TestPending(t *testing.T) {
	o := found(t)
	k, _ := o.enrolPasskey("carol")
	p := o.device(home)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := o.Redeem(ctx, p.redemption(nil), p.client); !errors.Is(err, login.ErrPending) {
		t.Errorf("error %v", err)
	}
	p.touch(k)
	if _, err := p.redeem(nil); err != nil {
		t.Error(err)
	}
	begun, err := o.BeginConfirm(o.signIn(o.enter(k)), login.PurposeConfirm, "x", home)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Wait(ctx, begun.ID, 1); kind(err) != access.NotFound {
		t.Errorf("somebody else's: %v", err)
	}
	if err := o.Wait(ctx, begun.ID, 0); kind(err) != access.NotFound {
		t.Errorf("nobody's: %v", err)
	}
}
