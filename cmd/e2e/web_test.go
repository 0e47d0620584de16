//go:build linux

package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/vaultpam/vaultpam/cmd/e2e/browser"
)

// doWeb is what a person does in their window.
func (w *world) doWeb(ts *script, args []string) error {
	if len(args) < 2 {
		return errors.New("want PERSON VERB …")
	}
	p, ok := w.people[args[0]]
	if !ok || p.window == nil {
		return fmt.Errorf("%s has no window", args[0])
	}
	verb, ok := verbs[args[1]]
	if !ok {
		return fmt.Errorf("there is no verb %q", args[1])
	}
	if err := want(args[2:], verb.least, verb.most); err != nil {
		return err
	}
	return verb.do(w, ts, p.window, args[2:])
}

type verb struct {
	least, most int
	do          func(*world, *script, *window, []string) error
}

// verbs are what `web PERSON` is followed by; commands says what they mean.
var verbs = map[string]verb{
	"opens":     {1, 1, func(_ *world, _ *script, win *window, a []string) error { return win.Goto(a[0]) }},
	"follows":   {0, 0, webFollows},
	"clicks":    {1, 1, func(_ *world, _ *script, win *window, a []string) error { return win.Click(a[0]) }},
	"fills":     {2, 2, func(_ *world, _ *script, win *window, a []string) error { return win.Fill(a[0], a[1]) }},
	"codes":     {1, 2, webCodes},
	"sees":      {1, 20, webSees},
	"text":      {0, 0, webText},
	"insists":   {0, 0, func(_ *world, _ *script, win *window, _ []string) error { return win.Insist() }},
	"plugs":     {1, 1, webPlugs},
	"doubts":    {0, 0, func(_ *world, _ *script, win *window, _ []string) error { return win.held.Doubt() }},
	"knows":     {0, 0, func(_ *world, _ *script, win *window, _ []string) error { return win.held.Verify() }},
	"waits":     {0, 0, func(_ *world, _ *script, win *window, _ []string) error { return win.held.Wait() }},
	"touches":   {0, 0, func(_ *world, _ *script, win *window, _ []string) error { return win.held.Touch() }},
	"steals":    {1, 2, webSteals},
	"complains": {1, 1, webComplains},
	"pictures":  {1, 1, webPictures},
}

// webFollows opens what a program of the person opens next, which is stdout.
func webFollows(_ *world, ts *script, win *window, _ []string) error {
	url, err := win.next()
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(ts.Stdout(), url); err != nil {
		return err
	}
	return win.Goto(url)
}

// webCodes types the person's next TOTP code into a field. The secret may be as the
// page shows it.
func webCodes(_ *world, _ *script, win *window, args []string) error {
	if len(args) == 2 {
		win.person.secret = strings.ReplaceAll(args[1], " ", "")
	}
	code, err := win.person.code()
	if err != nil {
		return err
	}
	return win.Fill(args[0], code)
}

func webText(_ *world, ts *script, win *window, _ []string) error {
	text, err := win.Text()
	if err == nil {
		_, err = fmt.Fprintln(ts.Stdout(), text)
	}
	return err
}

// webPlugs takes the authenticator away, with what is on it, and plugs in another.
func webPlugs(_ *world, _ *script, win *window, args []string) error {
	if err := win.held.Remove(); err != nil {
		return err
	}
	held, err := win.Authenticator(browser.Kind(args[0]))
	if err != nil {
		return err
	}
	win.held = held
	return nil
}

// webSteals copies what somebody else's window holds, as it is now: "cookies" of
// the server, or the passkeys of the authenticator.
func webSteals(w *world, _ *script, win *window, args []string) error {
	from, ok := w.people[args[0]]
	if !ok || from.window == nil {
		return fmt.Errorf("%s has no window", args[0])
	}
	if len(args) == 2 {
		return win.TakeCookies(from.window.Browser)
	}
	all, err := from.window.held.Credentials()
	if err != nil {
		return err
	}
	for _, c := range all {
		if err := win.held.Put(c); err != nil {
			return err
		}
	}
	return nil
}

// webComplains wants complaints about the pages so far that all match, and forgives
// them.
func webComplains(_ *world, _ *script, win *window, args []string) error {
	pattern, err := regexp.Compile(args[0])
	if err != nil {
		return err
	}
	got := win.Complaints()
	if len(got) == 0 || slices.ContainsFunc(got, func(c string) bool { return !pattern.MatchString(c) }) {
		return fmt.Errorf("the browser complains %q, want about %q alone", got, pattern)
	}
	return nil
}

// pictureWidth is what pages in docs/images are wide, in pixels.
const pictureWidth = 800

// webPictures wants a picture of that name in docs/images, which -update takes.
func webPictures(_ *world, _ *script, win *window, args []string) error {
	shot, err := win.Shot()
	if err != nil {
		return err
	}
	path := filepath.Join("..", "..", "docs", "images", args[0]+".png")
	if *update {
		smaller, err := browser.Small(shot)
		if err == nil {
			err = os.WriteFile(path, smaller, 0o644)
		}
		if err != nil {
			return err
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%w\nhint: go test ./cmd/e2e -run TestScripts -update", err)
	}
	defer f.Close()
	for _, picture := range []io.Reader{f, bytes.NewReader(shot)} {
		if c, err := png.DecodeConfig(picture); err != nil || c.Width != pictureWidth {
			return fmt.Errorf("a picture %s of %d pixels' width, want %d (%w)", path, c.Width, pictureWidth, err)
		}
	}
	return nil
}

// looked are the views that axe-core has seen, by what they show.
var looked struct {
	sync.Mutex
	views map[string]bool
}

// view names what is shown on a page: the address without what is random in it, and
// the parts that are not hidden.
const view = `location.origin + location.pathname.replace(/[A-Za-z0-9_-]{43}/, "ID") + " " +
	[...document.querySelectorAll("[id]")].filter((e) => e.offsetParent !== null).map((e) => e.id).join(" ")`

// webSees waits until the page shows all of this, and holds what it then shows to
// the rules of accessibility, if no script has yet.
func webSees(_ *world, _ *script, win *window, args []string) error {
	if err := win.See(args...); err != nil {
		return err
	}
	now, err := browser.Evaluate[string](win.Browser, view)
	if err != nil || !strings.HasPrefix(now, "https://localhost:") {
		return err
	}
	_, now, _ = strings.Cut(strings.TrimPrefix(now, "https://"), "/")
	looked.Lock()
	known := looked.views[now]
	if looked.views == nil {
		looked.views = map[string]bool{}
	}
	looked.views[now] = true
	looked.Unlock()
	if known {
		return nil
	}
	axe, err := browser.AxeScript()
	if err != nil {
		return err
	}
	broken, holds, err := win.Axe(axe)
	if err == nil && (len(broken) > 0 || holds == 0) {
		err = fmt.Errorf("of axe-core's rules %d hold, and these do not: %+v", holds, broken)
	}
	return err
}
