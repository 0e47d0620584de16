package client

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// browserPage holds where the server sends a browser to the form that its pages
// have, so that this machine opens nothing but an https page of some server, and no
// script that starts the browser finds anything to read in it.
func (c *Client) browserPage(r api.BrowserResponse) error {
	u, err := url.Parse(r.URL)
	if err != nil || u.User != nil || u.Host == "" || len(r.URL) > 512 || r.ID == "" {
		return fmt.Errorf("%w: not a page of its own", ErrAnswer)
	}
	path, ok := strings.CutPrefix(r.URL, "https://"+u.Host+"/")
	if !ok || strings.ContainsFunc(path, func(r rune) bool { return !strings.ContainsRune(pageRunes, r) }) {
		return fmt.Errorf("%w: not a page of its own", ErrAnswer)
	}
	if err := api.CheckHost(u.Host); err != nil {
		return fmt.Errorf("%w: a page of no host", ErrAnswer)
	}
	return nil
}

// pageRunes are what the paths of pages are made of.
const pageRunes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_/"

// BeginBrowserSignIn asks for a page on which to sign in. The client must have a
// key, and verifier is a secret that nobody has seen yet.
func (c *Client) BeginBrowserSignIn(ctx context.Context, q api.BrowserSignInRequest, verifier string) (api.BrowserResponse, error) {
	challenge := sha256.Sum256([]byte(verifier))
	q.Challenge = challenge[:]
	r, err := call[api.BrowserResponse](ctx, c, request{route: api.RouteSignInBegin, body: q})
	if err != nil {
		return r, err
	}
	return r, c.browserPage(r)
}

// Redeem fetches the session of a sign-in by browser. It waits a while, and returns
// nil where nobody has confirmed it yet.
func (c *Client) Redeem(ctx context.Context, q api.RedeemRequest) (*api.SignInResponse, error) {
	r, err := call[api.RedeemResponse](ctx, c, request{route: api.RouteRedeem, body: q})
	if err != nil || r.Pending {
		return nil, err
	}
	if r.SignIn == nil {
		return nil, fmt.Errorf("%w: not a sign-in session", ErrAnswer)
	}
	in, err := opened(*r.SignIn, nil)
	return &in, err
}

// Confirm asks for a page on which to touch a passkey. Needed is false where what
// it is for asks for nothing.
func (c *Client) Confirm(ctx context.Context, q api.ConfirmRequest) (api.ConfirmResponse, error) {
	r, err := call[api.ConfirmResponse](ctx, c, request{route: api.RouteConfirm, body: q})
	if err != nil || !r.Needed {
		return r, err
	}
	return r, c.browserPage(r.BrowserResponse)
}

// AwaitConfirm waits a while for the outcome of such a page, and reports whether
// there is one.
func (c *Client) AwaitConfirm(ctx context.Context, id string) (bool, error) {
	r, err := call[api.WaitResponse](ctx, c, request{route: api.RouteConfirmWait, body: api.WaitRequest{ID: id}})
	return err == nil && !r.Pending, err
}

// ConfirmWithCode proves to be there with a code of an authenticator app.
func (c *Client) ConfirmWithCode(ctx context.Context, code string, device []byte) error {
	_, err := call[api.Empty](ctx, c, request{route: api.RouteConfirmCode, body: api.ConfirmCodeRequest{Code: code, Device: device}})
	return err
}

// Factors returns the caller's factors.
func (c *Client) Factors(ctx context.Context) ([]api.Factor, error) {
	return call[[]api.Factor](ctx, c, request{route: api.RouteFactors})
}

// NameFactor gives a factor a name.
func (c *Client) NameFactor(ctx context.Context, id uint64, name string) error {
	if _, err := store.ParseTitle(name); err != nil {
		return api.NewError(api.KindInvalid, "", "%v", err)
	}
	_, err := call[api.Empty](ctx, c, request{route: api.RouteFactorName, path: []string{strconv.FormatUint(id, 10)}, body: api.FactorNameRequest{Name: name}})
	return err
}

// RemoveFactor takes a factor away.
func (c *Client) RemoveFactor(ctx context.Context, id uint64) error {
	_, err := call[api.Empty](ctx, c, request{route: api.RouteFactorRemove, path: []string{strconv.FormatUint(id, 10)}})
	return err
}

// SignIns returns the caller's open sign-in sessions.
func (c *Client) SignIns(ctx context.Context) ([]api.OpenSignIn, error) {
	return call[[]api.OpenSignIn](ctx, c, request{route: api.RouteSignIns})
}

// EndSignIn ends one of them.
func (c *Client) EndSignIn(ctx context.Context, id uint64) error {
	_, err := call[api.Empty](ctx, c, request{route: api.RouteSignInEnd, path: []string{strconv.FormatUint(id, 10)}})
	return err
}
