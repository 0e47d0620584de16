package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/store"
)

// A call is one request to the API as its handler sees it.
type call struct {
	caller  access.Caller
	source  netip.Addr
	browser []byte // what its cookie holds, or nil
	param   func(name string) string
	query   url.Values
}

// client is the program that made the call.
func (c call) client(machine string) login.Client {
	return login.Client{Source: c.source, Key: c.caller.Key, Machine: machine}
}

// publicHandler serves the routes of the API.
func (n *Node) publicHandler() http.Handler {
	// Browsers must not be able to call with somebody's rights from elsewhere.
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.refuse(w, r, api.NewError(api.KindForbidden, "", "a page of another origin may not call this server"))
	}))
	return n.withPages(headers(guard.Handler(n.routed(n.handlers()))))
}

// routed serves handlers, and answers everything else as the API answers:
// ServeMux by itself would say in HTML what it would rather be asked.
func (n *Node) routed(handlers []handler) http.Handler {
	mux := http.NewServeMux()
	for _, h := range handlers {
		mux.HandleFunc(h.route.Pattern(), h.serve)
	}
	nothing := func(w http.ResponseWriter, r *http.Request) {
		n.refuse(w, r, api.NewError(api.KindNotFound, "", "there is no %s %s here", r.Method, r.URL.Path))
	}
	mux.HandleFunc("/", nothing)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := r.URL.EscapedPath(); r.Method == http.MethodConnect || p != path.Clean("/"+p) {
			nothing(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// headers are what every answer carries: it is data, for nobody's cache.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Strict-Transport-Security", "max-age=31536000")
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

// A handler is a route and what answers it.
type handler struct {
	route api.Route
	serve http.HandlerFunc
}

// on makes the handler of a route from a function over its types: it finds the
// caller, holds them to the route's roles, bounds and decodes the body, and
// encodes the answer. Nobody's body is read before they are known.
func on[Q, A any](n *Node, route api.Route, answer func(context.Context, call, Q) (A, error)) handler {
	return handler{route, func(w http.ResponseWriter, r *http.Request) {
		c := call{source: source(r), browser: browser(r), param: r.PathValue, query: r.URL.Query()}
		body, err := n.identify(w, r, route, &c)
		if err != nil {
			n.refuse(w, r, err)
			return
		}
		var q Q
		if err := decode(r, body, &q); err != nil {
			n.refuse(w, r, err)
			return
		}
		a, err := answer(r.Context(), c, q)
		if err != nil {
			n.refuse(w, r, err)
			return
		}
		write(w, http.StatusOK, "application/json", a)
	}}
}

// identify finds who makes a call and returns its body, which is a part of the
// proof. Nobody's body is read whose token is not one.
func (n *Node) identify(w http.ResponseWriter, r *http.Request, route api.Route, c *call) ([]byte, error) {
	token := bearer(r)
	if token != nil {
		c.caller.Token = login.TokenHash(token)
	}
	if route.Who != api.WhoAnybody && !n.ledger.State().Knows(c.caller.Token, store.At(n.Now())) {
		return nil, access.ErrNotSignedIn
	}
	body, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	if header := r.Header.Get(api.ProofHeader); header != "" {
		key, err := api.Proved(header, api.Signed{Method: r.Method, Target: r.RequestURI, Token: token, Body: body}, shownKey(r.TLS), n.Now())
		if err != nil {
			return nil, unproved(err)
		}
		c.caller.Key = key
	}
	return body, n.admit(route.Who, c.caller)
}

// unproved answers a proof that proves nothing.
func unproved(err error) error {
	hint := "vaultpam login"
	if wrong, ok := errors.AsType[*api.ProofError](err); ok && wrong.Skew != 0 {
		hint = "set this machine's clock right, then the same again"
	}
	return api.NewError(api.KindUnauthenticated, hint, "%v", err)
}

// admit holds a caller to the roles of a route. Commands are held to them again
// where they are decided.
func (n *Node) admit(who api.Who, c access.Caller) error {
	now := store.At(n.Now())
	var err error
	switch who {
	case api.WhoAnybody:
		return nil
	case api.WhoSignedIn:
		_, _, err = n.ledger.State().Person(c, now)
	case api.WhoAlsoBots:
		_, _, err = n.ledger.State().Caller(c, now)
	case api.WhoAdministrator:
		_, err = n.ledger.State().Authorize(c, now, store.RoleAdministrator)
	case api.WhoAuditor:
		_, err = n.ledger.State().Authorize(c, now, store.RoleAuditor)
	case api.WhoAnswerer:
		_, err = n.ledger.State().Authorize(c, now, store.RoleApprover, store.RoleAdministrator)
	case api.WhoReader:
		_, err = n.ledger.State().Authorize(c, now, store.RoleAuditor, store.RoleAdministrator)
	default:
		err = api.NewError(api.KindInternal, "", "this route admits nobody")
	}
	return err
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Method != http.MethodPost {
		return nil, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, api.MaxBody))
	if err != nil {
		return nil, api.NewError(api.KindInvalid, "", "the request's body can't be read: at most %d bytes", api.MaxBody)
	}
	return body, nil
}

// decode reads a body of exactly one JSON value without unknown fields. Only POST
// has one, and may leave it out where it says nothing.
func decode(r *http.Request, body []byte, into any) error {
	if r.Method != http.MethodPost {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if _, nothing := into.(*api.Empty); nothing && errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("more than one value")
		}
	}
	if err != nil {
		return api.NewError(api.KindInvalid, "", "the request's body is not the JSON that %s takes", r.URL.Path)
	}
	return nil
}

func write(w http.ResponseWriter, status int, kind string, body any) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client has gone: nobody is left to tell
}

// refuse answers with a refusal. What went wrong inside is logged and not told.
func (n *Node) refuse(w http.ResponseWriter, r *http.Request, err error) {
	e := problem(err)
	if e.Kind == api.KindInternal || e.Kind == api.KindUnavailable {
		n.Log.Error("a request failed", "route", r.Pattern, "error", err)
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(e.RetryAfter))
	}
	write(w, e.Status, "application/problem+json", e)
}

// problem is an error as it crosses the wire.
func problem(err error) *api.Error {
	var refused *access.Refusal
	var already *api.Error
	switch {
	case errors.As(err, &refused):
		e := api.NewError(kinds[refused.Kind], refused.Hint, "%s", refused.Message)
		e.RetryAfter = int((refused.RetryAfter + time.Second - 1) / time.Second) // not a moment too early
		return e
	case errors.As(err, &already):
		return already
	case errors.Is(err, store.ErrNotFound):
		return api.NewError(api.KindNotFound, "", "there is no such entry")
	case errors.Is(err, store.ErrFull):
		return api.NewError(api.KindUnavailable, "tell an administrator to make room on the server's disk", "the server has no room left to write the ledger, so nothing was done")
	case errors.Is(err, store.ErrUncertain), errors.Is(err, ledger.ErrStopped):
		return api.NewError(api.KindUnavailable, "tell an administrator to look at the server's log", "the server can't write its ledger, so nothing is allowed")
	}
	return api.NewError(api.KindInternal, "tell an administrator to look at the server's log", "something went wrong in the server")
}

var kinds = map[access.Kind]api.Kind{
	access.Invalid:         api.KindInvalid,
	access.Unauthenticated: api.KindUnauthenticated,
	access.Forbidden:       api.KindForbidden,
	access.NotFound:        api.KindNotFound,
	access.Conflict:        api.KindConflict,
	access.Limited:         api.KindLimited,
	access.Clock:           api.KindUnavailable,
}

// bearer is the token of a request, or nil.
func bearer(r *http.Request) []byte {
	scheme, text, _ := strings.Cut(r.Header.Get(api.TokenHeader), " ")
	token, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(token) != tokenSize || scheme != "Bearer" {
		return nil
	}
	return token
}

const tokenSize = 32

// source is the address that a request came from.
func source(r *http.Request) netip.Addr {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap()
}
