package server

import (
	"context"
	"errors"
	"mime"
	"net/http"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/server/pages"
	"github.com/vaultpam/vaultpam/store"
)

// ssoPage is where the provider sends browsers back to. The request comes from
// another site, so that it carries no cookie of ours; its page's script sends the
// address's parameters on from here, and that request does. Hence no weaker cookie
// is needed for this way, and none is given here, which would take the place of the
// one that the browser has.
func (n *Node) ssoPage(w http.ResponseWriter, r *http.Request) {
	name := n.login.SSOName()
	if name == "" {
		n.showRefusal(w, r, api.NewError(api.KindNotFound, "", "there is no such page"))
		return
	}
	w.Header().Set("Strict-Transport-Security", "max-age=31536000")
	if err := n.pages.Write(w, http.StatusOK, pages.SSO{Server: n.serverAsTyped(), Provider: name}); err != nil {
		n.Log.Error("a page can't be shown", "path", r.URL.Path, "error", err)
		w.WriteHeader(http.StatusInternalServerError)
	}
}

func (n *Node) beginSSO(ctx context.Context, c call, _ api.Empty) (api.SSOLocation, error) {
	location, err := n.login.BeginSSO(ctx, c.param("id"), c.browser)
	if err != nil {
		return api.SSOLocation{}, err
	}
	return api.SSOLocation{Location: location}, nil
}

func (n *Node) finishSSO(ctx context.Context, c call, q api.SSOFinishRequest) (api.SSOOutcome, error) {
	o, err := n.login.FinishSSO(ctx, c.browser, login.SSOAnswer{State: q.State, Code: q.Code, Issuer: q.Issuer, Error: q.Error})
	return wireOutcome(o), err
}

func (n *Node) codeAfterSSO(ctx context.Context, c call, q api.SSOCodeRequest) (api.SSOOutcome, error) {
	o, err := n.login.AnswerCode(ctx, c.param("id"), c.browser, q.Code, c.client(""))
	return wireOutcome(o), err
}

func wireOutcome(o login.Outcome) api.SSOOutcome {
	w := api.SSOOutcome{Redirect: o.Redirect}
	if s := o.Second; s != nil {
		w.Second = &api.SSOSecond{ID: s.ID, Handle: string(s.Handle), Passkey: s.Passkey, TOTP: s.TOTP}
	}
	return w
}

func (n *Node) linkSSO(ctx context.Context, c call, q api.LinkSSORequest) (api.Empty, error) {
	if n.config.SSO.Issuer == "" {
		return api.Empty{}, api.NewError(api.KindConflict, "name it in vaultpam.yaml: sso", "this server knows no provider of sign-ins")
	}
	link := access.LinkSSO{
		By: c.caller, User: store.Handle(c.param("handle")),
		Identity: access.Identity{Issuer: n.config.SSO.Issuer, Subject: q.Subject},
	}
	if err := draw(n.Random, link.Salt[:]); err != nil {
		return api.Empty{}, err
	}
	_, err := n.ledger.Do(ctx, link)
	return api.Empty{}, err
}

// backchannel takes the provider's word that somebody signed out there (OpenID
// Connect Back-Channel Logout 1.0, section 2.5). It comes as a form, from a machine
// and without a cookie: the token's signature is all that counts.
func (n *Node) backchannel(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" || n.login.SSOName() == "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, api.MaxBody)
	err = n.login.EndSSO(r.Context(), r.PostFormValue("logout_token"))
	var refused *access.Refusal
	switch {
	case err == nil:
		w.WriteHeader(http.StatusOK)
	case errors.As(err, &refused):
		write(w, http.StatusBadRequest, "application/json", map[string]string{"error": "invalid_request"})
	default:
		n.Log.Error("a sign-out at the provider could not be carried out here", "error", err)
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}
