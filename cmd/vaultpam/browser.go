package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"time"
	"unicode"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// A loginWay is how somebody proves who they are.
type loginWay int

const (
	wayCode loginWay = iota
	wayBrowser
	wayDevice
)

// way is the one that the flags name; without one it is what this machine's last
// sign-in was made with, and on a new machine the browser where the server offers
// passkeys.
func (f *loginFlags) way(a *app, n *node) loginWay {
	switch {
	case f.device:
		return wayDevice
	case f.totp || f.code.stdin || !f.passkeys || n.settings.Factor == store.FactorTOTP && !f.browser:
		return wayCode
	case !a.hasBrowser():
		a.say("this machine has no browser, so a code is shown for one on another machine")
		return wayDevice
	}
	return wayBrowser
}

// hasBrowser reports whether there is somewhere to show a browser.
func (a *app) hasBrowser() bool {
	if runtime.GOOS != "linux" && !strings.HasSuffix(runtime.GOOS, "bsd") || a.env("BROWSER") != "" {
		return true
	}
	return a.env("DISPLAY") != "" || a.env("WAYLAND_DISPLAY") != ""
}

// errNoBrowser is returned where no program shows pages.
var errNoBrowser = errors.New("no browser could be started")

// openBrowser shows a page with the program that the environment names, or the
// one that the system has for it. It does not wait for the browser to end.
func openBrowser(env []string) func(context.Context, string) error {
	return func(_ context.Context, url string) error {
		programs := [][]string{{"xdg-open"}, {"sensible-browser"}}
		switch runtime.GOOS {
		case "darwin":
			programs = [][]string{{"open"}}
		case "windows":
			programs = [][]string{{"rundll32", "url.dll,FileProtocolHandler"}}
		}
		for _, e := range env {
			if program, ok := strings.CutPrefix(e, "BROWSER="); ok && program != "" {
				programs = append([][]string{{program}}, programs...)
			}
		}
		for _, p := range programs {
			path, err := exec.LookPath(p[0])
			if err != nil {
				continue
			}
			cmd := exec.Command(path, append(p[1:], url)...) //nolint:noctx // the browser outlives this command
			cmd.Env = env
			if cmd.Start() == nil {
				go func() { _ = cmd.Wait() }() // ends with the browser, or with this process
				return nil
			}
		}
		return errNoBrowser
	}
}

// machine is what this machine calls itself, in words that every server takes.
func (a *app) machine() string {
	name, err := a.Hostname()
	name = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r < unicode.MaxASCII {
			return r
		}
		return -1
	}, name)
	name = strings.TrimSpace(name[:min(len(name), store.MaxTitle)])
	if err != nil || name == "" {
		return "a machine without a name"
	}
	return name
}

// show leads the person to a page.
func (a *app) show(ctx context.Context, url string) {
	if err := a.OpenBrowser(ctx, url); err != nil {
		a.say("open this in a browser on this machine: %s", client.Clean(url))
		return
	}
	a.say("your browser opens %s", client.Clean(url))
}

func (a *app) loginByCode(ctx context.Context, n *node, code *codeFlag) (api.SignInResponse, error) {
	var session api.SignInResponse
	if n.settings.Handle == "" {
		return session, &usageError{command: "vaultpam login", why: "who signs in? name yourself with --handle"}
	}
	err := code.untilAccepted(ctx, a, fmt.Sprintf("code for %s: ", n.settings.Handle), func(code string) (err error) {
		session, err = n.client.SignIn(ctx, n.settings.Handle, code, n.home.Device(n.settings.Handle), a.machine())
		return err
	})
	return session, err
}

// loginByBrowser signs in with a passkey in this machine's browser, which comes
// back to a port that only this process listens on.
func (a *app) loginByBrowser(ctx context.Context, n *node) (api.SignInResponse, error) {
	back, err := client.NewLoopback(ctx)
	if err != nil {
		return api.SignInResponse{}, err
	}
	defer back.Close()
	verifier, err := client.Secret()
	if err != nil {
		return api.SignInResponse{}, err
	}
	page, err := n.client.BeginBrowserSignIn(ctx, api.BrowserSignInRequest{
		Machine: a.machine(), Port: back.Port(), State: back.State(),
	}, verifier)
	if err != nil {
		return api.SignInResponse{}, err
	}
	a.show(ctx, page.URL)
	redeem := api.RedeemRequest{ID: page.ID, Verifier: verifier, Device: n.home.Device(n.settings.Handle)}
	waiting, cancel := context.WithDeadlineCause(ctx, page.Expires, withHint(errNobodyConfirmed, "vaultpam login; or vaultpam login --totp"))
	defer cancel()
	waiting, stop := context.WithCancelCause(waiting)
	defer stop(nil)
	go a.hearRefusal(waiting, n, redeem, stop) // ends with waiting
	if redeem.Code, err = back.Await(waiting); err != nil {
		return api.SignInResponse{}, context.Cause(waiting)
	}
	// Not cut short: a session that was opened is kept, or ended.
	session, err := n.client.Redeem(context.WithoutCancel(ctx), redeem)
	if err == nil && session == nil {
		err = client.ErrAnswer
	}
	if err != nil {
		return api.SignInResponse{}, err
	}
	return *session, nil
}

// hearRefusal stops the wait for a redirect that will not come: "This wasn't me"
// leads the browser nowhere.
func (a *app) hearRefusal(ctx context.Context, n *node, q api.RedeemRequest, stop context.CancelCauseFunc) {
	for ctx.Err() == nil {
		begun := a.Now()
		_, err := n.client.Redeem(ctx, q)
		var refused *api.Error
		if errors.As(err, &refused) {
			stop(err)
		}
		if err != nil {
			return // the redirect still says it
		}
		if a.pace(ctx, begun) != nil {
			return
		}
	}
}

// pace waits until a second after a call was made: a server that does not wait
// itself is not asked without end.
func (a *app) pace(ctx context.Context, begun time.Time) error {
	timer := time.NewTimer(time.Second - a.Now().Sub(begun))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errNobodyConfirmed is returned where the page had its time.
var errNobodyConfirmed = errors.New("nobody confirmed it in a browser in time")

// loginByDevice shows a code that its user types at a browser elsewhere, and waits.
func (a *app) loginByDevice(ctx context.Context, n *node) (api.SignInResponse, error) {
	verifier, err := client.Secret()
	if err != nil {
		return api.SignInResponse{}, err
	}
	page, err := n.client.BeginBrowserSignIn(ctx, api.BrowserSignInRequest{Machine: a.machine()}, verifier)
	if err != nil {
		return api.SignInResponse{}, err
	}
	a.say("on a machine with a browser, open %s and type %s", client.Clean(page.URL), client.Clean(page.Code))
	a.say("the code lives until %s; nobody else needs it, whoever asks for it", a.local(page.Expires))
	redeem := api.RedeemRequest{ID: page.ID, Verifier: verifier, Device: n.home.Device(n.settings.Handle)}
	for a.Now().Before(page.Expires.Add(time.Minute)) {
		begun := a.Now()
		session, err := n.client.Redeem(ctx, redeem)
		if err != nil {
			return api.SignInResponse{}, err
		}
		if session != nil {
			return *session, nil
		}
		if err := a.pace(ctx, begun); err != nil {
			return api.SignInResponse{}, err
		}
	}
	return api.SignInResponse{}, withHint(errNobodyConfirmed, "vaultpam login --device")
}
