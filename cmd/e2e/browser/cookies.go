package browser

import (
	"context"
	"fmt"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// TakeCookies copies all cookies of another window into this one, also those that no
// script can read.
func (b *Browser) TakeCookies(from *Browser) error {
	got, err := run(from, func(ctx context.Context, t *chromedp.Target) (network.GetCookiesResult, error) {
		return cdp.Call(ctx, t, network.GetCookies, network.GetCookiesParams{})
	})
	if err != nil {
		return fmt.Errorf("reading cookies: %w", err)
	}
	for _, c := range got.Cookies {
		_, err := run(b, func(ctx context.Context, t *chromedp.Target) (cdp.Empty, error) {
			_, err := cdp.Call(ctx, t, network.SetCookie, network.SetCookieParams{
				Name: c.Name, Value: c.Value, URL: "https://" + c.Domain + c.Path, Path: c.Path,
				Secure: &c.Secure, HTTPOnly: &c.HTTPOnly, SameSite: c.SameSite,
			})
			return cdp.Empty{}, err
		})
		if err != nil {
			return fmt.Errorf("setting a cookie: %w", err)
		}
	}
	return nil
}
