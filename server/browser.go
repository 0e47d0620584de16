package server

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/server/pages"
	"github.com/vaultpam/vaultpam/store"
)

// The pages, as browsers are sent to them.
const (
	enrolPage  = "/enroll"
	signInPage = "/signin/"
	devicePage = "/device"
)

// browserCookie tells browsers apart, so that a ceremony belongs to one. The prefix
// makes browsers hold it to this very origin and to HTTPS (RFC 6265bis, section
// 4.1.3). It opens nothing: who has stolen it still needs the passkey.
const browserCookie = "__Host-vaultpam-browser"

const browserSize = 32

// browser is what a request's cookie holds, or nil.
func browser(r *http.Request) []byte {
	c, err := r.Cookie(browserCookie)
	if err != nil {
		return nil
	}
	value, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil || len(value) != browserSize {
		return nil
	}
	return value
}

// giveCookie gives a browser its cookie, if it has none.
func giveCookie(w http.ResponseWriter, r *http.Request) error {
	if browser(r) != nil {
		return nil
	}
	value := make([]byte, browserSize)
	if _, err := rand.Read(value); err != nil {
		return fmt.Errorf("drawing a cookie: %w", err)
	}
	http.SetCookie(w, &http.Cookie{
		Name: browserCookie, Value: base64.RawURLEncoding.EncodeToString(value), Path: "/",
		Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
	return nil
}

// origin is that of the server's pages.
func (n *Node) origin() string {
	host, port, err := net.SplitHostPort(n.config.Public.HTTPS)
	if err != nil || port == "443" {
		if _, bad := netip.ParseAddr(host); bad == nil {
			host = n.config.Public.HTTPS // an IPv6 address keeps its brackets
		}
		return "https://" + host
	}
	return "https://" + n.config.Public.HTTPS
}

// browsers says how browsers come here. Where the name itself keeps them from
// making passkeys there is nothing to prepare.
func (n *Node) browsers() (*login.Browser, error) {
	if reasons, _ := nameRefusals(n.config); len(reasons) > 0 {
		return nil, nil
	}
	b := &login.Browser{Origins: []string{n.origin()}, Refusal: n.passkeyRefusal}
	if n.config.AttestationRoots == "" {
		return b, nil
	}
	pem, err := readBounded(n.config.AttestationRoots)
	if err != nil {
		return nil, fmt.Errorf("reading attestation_roots: %w", err)
	}
	b.Roots = x509.NewCertPool()
	if !b.Roots.AppendCertsFromPEM(bytes.TrimSpace(pem)) {
		return nil, fmt.Errorf("%s: no certificate that can be read", n.config.AttestationRoots)
	}
	return b, nil
}

func (n *Node) factorKinds() []string {
	kinds := []string{string(store.FactorTOTP)}
	if n.passkeyRefusal() == "" {
		kinds = append([]string{string(store.FactorPasskey)}, kinds...)
	}
	return kinds
}

// withPages serves the pages of the ceremonies beside the API, which answers
// everything else.
func (n *Node) withPages(apis http.Handler) http.Handler {
	static := n.pages.Static()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, isSignIn := strings.CutPrefix(r.URL.Path, signInPage)
		switch reads := r.Method == http.MethodGet || r.Method == http.MethodHead; {
		case reads && strings.HasPrefix(r.URL.Path, "/static/"):
			w.Header().Set("Strict-Transport-Security", "max-age=31536000")
			static.ServeHTTP(w, r)
		case reads && r.URL.Path == enrolPage:
			n.enrolPage(w, r)
		case reads && r.URL.Path == ssoPage:
			n.ssoPage(w, r)
		case r.URL.Path == ssoLogout && r.Method == http.MethodPost:
			n.backchannel(w, r)
		case reads && r.URL.Path == devicePage:
			n.devicePage(w, r)
		case reads && isSignIn && !strings.Contains(id, "/"):
			n.signInPage(w, r, id)
		default:
			apis.ServeHTTP(w, r)
		}
	})
}

func (n *Node) enrolPage(w http.ResponseWriter, r *http.Request) {
	n.show(w, r, http.StatusOK, pages.Enrol{Server: n.serverAsTyped(), PasskeyRefusal: n.noPasskeys()})
}

func (n *Node) devicePage(w http.ResponseWriter, r *http.Request) {
	n.show(w, r, http.StatusOK, pages.Device{Server: n.serverAsTyped()})
}

func (n *Node) signInPage(w http.ResponseWriter, r *http.Request, id string) {
	v, err := n.login.View(id)
	if err != nil {
		n.showRefusal(w, r, err)
		return
	}
	page := pages.SignIn{
		ID: id, Server: n.serverAsTyped(), What: v.What, Machine: v.Machine, Program: "vaultpam",
		Address: v.Source.Unmap().String(), Age: ago(v.Age), CodeShown: v.Device, Purpose: pages.ToSignIn,
	}
	switch v.Purpose {
	case login.PurposeConfirm:
		page.Purpose = pages.ToConfirm
	case login.PurposeAdd:
		page.Purpose = pages.ToAddPasskey
	case login.PurposeApprove:
		page.Purpose = pages.ToApprove
		for _, d := range v.Details {
			page.Details = append(page.Details, pages.Detail(d))
		}
	case login.PurposeEnrol:
		n.showRefusal(w, r, api.NewError(api.KindNotFound, "open the invitation's link again", "there is no such page"))
		return
	case login.PurposeSignIn:
		if v.Device == "" {
			page.SSO = n.login.SSOName()
		}
	}
	n.show(w, r, http.StatusOK, page)
}

// show writes a page, to a browser that can be recognised from then on.
func (n *Node) show(w http.ResponseWriter, r *http.Request, status int, page pages.Page) {
	err := giveCookie(w, r)
	if err == nil {
		w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		err = n.pages.Write(w, status, page)
	}
	if err != nil {
		n.Log.Error("a page can't be shown", "path", r.URL.Path, "error", err)
		w.WriteHeader(http.StatusInternalServerError)
	}
}

func (n *Node) showRefusal(w http.ResponseWriter, r *http.Request, err error) {
	e := problem(err)
	page := pages.Message{Server: n.serverAsTyped(), Title: "This can't go on", Text: sentence(e.Detail), Hint: sentence(e.Hint)}
	var refused *access.Refusal
	if !errors.As(err, &refused) && e.Kind == api.KindInternal {
		n.Log.Error("a page can't be shown", "path", r.URL.Path, "error", err)
	}
	n.show(w, r, e.Status, page)
}

// sentence makes a refusal's words one to read on a page.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	return string(bytes.ToTitle([]byte(text[:1]))) + text[1:] + "."
}

// serverAsTyped is the server as its users type it.
func (n *Node) serverAsTyped() string { return n.origin()[len("https://"):] }

// ago is an age in words.
func ago(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return "just now"
	case d < time.Minute:
		return fmt.Sprintf("%d seconds ago", int(d.Seconds()))
	case d < 2*time.Minute:
		return "a minute ago"
	}
	return fmt.Sprintf("%d minutes ago", int(d.Minutes()))
}
