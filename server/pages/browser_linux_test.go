package pages_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/google/go-cmp/cmp"
	"github.com/pquerna/otp/totp"

	"github.com/vaultpam/vaultpam/cmd/e2e/browser"
	"github.com/vaultpam/vaultpam/server/pages"
)

// A visitor uses the pages; whatever does not work ends the test.
type visitor struct {
	*testing.T
	*browser.Browser
	desk *desk
}

func newVisitor(t *testing.T, flags ...string) *visitor {
	t.Helper()
	d := newDesk(t)
	b := browser.Open(t, browser.Options{
		Map:   map[string]string{siteName: d.addr, otherName: d.addr},
		SPKI:  []string{browser.Pin(d.cert)},
		Flags: flags,
	})
	v := &visitor{T: t, Browser: b, desk: d}
	v.ok(b.Screen(1024, 768, browser.Light))
	return v
}

func (v *visitor) ok(err error) {
	v.Helper()
	if err != nil {
		v.Fatal(err)
	}
}

func (v *visitor) opens(path string)      { v.Helper(); v.ok(v.Goto(origin + path)) }
func (v *visitor) clicks(name string)     { v.Helper(); v.ok(v.Click(name)) }
func (v *visitor) fills(name, s string)   { v.Helper(); v.ok(v.Fill(name, s)) }
func (v *visitor) sees(texts ...string)   { v.Helper(); v.ok(v.See(texts...)) }
func (v *visitor) presses(keys ...string) { v.Helper(); v.ok(v.Press(keys...)) }

func (v *visitor) authenticator(k browser.Kind) *browser.Authenticator {
	v.Helper()
	a, err := v.Authenticator(k)
	v.ok(err)
	return a
}

// complains wants exactly one complaint of the browser about the page, with this
// in it.
func (v *visitor) complains(with string) {
	v.Helper()
	if got, err := v.Complained(); err != nil || len(got) != 1 || !strings.Contains(got[0], with) {
		v.Errorf("the browser complains %q, want once about %q", got, with)
	}
}

// enrols makes carol's passkey on the page of her invitation.
func (v *visitor) enrols() *person {
	v.Helper()
	carol := newPerson("carol")
	_, token := v.desk.invite(carol)
	v.opens("/enroll#" + token)
	v.clicks("Make a passkey")
	v.sees("Keep your recovery codes")
	return carol
}

// asked is a machine that wants somebody signed in.
func asked(purpose pages.Purpose) *ceremony {
	c := &ceremony{page: pages.SignIn{Purpose: purpose, Machine: "carols-laptop", Program: "vaultpam 1.4", Address: "192.0.2.7", Age: "20 seconds ago"}}
	if purpose == pages.ToConfirm {
		c.page.What = "root@db1 wants a fresh touch"
	}
	return c
}

// callback is the program that waits on the person's machine.
func callback(t *testing.T) (url string, called <-chan string) {
	calls := make(chan string, 8)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/back") {
			calls <- r.URL.String()
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><link rel="icon" href="data:,"><p>Back in the terminal.`))
	}))
	t.Cleanup(s.Close)
	return s.URL + "/back?code=once", calls
}

func TestEnrolByPasskey(t *testing.T) {
	v := newVisitor(t)
	held := v.authenticator(browser.Platform)
	carol := newPerson("carol")
	_, token := v.desk.invite(carol)
	v.opens("/enroll#" + token)
	v.sees("Welcome, carol", "With a passkey")
	if at, err := v.Location(); err != nil || at != origin+"/enroll" {
		t.Errorf("the address bar shows %q (%v): the token must not stay there", at, err)
	}
	v.fills("Name of the passkey", "work laptop")
	v.clicks("Make a passkey")
	v.sees("Keep your recovery codes", carol.codes[0], carol.codes[2])
	if diff := cmp.Diff([]string{"work laptop"}, carol.names); diff != "" {
		t.Errorf("passkeys (-want +got):\n%s", diff)
	}
	keys, err := held.Credentials()
	if v.ok(err); len(keys) != 1 || !keys[0].IsResidentCredential || string(keys[0].UserHandle) != string(carol.id) {
		t.Errorf("the authenticator holds %+v, want one passkey of carol's", keys)
	}
	v.clicks("I have kept them")
	v.clicks("Go on")
	v.sees("You are enrolled", "vaultpam login --server pam.example.test")
	for _, r := range v.desk.requests() {
		if strings.Contains(r, token) {
			t.Errorf("the token is in a request line: %s", r)
		}
	}
	if shown, err := v.Text(); err != nil || strings.Contains(shown, carol.codes[0]) {
		t.Errorf("the recovery codes are still shown (%v): %s", err, shown)
	}
}

func TestEnrolByAuthenticatorApp(t *testing.T) {
	v := newVisitor(t)
	inv, token := v.desk.invite(newPerson("carol"))
	pin := strings.Repeat("A", 43)
	v.opens("/enroll#" + token + "." + pin)
	v.clicks("Use an authenticator app instead")
	v.sees(inv.secret[:4] + " " + inv.secret[4:8])
	rows, err := pages.QR(inv.uri)
	v.ok(err)
	drawn, err := browser.Evaluate[int](v.Browser, `(document.querySelector("#qr path").getAttribute("d").match(/M/g) ?? []).length`)
	if want := strings.Count(strings.Join(rows, ""), "1"); err != nil || drawn != want {
		t.Errorf("%d dark modules are drawn, want %d (%v)", drawn, want, err)
	}
	v.fills("Code that the app shows now", "12 34 56")
	v.clicks("Use this app")
	v.sees("This code is not the one that the authenticator shows now.", "look at the authenticator again")
	code, err := totp.GenerateCode(inv.secret, time.Now())
	v.ok(err)
	v.fills("Code that the app shows now", " "+code[:3]+" "+code[3:])
	v.clicks("Use this app")
	v.sees("Keep your recovery codes")
	v.clicks("Copy all")
	v.sees("Copied")
	v.clicks("I have kept them")
	v.clicks("Go on")
	v.sees("vaultpam login --server pam.example.test --pin " + pin)
}

func TestEnrolWherePasskeysAreRefused(t *testing.T) {
	v := newVisitor(t)
	v.authenticator(browser.Platform)
	inv, token := v.desk.invite(newPerson("carol"))
	inv.refusal = "Browsers refuse passkeys on a server that has only an IP address."
	v.opens("/enroll#" + token)
	v.sees(inv.refusal, "Code that the app shows now")
	if shown, err := v.Text(); err != nil || strings.Contains(shown, "Make a passkey") {
		t.Errorf("a passkey is offered (%v): %s", err, shown)
	}
}

func TestEnrolWithoutAGoodInvitation(t *testing.T) {
	v := newVisitor(t)
	v.opens("/enroll")
	v.sees("This link is not a whole invitation.")
	v.opens("/enroll#" + strings.Repeat("A", 43))
	v.sees("This invitation was used already, or ran out.", "ask an administrator for a new invitation")
	if focus, err := v.Focused(); err != nil || !strings.HasPrefix(focus, "This invitation was used already") {
		t.Errorf("the focus is on %q (%v), want the refusal", focus, err)
	}
}

func TestSignIn(t *testing.T) {
	v := newVisitor(t)
	v.authenticator(browser.Platform)
	carol := v.enrols()
	url, called := callback(t)
	c := v.desk.add(asked(pages.ToSignIn))
	c.redirect = url
	v.opens("/signin/" + c.page.ID)
	v.sees("carols-laptop", "vaultpam 1.4", "192.0.2.7", "20 seconds ago", "Go on only if you asked for this yourself")
	v.clicks("Sign in with a passkey")
	if got := <-called; got != "/back?code=once" {
		t.Errorf("the program was called with %s", got)
	}
	v.sees("Back in the terminal.")
	if c.by != carol {
		t.Errorf("signed in as %v, want carol", c.by)
	}
	v.opens("/signin/" + c.page.ID)
	v.sees("This link is not good any more", "type the command again")
	v.complains("404")
}

func TestConfirm(t *testing.T) {
	v := newVisitor(t)
	v.authenticator(browser.SecurityKey)
	v.enrols()
	c := v.desk.add(asked(pages.ToConfirm))
	v.opens("/signin/" + c.page.ID)
	v.sees("root@db1 wants a fresh touch")
	v.clicks("Confirm with a passkey")
	v.sees("Carol is signed in on carols-laptop. You can close this window.")
}

func TestAddPasskey(t *testing.T) {
	v := newVisitor(t)
	first := v.authenticator(browser.Platform)
	carol := v.enrols()
	c := v.desk.add(asked(pages.ToAddPasskey))
	v.opens("/signin/" + c.page.ID)
	v.clicks("Confirm with a passkey")
	v.sees("Make the new passkey")
	v.fills("Name of the passkey", "blue key")
	v.clicks("Make a passkey")
	v.sees("already holds a passkey for you here")
	// The first machine's passkey stays behind; a security key is plugged in.
	v.ok(first.Remove())
	v.authenticator(browser.SecurityKey)
	v.clicks("Make a passkey")
	v.sees("Passkey added", "The passkey “blue key” was added.")
	if len(carol.keys) != 2 || carol.names[1] != "blue key" {
		t.Errorf("carol's passkeys: %q", carol.names)
	}
}

func TestDeviceCode(t *testing.T) {
	v := newVisitor(t)
	v.authenticator(browser.Platform)
	v.enrols()
	c := asked(pages.ToSignIn)
	c.code, c.page.CodeShown = "BDFGHJKL", "BDFG-HJKL"
	v.desk.add(c)
	v.opens("/device?code=BDFG-HJKL")
	if typed, err := browser.Evaluate[string](v.Browser, `document.querySelector("#code").value`); err != nil || typed != "" {
		t.Errorf("the code was taken from the address: %q (%v)", typed, err)
	}
	v.clicks("Go on")
	v.sees("Type the code that the machine shows.")
	v.fills("Code on that machine's screen", "bdfg-hjkm")
	v.clicks("Go on")
	v.sees("No machine shows this code.", "a code is good for five minutes")
	v.fills("Code on that machine's screen", "bdfg-hjkl")
	v.clicks("Go on")
	v.sees("BDFG-HJKL must be on that machine's screen", "carols-laptop")
	v.clicks("Sign in with a passkey")
	v.sees("Carol is signed in on carols-laptop.")
}

func TestDeny(t *testing.T) {
	v := newVisitor(t)
	held := v.authenticator(browser.Platform)
	v.enrols()
	v.ok(held.Wait())
	c := v.desk.add(asked(pages.ToSignIn))
	v.opens("/signin/" + c.page.ID)
	v.clicks("Sign in with a passkey")
	v.sees("Waiting for the passkey")
	v.clicks("This wasn’t me")
	v.sees("Refused", "The machine that asked got nothing.")
	if c.ended != "denied" || c.by != nil {
		t.Errorf("the ceremony ended as %q by %v, want denied by nobody", c.ended, c.by)
	}
}

func TestSSO(t *testing.T) {
	v := newVisitor(t)
	url, called := callback(t)
	c := asked(pages.ToSignIn)
	c.page.SSO, c.redirect = "Example Login", url
	v.desk.add(c)
	v.opens("/signin/" + c.page.ID)
	v.clicks("Sign in with Example Login")
	if got := <-called; got != "/back?code=once" {
		t.Errorf("the provider was called with %s", got)
	}
}

// Chromium's own exceptions, each as it really comes.
func TestWhatBrowsersRefuse(t *testing.T) {
	v := newVisitor(t)
	held := v.authenticator(browser.Platform)
	carol := v.enrols()
	invite := func() string {
		_, token := v.desk.invite(carol)
		return "/enroll#" + token
	}

	v.opens(invite())
	v.clicks("Make a passkey")
	v.sees("This device or security key already holds a passkey for you here.")

	inv, token := v.desk.invite(newPerson("dave"))
	inv.kinds = []protocol.CredentialParameter{{Type: "unheard-of", Algorithm: -7}}
	v.opens("/enroll#" + token)
	v.clicks("Make a passkey")
	v.sees("can't make a passkey of a kind that the server accepts", "use an authenticator app instead")
	v.complains("pubKeyCredParams")

	v.ok(v.Goto("https://" + otherName + invite()))
	v.clicks("Make a passkey")
	v.sees("this address is not that of pam.example.test", "open the page at https://pam.example.test/")

	c := v.desk.add(asked(pages.ToSignIn))
	v.ok(v.Goto("https://" + otherName + "/signin/" + c.page.ID))
	v.clicks("Sign in with a passkey")
	v.sees("this address is not that of pam.example.test")

	v.ok(held.Wait())
	v.opens("/signin/" + c.page.ID)
	v.clicks("Sign in with a passkey")
	v.sees("Waiting for the passkey")
	v.clicks("Stop waiting")
	v.sees("Stopped. Nothing was sent.")
	v.ok(held.Touch())

	v.ok(held.Doubt())
	v.clicks("Sign in with a passkey")
	v.sees("No passkey was used: it was cancelled, it took too long")
	// A person can always go on: the same page still signs in.
	v.ok(held.Verify())
	v.clicks("Sign in with a passkey")
	v.sees("Carol is signed in on carols-laptop.")

	v.ok(held.Remove())
	v.authenticator(browser.OldKey)
	v.opens(invite())
	v.clicks("Make a passkey")
	v.sees("No passkey was made: it was cancelled, it took too long")
}

// What Chromium's authenticators have no way to bring about: other browsers and
// password managers do.
func TestWhatOtherBrowsersRefuse(t *testing.T) {
	for name, want := range map[string]string{
		"ConstraintError": "This device can't tell that it is you, which is needed here.",
		"UnknownError":    "The browser could not finish (UnknownError).",
	} {
		t.Run(name, func(t *testing.T) {
			v := newVisitor(t)
			v.ok(v.Before(`if (navigator.credentials) navigator.credentials.create = () => Promise.reject(new DOMException("", "` + name + `"))`))
			_, token := v.desk.invite(newPerson("carol"))
			v.opens("/enroll#" + token)
			v.clicks("Make a passkey")
			v.sees(want, "What to do: ")
		})
	}
}

// Whoever copied a passkey's key signs as well as its owner, and one of the two
// comes with a counter that was used already.
func TestCopiedPasskeyIsTold(t *testing.T) {
	v := newVisitor(t)
	held := v.authenticator(browser.Platform)
	v.enrols()
	copied, err := held.Credentials()
	v.ok(err)
	for range 2 {
		c := v.desk.add(asked(pages.ToSignIn))
		v.opens("/signin/" + c.page.ID)
		v.clicks("Sign in with a passkey")
		v.sees("Carol is signed in")
	}
	v.ok(held.Remove())
	thief := v.authenticator(browser.Platform)
	v.ok(thief.Put(copied[0]))
	c := v.desk.add(asked(pages.ToSignIn))
	v.opens("/signin/" + c.page.ID)
	v.clicks("Sign in with a passkey")
	v.sees("This passkey seems to have been copied: its counter went back.", "tell an administrator")
}

// Older browsers have no parsers and no toJSON.
func TestBrowserWithoutJSON(t *testing.T) {
	v := newVisitor(t)
	v.ok(v.Before(`if (window.PublicKeyCredential) {
		delete PublicKeyCredential.parseCreationOptionsFromJSON;
		delete PublicKeyCredential.parseRequestOptionsFromJSON;
		delete PublicKeyCredential.prototype.toJSON;
	}`))
	v.authenticator(browser.Platform)
	carol := v.enrols()
	c := v.desk.add(asked(pages.ToSignIn))
	v.opens("/signin/" + c.page.ID)
	v.clicks("Sign in with a passkey")
	v.sees("Carol is signed in")
	if len(carol.keys) != 1 || !slices.Contains(carol.keys[0].Transport, protocol.Internal) {
		t.Errorf("carol's passkeys: %+v, want one of this machine's", carol.keys)
	}
}

func TestBrowserWithoutPasskeys(t *testing.T) {
	v := newVisitor(t)
	v.ok(v.Before(`delete window.PublicKeyCredential`))
	_, token := v.desk.invite(newPerson("carol"))
	v.opens("/enroll#" + token)
	v.sees("This browser can't use passkeys here.", "Code that the app shows now")
	c := v.desk.add(asked(pages.ToSignIn))
	v.opens("/signin/" + c.page.ID)
	v.clicks("Sign in with a passkey")
	v.sees("This browser can't use passkeys.")
}
