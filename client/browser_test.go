package client_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
)

// TestS35PagesOfTheServer: what a server calls a page is a page of a server, with
// nothing in it that a browser, a script around one or a terminal could take for
// something else.
func TestS35PagesOfTheServer(t *testing.T) {
	f := newFake(t)
	keyed, err := f.client(t).WithNewKey()
	if err != nil {
		t.Fatal(err)
	}
	signedIn := f.signedIn(t)
	for url, good := range map[string]bool{
		"https://pam.example.eu/signin/AAAA-_09":             true,
		"https://pam.example.eu:8443/device":                 true,
		"https://[2001:db8::1]:8443/device":                  true,
		"http://pam.example.eu/signin/AAAA":                  false,
		"file:///etc/passwd":                                 false,
		"javascript:alert(1)":                                false,
		"data:text/html,x":                                   false,
		"ssh://pam.example.eu/":                              false,
		"HTTPS:pam.example.eu/device":                        false,
		"//pam.example.eu/device":                            false,
		"/device":                                            false,
		"":                                                   false,
		"https:///device":                                    false,
		"https://carol@pam.example.eu/device":                false,
		"https://carol:x@pam.example.eu/device":              false,
		"https://pam.example.eu@evil.example/device":         false,
		"https://pam.example.eu\\@evil.example/device":       false,
		"https://pam.example.eu/device\x1b[2J":               false,
		"https://pam.example.eu/device\n":                    false,
		"https://pam.example.eu/device\u202e":                false,
		"https://pam.example.eu/ device":                     false,
		"https://pam.example.eu/$(touch x)":                  false,
		"https://pam.example.eu/`x`":                         false,
		"https://pam.example.eu/;x":                          false,
		"https://pam.example.eu/'x'":                         false,
		"https://pam.example.eu/%0a":                         false,
		"https://pam.example.eu/%s":                          false,
		"https://pam.example.eu/&x":                          false,
		"https://pam.example.eu/device?code=AAAA":            false,
		"https://pam.example.eu/device#x":                    false,
		"https://-oProxyCommand=x/device":                    false,
		"https://pam.example.eu:x/device":                    false,
		"https://pam.example.eu:99999/device":                false,
		"https://p\u0430m.example.eu/device":                 false,
		"https://pam.example.eu/" + strings.Repeat("a", 600): false,
	} {
		page := api.BrowserResponse{ID: "AAAA", URL: url, Expires: time.Now().Add(time.Minute)}
		f.handle(api.RouteSignInBegin, func(w http.ResponseWriter, _ *http.Request) { answer(w, page) })
		f.handle(api.RouteConfirm, func(w http.ResponseWriter, _ *http.Request) {
			answer(w, api.ConfirmResponse{Needed: true, BrowserResponse: page})
		})
		_, begin := keyed.BeginBrowserSignIn(t.Context(), api.BrowserSignInRequest{}, "x")
		_, confirm := signedIn.Confirm(t.Context(), api.ConfirmRequest{})
		for what, err := range map[string]error{"sign-in": begin, "confirmation": confirm} {
			if (err == nil) != good {
				t.Errorf("%s: %q: error %v", what, url, err)
			}
			if err != nil && client.Clean(err.Error()) != err.Error() {
				t.Errorf("%s: %q: the message acts on terminals: %q", what, url, err)
			}
		}
	}
	f.handle(api.RouteSignInBegin, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, api.BrowserResponse{URL: "https://a.example/device"})
	})
	if _, err := keyed.BeginBrowserSignIn(t.Context(), api.BrowserSignInRequest{}, "x"); !errors.Is(err, client.ErrAnswer) {
		t.Errorf("a page without an ID: %v", err)
	}
	f.handle(api.RouteConfirm, func(w http.ResponseWriter, _ *http.Request) { answer(w, api.ConfirmResponse{}) })
	if r, err := signedIn.Confirm(t.Context(), api.ConfirmRequest{}); err != nil || r.Needed {
		t.Errorf("where nothing is wanted: %+v, %v", r, err)
	}
}

// TestS19WhatTheServerGets: the verifier stays here until the code came, and every
// call is signed with one key.
func TestS19WhatTheServerGets(t *testing.T) {
	f := newFake(t)
	keyed, err := f.client(t).WithNewKey()
	if err != nil {
		t.Fatal(err)
	}
	const verifier = "a verifier of this sign-in"
	var begun api.BrowserSignInRequest
	f.handle(api.RouteSignInBegin, func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&begun); err != nil {
			t.Error(err)
		}
		answer(w, api.BrowserResponse{ID: "AAAA", URL: "https://pam.example.eu/device"})
	})
	var redeemed api.RedeemRequest
	var says api.RedeemResponse
	f.handle(api.RouteRedeem, func(w http.ResponseWriter, r *http.Request) {
		redeemed = api.RedeemRequest{}
		if err := json.NewDecoder(r.Body).Decode(&redeemed); err != nil {
			t.Error(err)
		}
		answer(w, says)
	})
	if _, err := keyed.BeginBrowserSignIn(t.Context(), api.BrowserSignInRequest{Machine: "laptop", Port: 1, State: "s"}, verifier); err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256([]byte(verifier)); string(begun.Challenge) != string(want[:]) || strings.Contains(begun.State+begun.Machine, verifier) {
		t.Errorf("it got %+v", begun)
	}
	says = api.RedeemResponse{Pending: true}
	if in, err := keyed.Redeem(t.Context(), api.RedeemRequest{ID: "AAAA", Verifier: verifier}); in != nil || err != nil {
		t.Errorf("pending: %+v, %v", in, err)
	}
	says = api.RedeemResponse{}
	if _, err := keyed.Redeem(t.Context(), api.RedeemRequest{ID: "AAAA"}); !errors.Is(err, client.ErrAnswer) {
		t.Errorf("neither pending nor a session: %v", err)
	}
	for name, in := range map[string]api.SignInResponse{
		"a short token":    {Token: testToken[:31], Handle: "carol"},
		"no token":         {Handle: "carol"},
		"a hostile handle": {Token: testToken, Handle: "car\x1bol"},
		"no handle":        {Token: testToken},
	} {
		says = api.RedeemResponse{SignIn: &in}
		if _, err := keyed.Redeem(t.Context(), api.RedeemRequest{ID: "AAAA"}); !errors.Is(err, client.ErrAnswer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	says = api.RedeemResponse{SignIn: &api.SignInResponse{Token: testToken, Handle: "carol"}}
	if in, err := keyed.Redeem(t.Context(), api.RedeemRequest{ID: "AAAA", Verifier: verifier}); err != nil || in.Handle != "carol" || redeemed.Verifier != verifier {
		t.Errorf("session %+v, error %v", in, err)
	}
	keys := map[string]bool{}
	for _, r := range f.requests() {
		keys[strings.Split(r.Header.Get(api.ProofHeader)+" ", " ")[1]] = true
		if r.Header.Get(api.TokenHeader) != "" {
			t.Errorf("%s carries a token", r.URL)
		}
	}
	if len(keys) != 1 {
		t.Errorf("keys %v", keys)
	}
	for key := range keys {
		if data, err := base64.RawURLEncoding.DecodeString(key); err != nil || len(data) != 32 {
			t.Errorf("key %q", key)
		}
	}
}

// TestSecret: what keeps strangers out is drawn anew each time.
func TestSecret(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		s, err := client.Secret()
		if err != nil || len(s) != 43 || seen[s] {
			t.Fatalf("%q, error %v", s, err)
		}
		seen[s] = true
	}
}
