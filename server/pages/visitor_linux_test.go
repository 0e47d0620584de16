package pages_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vaultpam/vaultpam/cmd/e2e/browser"
	"github.com/vaultpam/vaultpam/server/pages"
)

// A visitor uses the pages; whatever does not work ends the test.
type visitor struct {
	*testing.T
	*browser.Browser
	desk *desk
}

func newVisitor(t *testing.T) *visitor {
	t.Helper()
	d := newDesk(t)
	b := browser.Open(t, browser.Options{
		Map:  map[string]string{siteName: d.addr, otherName: d.addr},
		SPKI: []string{browser.Pin(d.cert)},
		// To Chromium the server is a machine out there, as it is to people, and not
		// one on loopback, from where more is allowed.
		Flags: []string{"ip-address-space-overrides=" + d.addr + "=public"},
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
	if got := v.Complaints(); len(got) != 1 || !strings.Contains(got[0], with) {
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
