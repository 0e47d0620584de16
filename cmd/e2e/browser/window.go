package browser

import (
	"context"
	"fmt"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/chromedp"
)

// Window opens a window of a running browser that shares nothing with the others:
// it has cookies and authenticators of its own, as somebody else's browser has.
// Windows of one browser may be used at the same time, each by one goroutine. It
// closes with Close, or with the browser.
func (b *Browser) Window() (*Browser, error) {
	said := &console{}
	tab, end := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(said.hear))
	w := &Browser{ctx: tab, console: said, ended: end, patience: b.patience}
	if err := w.do(chromedp.Func(focus)); err != nil {
		end()
		return nil, fmt.Errorf("opening a window: %w", err)
	}
	return w, nil
}

// focus has the window behave as the one that its user looks at: only that one is
// drawn, and only that one may ask for a passkey.
func focus(ctx context.Context, t *chromedp.Target) error {
	_, err := cdp.Call(ctx, t, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	return err
}

// Insist has the window go on where a certificate is refused, as somebody does who
// clicks the warning away. To Chromium such a page stays a page that lies.
func (b *Browser) Insist() error {
	return b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true})
		return err
	}))
}
