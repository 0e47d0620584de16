//go:build linux

package e2e_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
			Map: map[string]string{"localhost": "127.0.0.1", evilName: "127.0.0.1"}, SPKI: []string{pin}, Dir: dir,
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
	person *person
	held   *browser.Authenticator
	fifo   *os.File
	opened chan string // what the person's programs gave $BROWSER
}

// handOver is the person's $BROWSER: it hands addresses to the window.
const handOver = "#!/bin/sh\nprintf '%s\\n' \"$1\" >\"$HOME/opened\"\n"

// doMember has a person enrol a passkey in a window and sign in with it.
func (w *world) doMember(ts *script, args []string) error {
	if err := want(args, 2, 2); err != nil {
		return err
	}
	cmd, err := w.command("ada", []string{"vaultpam", "admin", "user", "add", args[0], "--role", args[1]})
	if err != nil {
		return err
	}
	invitation, err := output1(cmd)
	if err != nil {
		return err
	}
	if err := w.doWindow(ts, args[:1]); err != nil {
		return err
	}
	win := w.people[args[0]].window
	if err := errors.Join(win.Goto(invitation), win.Click("Make a passkey"), win.See("Keep your recovery codes")); err != nil {
		return err
	}
	if cmd, err = w.command(args[0], []string{"vaultpam", "login", "--server", ts.Getenv("server")}); err != nil {
		return err
	}
	login, err := launch(cmd)
	if err != nil {
		return err
	}
	defer login.kill()
	url, err := win.next()
	if err != nil {
		return err
	}
	if err := errors.Join(win.Goto(url), win.Click("Sign in with a passkey")); err != nil {
		return err
	}
	if code, err := login.wait(); err != nil || code != 0 {
		return fmt.Errorf("exit code %d (%w); it said:\n%s", code, err, login.out.text())
	}
	return nil
}

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
	p.window = &window{Browser: b, person: p, opened: make(chan string, 16)}
	if p.window.held, err = b.Authenticator(browser.Platform); err != nil {
		return err
	}
	if err := b.Screen(pictureWidth, 640, browser.Light); err != nil {
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
