package pages_test

import (
	"bytes"
	"flag"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/cmd/e2e/browser"
	"github.com/vaultpam/vaultpam/server/pages"
)

var update = flag.Bool("update", false, "rewrite the pictures in docs/images")

// A sight is what a person sees at one moment of a ceremony.
type sight struct {
	name string
	of   func(v *visitor)
}

// sights are all that the pages show, in the order of a person's life with them.
// Those with a picture are named in docs.
func sights() []sight {
	signIn := func(purpose pages.Purpose, change func(c *ceremony)) func(*visitor) {
		return func(v *visitor) {
			c := asked(purpose)
			change(c)
			v.opens("/signin/" + v.desk.add(c).page.ID)
			v.sees("This is asked for by")
		}
	}
	enrol := func(v *visitor) {
		_, token := v.desk.invite(newPerson("carol"), fixed)
		v.opens("/enroll#" + token)
		v.sees("Welcome, carol")
	}
	return []sight{
		{"enrol", enrol},
		{"enrol-app", func(v *visitor) { enrol(v); v.clicks("Use an authenticator app instead"); v.sees("Six digits") }},
		{"enrol-refused", func(v *visitor) { v.opens("/enroll"); v.sees("This link is not a whole invitation.") }},
		{"recovery-codes", func(v *visitor) { v.enrols() }},
		{"enrolled", func(v *visitor) {
			v.enrols()
			v.clicks("I have kept them")
			v.clicks("Go on")
			v.sees("You are enrolled")
		}},
		{"sign-in", signIn(pages.ToSignIn, func(*ceremony) {})},
		{"sign-in-code", signIn(pages.ToSignIn, func(c *ceremony) { c.page.CodeShown, c.page.SSO = "BDFG-HJKL", "Example Login" })},
		{"sign-in-long", signIn(pages.ToConfirm, func(c *ceremony) {
			long := strings.Repeat("carols-very-long-laptop", 12)
			c.page.Machine, c.page.Program, c.page.Address, c.page.What, c.page.SSO, c.page.CodeShown = long, long, long, long, long, long
		})},
		{"confirm", signIn(pages.ToConfirm, func(*ceremony) {})},
		{"add-passkey", func(v *visitor) {
			v.enrols()
			signIn(pages.ToAddPasskey, func(*ceremony) {})(v)
			v.clicks("Confirm with a passkey")
			v.sees("Make the new passkey")
		}},
		{"denied", func(v *visitor) {
			signIn(pages.ToSignIn, func(*ceremony) {})(v)
			v.clicks("This wasn’t me")
			v.sees("Refused")
		}},
		{"device", func(v *visitor) { v.opens("/device"); v.sees("Enter the code") }},
		{"message", func(v *visitor) { v.opens("/signin/none"); v.sees("not good any more"); v.complains("404") }},
	}
}

// fixed makes an invitation look the same in every picture.
func fixed(inv *invitation) {
	inv.expires = time.Date(2026, 11, 24, 21, 0, 0, 0, time.UTC)
	inv.secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	inv.uri = "otpauth://totp/" + siteName + ":carol?secret=" + inv.secret + "&issuer=" + siteName
}

var (
	schemes = []browser.Scheme{browser.Light, browser.Dark}
	// A desk's window, and a phone as narrow as they come.
	widths = map[string]int{"desktop": 800, "phone": 320}
	// pictured are in docs/images.
	pictured = []string{"enrol", "recovery-codes", "sign-in-code", "confirm", "device"}
)

// TestLook holds everything that the pages show to axe-core's rules in both
// schemes, to a phone's width, and to the pictures in the documentation.
func TestLook(t *testing.T) {
	script, err := browser.AxeScript()
	if err != nil {
		t.Fatal(err)
	}
	v := newVisitor(t)
	held := v.authenticator(browser.Platform)
	for _, s := range sights() {
		t.Run(s.name, func(t *testing.T) {
			v := &visitor{T: t, Browser: v.Browser, desk: v.desk}
			v.ok(held.Clear())
			s.of(v)
			for _, scheme := range schemes {
				for screen, width := range widths {
					v.ok(v.Screen(width, 640, scheme))
					v.fits(script)
					if slices.Contains(pictured, s.name) {
						v.pictured(s.name+"-"+screen+"-"+string(scheme)+".png", width)
					}
				}
			}
		})
	}
}

// fits wants a page without a horizontal scroll bar that breaks no rule.
func (v *visitor) fits(script string) {
	v.Helper()
	if over, err := v.Overflow(); err != nil || over != 0 {
		v.Errorf("the page is %d pixels too wide (%v)", over, err)
	}
	broken, holds, err := v.Axe(script)
	v.ok(err)
	for _, f := range broken {
		v.Errorf("%s: %s: %s", f.Rule, f.Help, f.Where)
	}
	if holds < 15 {
		v.Errorf("only %d rules were looked at", holds)
	}
}

// pictured wants a picture of that name and width in docs/images.
func (v *visitor) pictured(name string, width int) {
	v.Helper()
	// A cursor that blinks would make every picture another one.
	_, err := browser.Evaluate[any](v.Browser, "void document.activeElement.blur()")
	v.ok(err)
	shot, err := v.Shot()
	v.ok(err)
	path := filepath.Join("..", "..", "docs", "images", name)
	if *update {
		v.ok(os.MkdirAll(filepath.Dir(path), 0o755))
		smaller, err := browser.Small(shot)
		v.ok(err)
		v.ok(os.WriteFile(path, smaller, 0o644))
	}
	f, err := os.Open(path)
	if err != nil {
		v.Fatalf("%v\nhint: go test ./server/pages -run TestLook -update", err)
	}
	defer f.Close()
	kept, err := png.DecodeConfig(f)
	v.ok(err)
	now, err := png.DecodeConfig(bytes.NewReader(shot))
	v.ok(err)
	if kept.Width != width || now.Width != width {
		v.Errorf("%s is %d pixels wide and the page %d, want %d", name, kept.Width, now.Width, width)
	}
}

// TestKeyboardAlone goes from the invitation to the sign-in with Tab, Enter, Space
// and letters.
func TestKeyboardAlone(t *testing.T) {
	v := newVisitor(t)
	v.authenticator(browser.Platform)
	carol := newPerson("carol")
	_, token := v.desk.invite(carol)
	v.opens("/enroll#" + token)
	v.sees("Welcome, carol")
	v.focuses("Welcome, carol")
	v.tabs("Name of the passkey", "Make a passkey")
	v.presses(browser.Enter)
	v.sees("Keep your recovery codes")
	v.focuses("Keep your recovery codes")
	v.tabs("Copy all", "Print", "I have kept them")
	v.presses(browser.Space)
	v.tabs("Go on")
	v.presses(browser.Enter)
	v.sees("You are enrolled")
	v.tabs("Copy the command")

	c := asked(pages.ToSignIn)
	c.code = "BDFGHJKL"
	v.desk.add(c)
	v.opens("/device")
	v.focuses("Code on that machine's screen")
	v.presses("w", "r", "o", "n", "g", browser.Enter)
	v.sees("No machine shows this code.")
	v.focuses("No machine shows this code.")
	v.opens("/device")
	v.focuses("Code on that machine's screen")
	v.presses("b", "d", "f", "g", "h", "j", "k", "l", browser.Enter)
	v.sees("carols-laptop")
	v.tabs("Sign in with a passkey", "This wasn’t me")
	v.opens("/signin/" + c.page.ID)
	v.tabs("Sign in with a passkey")
	v.presses(browser.Enter)
	v.sees("Carol is signed in on carols-laptop.")
	v.focuses("Done")
}

// focuses wants the focus on what begins so.
func (v *visitor) focuses(on string) {
	v.Helper()
	if got, err := v.Focused(); err != nil || !strings.HasPrefix(got, on) {
		v.Fatalf("the focus is on %q (%v), want %q", got, err, on)
	}
}

// tabs presses Tab once for each of these, and wants to come to it.
func (v *visitor) tabs(to ...string) {
	v.Helper()
	for _, on := range to {
		v.presses(browser.Tab)
		v.focuses(on)
	}
}

// TestFocusIsVisible: whoever uses the keyboard sees where they are.
func TestFocusIsVisible(t *testing.T) {
	v := newVisitor(t)
	c := v.desk.add(asked(pages.ToSignIn))
	v.opens("/signin/" + c.page.ID)
	for _, on := range []string{"Sign in with a passkey", "This wasn’t me"} {
		v.tabs(on)
		width, err := browser.Evaluate[string](v.Browser, `getComputedStyle(document.activeElement).outlineWidth + " " + getComputedStyle(document.activeElement).outlineStyle`)
		if err != nil || width != "3px solid" {
			t.Errorf("the focus on %q is outlined %q (%v), want 3px solid", on, width, err)
		}
	}
}
