package pages_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pquerna/otp/totp"

	"github.com/vaultpam/vaultpam/cmd/e2e/browser"
	"github.com/vaultpam/vaultpam/server/pages"
)

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
	if diff := cmp.Diff([]string{"work laptop"}, v.desk.passkeys(carol)); diff != "" {
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
	if left, err := browser.Evaluate[string](v.Browser, "document.documentElement.textContent"); err != nil || strings.Contains(left, carol.codes[0]) {
		t.Errorf("the page still holds the recovery codes (%v): %s", err, left)
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
	const refusal = "Browsers refuse passkeys on a server that has only an IP address."
	_, token := v.desk.invite(newPerson("carol"), func(inv *invitation) { inv.refusal = refusal })
	v.opens("/enroll#" + token)
	v.sees(refusal, "Code that the app shows now")
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
	if by, _ := v.desk.outcome(c); by != carol {
		t.Errorf("signed in as %v, want carol", by)
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
	if diff := cmp.Diff([]string{"Passkey on Linux", "blue key"}, v.desk.passkeys(carol)); diff != "" {
		t.Errorf("passkeys (-want +got):\n%s", diff)
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
	if by, ended := v.desk.outcome(c); ended != "denied" || by != nil {
		t.Errorf("the ceremony ended as %q by %v, want denied by nobody", ended, by)
	}
}

// Whoever presses twice asks once.
func TestOneActAtATime(t *testing.T) {
	v := newVisitor(t)
	held := v.authenticator(browser.Platform)
	v.enrols()
	v.ok(held.Wait())
	c := v.desk.add(asked(pages.ToSignIn))
	v.opens("/signin/" + c.page.ID)
	v.clicks("Sign in with a passkey")
	v.clicks("Sign in with a passkey")
	v.sees("Waiting for the passkey")
	v.clicks("Sign in with a passkey")
	v.clicks("Stop waiting")
	v.sees("Stopped. Nothing was sent.")
	asked := slices.DeleteFunc(v.desk.requests(), func(r string) bool { return !strings.Contains(r, "/v1/ceremonies/") })
	if diff := cmp.Diff([]string{"POST /v1/ceremonies/" + c.page.ID + "/begin"}, asked); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// A server that was taken over, or was wrong, leads nobody to another machine.
func TestLeavesForLoopbackAlone(t *testing.T) {
	v := newVisitor(t)
	v.authenticator(browser.Platform)
	v.enrols()
	for _, to := range []string{
		"https://" + otherName + "/", "http://" + otherName + "/", "//127.0.0.1:80/", "/device",
		"http://127.0.0.1.example.test:80/", "http://127.0.0.1:80@" + otherName + "/", "http://127.0.0.1/", "http://localhost:80/",
		"http://127.0.0.1:80\\@" + otherName + "/", "https://127.0.0.1:80/", "javascript:document.title='owned'", " http://127.0.0.1:80/",
	} {
		c := asked(pages.ToSignIn)
		c.redirect = to
		v.desk.add(c)
		v.opens("/signin/" + c.page.ID)
		v.clicks("Sign in with a passkey")
		v.sees("The server wants to lead this page to another machine, which it must not.")
		if at, err := v.Location(); err != nil || at != origin+"/signin/"+c.page.ID {
			t.Errorf("%q led to %s (%v)", to, at, err)
		}
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
	for _, to := range []string{"http://" + otherName + "/", "javascript://127.0.0.1:80/%0adocument.title='owned'", "javascript:0", "/device", "//" + otherName + "/", "data:text/html,owned"} {
		v.desk.leads(c, to)
		v.opens("/signin/" + c.page.ID)
		v.clicks("Sign in with Example Login")
		v.sees("The address of the company's sign-in is not an https address.")
	}
}
