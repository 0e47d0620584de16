package pages_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/go-webauthn/webauthn/protocol"

	"github.com/vaultpam/vaultpam/cmd/e2e/browser"
	"github.com/vaultpam/vaultpam/server/pages"
)

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

	_, token := v.desk.invite(newPerson("dave"), func(inv *invitation) {
		inv.kinds = []protocol.CredentialParameter{{Type: "unheard-of", Algorithm: -7}}
	})
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
	v.desk.mu.Lock()
	defer v.desk.mu.Unlock()
	if len(carol.keys) != 1 || !slices.Contains(carol.keys[0].Transport, protocol.Internal) {
		t.Errorf("carol's passkeys: %+v, want one of this machine's", carol.keys)
	}
}

// Whatever answers, or does not, the page says so in a sentence.
func TestAnswersThatAreNone(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter)
		want   string
	}{
		"a proxy's page": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusBadGateway)
			_, _ = w.Write([]byte("<h1>Bad Gateway</h1>"))
		}, "The server gave an answer that this page can't read. What to do: try again in a minute"},
		"a redirect": {func(w http.ResponseWriter) {
			w.Header().Set("Location", "/v1/elsewhere")
			w.WriteHeader(http.StatusSeeOther)
		}, "The server can't be reached. What to do: look at your network connection"},
		"too many": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = w.Write([]byte(`{"detail": "there were too many tries", "retry_after": 90}`))
		}, "There were too many tries. What to do: try again in 90 seconds"},
		"a refusal without a reason": {func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`{}`))
		}, "The server refused, and did not say why."},
		"an id that leads elsewhere": {func(w http.ResponseWriter) {
			_, _ = w.Write([]byte(`{"id": "../../enroll"}`))
		}, "The server gave an answer that this page can't read."},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVisitor(t)
			v.desk.answers(c.answer)
			v.opens("/device")
			v.fills("Code on that machine's screen", "bdfg-hjkl")
			v.clicks("Go on")
			v.sees(c.want)
			if at, err := v.Location(); err != nil || at != origin+"/device" {
				t.Errorf("the page is %s (%v)", at, err)
			}
		})
	}
}

func TestBrowserWithoutJavaScript(t *testing.T) {
	v := newVisitor(t)
	v.ok(v.WithoutScripts())
	c := v.desk.add(asked(pages.ToSignIn))
	for _, path := range []string{"/enroll", "/device", "/signin/" + c.page.ID} {
		v.opens(path)
		v.sees("This page needs JavaScript, because passkeys do.", "vaultpam login --totp")
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
