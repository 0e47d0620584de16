package login_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/store"
)

// chrome is the cookie of the browser that everybody uses unless a test says so.
var chrome = []byte("the browser that a person sits at")[:32]

// enrolPasskey adds somebody who enrols a passkey by an invitation.
func (o *office) enrolPasskey(handle string) (*token, access.User) {
	o.Helper()
	k := newToken(o)
	return k, o.enrolToken(handle, k)
}

func (o *office) enrolToken(handle string, k *token) access.User {
	o.Helper()
	invitation := o.invite(handle)
	begun, asked, err := o.BeginPasskey(invitation, chrome, home)
	if err != nil {
		o.Fatal(err)
	}
	s, err := o.FinishPasskey(context.Background(), begun.ID, chrome, k.create(o, asked.Create), "blue key")
	if err != nil {
		o.Fatal(err)
	}
	u, ok := o.ledger.State().User(s.User.ID)
	if !ok {
		o.Fatal("nobody enrolled")
	}
	return u
}

// A program waits to be signed in.
type program struct {
	o        *office
	client   login.Client
	verifier string
	begun    login.Begun
}

const programState = "a state of this program alone"

// loopback begins a sign-in by redirect, device one by code.
func (o *office) loopback(client login.Client) *program { return o.program(client, 50123) }
func (o *office) device(client login.Client) *program   { return o.program(client, 0) }

func (o *office) program(client login.Client, port uint16) *program {
	o.Helper()
	p := &program{o: o, client: client, verifier: unpadded(random(32))}
	p.client.Machine = "carols-laptop"
	var err error
	if p.begun, err = o.BeginSignIn(p.client, login.SignInWish{Port: port, State: programState, Challenge: sha256.Sum256([]byte(p.verifier))}); err != nil {
		o.Fatal(err)
	}
	return p
}

// confirm touches a passkey for a ceremony, and returns where the browser goes.
func (o *office) confirm(id string, k *token, changes ...func(*message)) (login.Outcome, error) {
	o.Helper()
	asked, err := o.Ask(id, chrome, home)
	if err != nil {
		return login.Outcome{}, err
	}
	return o.Answer(context.Background(), id, chrome, k.get(o, asked.Get, changes...), home)
}

// touch is confirm that has to succeed; it returns the code of the redirect.
func (p *program) touch(k *token) []byte {
	p.o.Helper()
	out, err := p.o.confirm(p.begun.ID, k)
	if err != nil {
		p.o.Fatal(err)
	}
	return p.o.codeIn(out)
}

func (o *office) codeIn(out login.Outcome) []byte {
	o.Helper()
	if out.Redirect == "" {
		return nil
	}
	u, err := url.Parse(out.Redirect)
	if err != nil || u.Scheme != "http" || u.Host != "127.0.0.1:50123" || u.Path != "/" || len(u.Query()) != 2 || u.Query().Get("state") != programState {
		o.Fatalf("redirect %s, error %v", out.Redirect, err)
	}
	code, err := base64.RawURLEncoding.DecodeString(u.Query().Get("code"))
	if err != nil || len(code) != 32 {
		o.Fatalf("redirect %s, error %v", out.Redirect, err)
	}
	return code
}

func (p *program) redemption(code []byte) login.Redemption {
	return login.Redemption{ID: p.begun.ID, Code: code, Verifier: p.verifier}
}

func (p *program) redeem(code []byte) (login.Session, error) {
	return p.o.Redeem(context.Background(), p.redemption(code), p.client)
}

// enter signs somebody in by a redirect.
func (o *office) enter(k *token) login.Session {
	o.Helper()
	p := o.loopback(home)
	s, err := p.redeem(p.touch(k))
	if err != nil {
		o.Fatal(err)
	}
	return s
}

// signIn is the entry of a session.
func (o *office) signIn(s login.Session) store.Index {
	o.Helper()
	_, x, err := o.ledger.State().Caller(by(s.Token), store.At(o.clock.Now()))
	if err != nil {
		o.Fatal(err)
	}
	return x.Entry
}

// settle changes a setting.
func (o *office) settle(s store.Setting, value string) {
	o.Helper()
	o.do(access.ChangeSetting{By: access.Caller{Local: true}, Setting: s, Value: value})
}

// entries returns how many entries there are of a type.
func (o *office) entries(kind store.EventType) []*store.Entry {
	o.Helper()
	all, err := o.ledger.Find(context.Background(), store.Query{Type: kind})
	if err != nil {
		o.Fatal(err)
	}
	return all
}

// nobodyIn fails the test where anybody is signed in, or would be.
func (o *office) nobodyIn(what string) {
	o.Helper()
	if n := len(o.entries(store.TypeSignInSucceeded)); n != 0 {
		o.Errorf("%s: %d sign-ins", what, n)
	}
}

// says reports whether a refusal has words in it.
func says(err error, words string) bool {
	var r *access.Refusal
	return errors.As(err, &r) && strings.Contains(r.Message, words)
}

func wantKind(t testing.TB, what string, err error, want access.Kind) {
	t.Helper()
	if kind(err) != want {
		t.Errorf("%s: error %v, of kind %v; want %v", what, err, kind(err), want)
	}
}

func from(source string) login.Client {
	return login.Client{Source: netip.MustParseAddr(source), Key: clientKey}
}
