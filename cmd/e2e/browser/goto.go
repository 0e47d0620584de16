package browser

import (
	"context"
	"errors"
	"fmt"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Goto opens an address and waits until the page has loaded. The page is loaded
// anew even where the address differs from the last one's behind "#" alone.
func (b *Browser) Goto(url string) error {
	err := b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		loaded, err := load(ctx, t, url)
		if err != nil || loaded {
			return err
		}
		// It was the same page, which only scrolled: leave it first.
		if _, err = load(ctx, t, "about:blank"); err == nil {
			_, err = load(ctx, t, url)
		}
		return err
	}))
	if err != nil {
		return fmt.Errorf("opening %s: %w", url, err)
	}
	return nil
}

// load loads an address, and reports whether that took a new page.
func load(ctx context.Context, t *chromedp.Target, url string) (loaded bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the subscription
	events := cdp.Events(ctx, t, page.LifecycleEvent)
	going, err := cdp.Call(ctx, t, page.Navigate, page.NavigateParams{URL: url})
	switch {
	case err != nil:
		return false, err
	case going.ErrorText != "":
		return false, errors.New(going.ErrorText)
	case going.LoaderID == "":
		return false, nil
	}
	for e, err := range events {
		if err != nil {
			return false, err
		}
		if e.Name == "load" && e.LoaderID == going.LoaderID {
			return true, nil
		}
	}
	return false, errors.New("the browser ended")
}
