//go:build linux

package e2e_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vaultpam/vaultpam/cmd/e2e/browser"
)

// chromium is the one browser of all scripts, started by the first that needs it.
// Every person of a script has a window of it that shares nothing with the others.
var chromium struct {
	sync.Mutex // guards what follows, and the start
	running    *browser.Browser
}

// openWindow opens a window that believes servers with siteKey.
func openWindow() (*browser.Browser, error) {
	chromium.Lock()
	defer chromium.Unlock()
	if chromium.running == nil {
		dir := filepath.Join(root, "chromium")
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
		pin, err := sitePin()
		if err != nil {
			return nil, err
		}
		chromium.running, err = browser.Start(context.Background(), browser.Options{
			Map: map[string]string{"localhost": "127.0.0.1", "evil.test": "127.0.0.1"}, SPKI: []string{pin}, Dir: dir,
		})
		if err != nil {
			return nil, err
		}
	}
	return chromium.running.Window()
}

// closeChromium ends it after the last script.
func closeChromium() error {
	chromium.Lock()
	defer chromium.Unlock()
	if chromium.running == nil {
		return nil
	}
	return chromium.running.Close()
}

// A window is what a person has of the browser.
type window struct {
	*browser.Browser
	held   *browser.Authenticator
	fifo   *os.File
	opened chan string // what the person's programs gave $BROWSER
}

// handOver is the person's $BROWSER: it hands addresses to the window.
const handOver = "#!/bin/sh\nprintf '%s\\n' \"$1\" >\"$HOME/opened\"\n"

// doWindow gives a person a window, with an authenticator that answers at once.
func (w *world) doWindow(ts *script, args []string) error {
	if err := w.doPerson(ts, args); err != nil {
		return err
	}
	p := w.people[args[0]]
	if p.window != nil {
		return fmt.Errorf("%s has a window", p.name)
	}
	b, err := openWindow()
	if err != nil {
		return err
	}
	p.window = &window{Browser: b, opened: make(chan string, 16)}
	if p.window.held, err = b.Authenticator(browser.Platform); err != nil {
		return err
	}
	if err := b.Screen(1024, 768, browser.Light); err != nil {
		return err
	}
	return p.listen()
}

func (p *person) browser() string { return filepath.Join(p.account.home, "browser") }

// listen takes what the person's programs give $BROWSER.
func (p *person) listen() error {
	path := filepath.Join(p.account.home, "opened")
	if err := errors.Join(os.WriteFile(p.browser(), []byte(handOver), 0o755), syscall.Mkfifo(path, 0o600)); err != nil {
		return err
	}
	if err := errors.Join(p.account.own(p.browser()), p.account.own(path)); err != nil {
		return err
	}
	// To write as well, so that it never ends while the window is open.
	fifo, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	p.window.fifo = fifo
	opened := p.window.opened
	go func() { // ends when the window closes
		for lines := bufio.NewScanner(fifo); lines.Scan(); {
			opened <- lines.Text()
		}
	}()
	return nil
}

// close returns what was wrong on the pages that nobody asked for with complains.
func (win *window) close() error {
	err := win.Close()
	if win.fifo != nil {
		err = errors.Join(err, win.fifo.Close())
	}
	return err
}

// next is the address that a program of the person opens next.
func (win *window) next() (string, error) {
	select {
	case url := <-win.opened:
		return url, nil
	case <-time.After(patience):
		return "", fmt.Errorf("no program opened a browser within %s", patience)
	}
}

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

var verbs = map[string]verb{
	"opens": {1, 1, func(_ *world, _ *script, win *window, a []string) error { return win.Goto(a[0]) }},
	"follows": {0, 0, func(_ *world, _ *script, win *window, _ []string) error {
		url, err := win.next()
		if err != nil {
			return err
		}
		return win.Goto(url)
	}},
	"clicks": {1, 1, func(_ *world, _ *script, win *window, a []string) error { return win.Click(a[0]) }},
	"fills":  {2, 2, func(_ *world, _ *script, win *window, a []string) error { return win.Fill(a[0], a[1]) }},
	"sees":   {1, 20, (*world).webSees},
	"text": {0, 0, func(_ *world, ts *script, win *window, _ []string) error {
		text, err := win.Text()
		if err == nil {
			_, err = fmt.Fprintln(ts.Stdout(), text)
		}
		return err
	}},
	"complains": {1, 1, webComplains},
}

// webComplains wants exactly one complaint about the pages so far, and forgives it.
func webComplains(_ *world, _ *script, win *window, args []string) error {
	pattern, err := regexp.Compile(args[0])
	if err != nil {
		return err
	}
	if got := win.Complaints(); len(got) != 1 || !pattern.MatchString(got[0]) {
		return fmt.Errorf("the browser complains %q, want once about %q", got, pattern)
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
func (w *world) webSees(_ *script, win *window, args []string) error {
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
