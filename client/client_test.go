package client_test

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

func TestZeroConfigIsRefused(t *testing.T) {
	for name, c := range map[string]client.Config{
		"zero":       {},
		"no timeout": {Server: "pam.example.eu"},
		"no server":  {Timeout: time.Second},
		"bad server": {Server: "https://pam.example.eu", Timeout: time.Second},
		"short pin":  {Server: "pam.example.eu", Timeout: time.Second, Pin: make([]byte, 31)},
	} {
		if _, err := client.New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestCanonicalServer(t *testing.T) {
	for in, want := range map[string]string{
		"pam.example.eu":      "pam.example.eu:443",
		"pam.example.eu:8443": "pam.example.eu:8443",
		"10.0.0.1":            "10.0.0.1:443",
		"[::1]":               "[::1]:443",
		"[::1]:8443":          "[::1]:8443",
	} {
		if got, err := client.CanonicalServer(in); err != nil || got != want {
			t.Errorf("%s: got %s (%v), want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "-x", "a b", "a:0", "a:65536", "a/b", "user@a", "a\n"} {
		if got, err := client.CanonicalServer(in); err == nil {
			t.Errorf("%q: accepted as %s", in, got)
		}
	}
}

func dial(t *testing.T, s *httptest.Server, pin []byte) error {
	t.Helper()
	c, err := client.New(client.Config{Server: s.Listener.Addr().String(), Pin: pin, Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Info(t.Context())
	return err
}

func TestTheServerIsRecognised(t *testing.T) {
	f := newFake(t)
	f.Config.ErrorLog = log.New(io.Discard, "", 0)
	if err := dial(t, f.Server, f.pin()); err != nil {
		t.Errorf("the pinned key: %v", err)
	}
	wrong := f.pin()
	wrong[0] ^= 1
	if err := dial(t, f.Server, wrong); !errors.Is(err, client.ErrPin) {
		t.Errorf("another key: got %v, want ErrPin", err)
	}
	if err := dial(t, f.Server, nil); !errors.Is(err, client.ErrIdentity) {
		t.Errorf("no pin and no root: got %v, want ErrIdentity", err)
	}
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.Config.ErrorLog = log.New(io.Discard, "", 0)
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS12}
	old.StartTLS()
	defer old.Close()
	// The pin is right: httptest servers share one key.
	var unreachable *client.UnreachableError
	if err := dial(t, old, f.pin()); !errors.As(err, &unreachable) {
		t.Errorf("TLS 1.2: got %v, want it refused for its version", err)
	}
	if len(f.requests()) != 1 {
		t.Errorf("%d requests came through, want the one of the pinned key", len(f.requests()))
	}
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	c, err := client.New(client.Config{Server: address, Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Info(t.Context())
	if want := "cannot reach " + address + ": connection refused"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	var unreachable *client.UnreachableError
	if !errors.As(err, &unreachable) {
		t.Errorf("got %T", err)
	}
}

func TestASilentServerIsNotWaitedForForEver(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts in the kernel, says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := client.New(client.Config{Server: l.Addr().String(), Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Info(t.Context())
	if want := "cannot reach " + l.Addr().String() + ": no answer in time"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// S12, S38: the token goes where it is needed and nowhere else.
func TestS12TokenIsSentOnlyWhereItIsNeeded(t *testing.T) {
	f := newFake(t)
	f.handle(api.RouteTargets, func(w http.ResponseWriter, _ *http.Request) { answer(w, []api.Target{}) })
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a redirect was followed, with %q", r.Header.Get(api.TokenHeader))
	}))
	defer elsewhere.Close()
	f.handle(api.RouteStatus, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+"/v1/status", http.StatusTemporaryRedirect)
	})
	c := f.signedIn(t)
	if _, err := c.Info(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Targets(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(t.Context()); !client.IsKind(err, api.KindInternal) {
		t.Errorf("a redirect: got %v, want an error of kind internal", err)
	}
	if _, err := f.client(t).Targets(t.Context()); !errors.Is(err, client.ErrNotSignedIn) {
		t.Errorf("without a token: got %v, want ErrNotSignedIn", err)
	}
	want := []string{"", "Bearer " + base64.RawURLEncoding.EncodeToString(testToken), "Bearer " + base64.RawURLEncoding.EncodeToString(testToken)}
	var got []string
	for _, r := range f.requests() {
		got = append(got, r.Header.Get(api.TokenHeader))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := f.client(t).WithSession(client.Session{Token: []byte("short")}); err == nil {
		t.Error("a short token was accepted")
	}
}

func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		body   string
		want   api.Error
	}{
		{"as the server gives them", 403, `{"kind":"forbidden","detail":"no grant","hint":"ask carol"}`,
			api.Error{Kind: api.KindForbidden, Status: 403, Detail: "no grant", Hint: "ask carol"}},
		{"with a delay", 429, `{"kind":"rate-limited","detail":"slowly","retry_after":7}`,
			api.Error{Kind: api.KindLimited, Status: 429, Detail: "slowly", RetryAfter: 7}},
		{"a delay that runs backwards", 429, `{"kind":"rate-limited","detail":"slowly","retry_after":-7}`,
			api.Error{Kind: api.KindLimited, Status: 429, Detail: "slowly"}},
		{"a kind of tomorrow", 418, `{"kind":"teapot","detail":"short and stout"}`,
			api.Error{Kind: api.KindInternal, Status: 418, Detail: "short and stout"}},
		{"one that acts on terminals", 403, `{"kind":"forbidden","detail":"\u001b]0;owned\u0007\u202e","hint":"a\nb"}`,
			api.Error{Kind: api.KindForbidden, Status: 403, Detail: `\x1b]0;owned\x07\u202e`, Hint: `a\x0ab`}},
		{"of a gateway", 502, `<html>bad gateway</html>`,
			api.Error{Kind: api.KindUnavailable, Status: 502, Detail: "the server answered 502 Bad Gateway"}},
		{"of somebody else", 401, `who are you`,
			api.Error{Kind: api.KindInternal, Status: 401, Detail: "the server answered 401 Unauthorized"}},
		{"empty", 500, ``,
			api.Error{Kind: api.KindInternal, Status: 500, Detail: "the server answered 500 Internal Server Error"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.handle(api.RouteTargets, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})
			_, err := f.signedIn(t).Targets(t.Context())
			var got *api.Error
			if !errors.As(err, &got) {
				t.Fatalf("got %v", err)
			}
			if diff := cmp.Diff(tt.want, *got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnswersAreBounded(t *testing.T) {
	f := newFake(t)
	for name, body := range map[string][]byte{
		"too long":         append([]byte(`[]`), bytes.Repeat([]byte(" "), 5<<20)...),
		"two values":       []byte(`[] []`),
		"not JSON":         []byte(`<html>`),
		"of another type":  []byte(`{}`),
		"nothing":          nil,
		"nested too deep":  bytes.Repeat([]byte("["), 100_000),
		"a name that runs": []byte(`[{"name":"$(touch /tmp/x)","logins":["root"]}]`),
		"an option":        []byte(`[{"name":"db1","logins":["-oProxyCommand=sh"]}]`),
		"a newline":        []byte(`[{"name":"db1\nProxyCommand sh","logins":["root"]}]`),
	} {
		t.Run(name, func(t *testing.T) {
			f.handle(api.RouteTargets, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
			targets, err := f.signedIn(t).Targets(t.Context())
			if !errors.Is(err, client.ErrAnswer) || targets != nil {
				t.Fatalf("got %v, %v, want ErrAnswer", targets, err)
			}
			if got := err.Error(); client.Clean(got) != got {
				t.Errorf("the message acts on terminals: %q", got)
			}
		})
	}
}

// A server that closes in the middle of an answer gives no half answer.
func TestTruncatedAnswers(t *testing.T) {
	f := newFake(t)
	f.handle(api.RouteTargets, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, `[{"name":"db1","logins":["root"]}]`)
	})
	var unreachable *client.UnreachableError
	if _, err := f.signedIn(t).Targets(t.Context()); !errors.As(err, &unreachable) {
		t.Errorf("got %v, want an UnreachableError", err)
	}
}

func TestPathsHoldOneName(t *testing.T) {
	f := newFake(t)
	f.handle(api.RouteUserRemove, func(w http.ResponseWriter, r *http.Request) {
		answer(w, api.Empty{})
		if got := r.PathValue("handle"); got != "carol/../../x?y#z" {
			t.Errorf("the name arrived as %q", got)
		}
	})
	c := f.signedIn(t)
	// The type says that it is a handle; here it is one that nobody parsed.
	if err := c.RemoveUser(t.Context(), store.Handle("carol/../../x?y#z")); err != nil {
		t.Error(err)
	}
	for _, name := range []store.Handle{"", ".", ".."} {
		if err := c.RemoveUser(t.Context(), name); !client.IsKind(err, api.KindInvalid) {
			t.Errorf("%q: got %v, want invalid", name, err)
		}
	}
	if n := len(f.requests()); n != 1 {
		t.Errorf("%d requests were made, want 1", n)
	}
}

func TestRequestsAreBounded(t *testing.T) {
	f := newFake(t)
	_, err := f.signedIn(t).AddTarget(t.Context(), api.AddTargetRequest{HostKeys: []string{strings.Repeat("x", api.MaxBody)}})
	if !client.IsKind(err, api.KindInvalid) || len(f.requests()) != 0 {
		t.Errorf("got %v after %d requests", err, len(f.requests()))
	}
}

func TestQueryTravels(t *testing.T) {
	f := newFake(t)
	f.handle(api.RouteEntries, func(w http.ResponseWriter, _ *http.Request) { answer(w, api.EntriesResponse{}) })
	_, err := f.signedIn(t).Entries(t.Context(), client.Query{
		Type: "certificate.issued", User: "carol", Target: "db1", Limit: 50, Before: 99,
		Since: time.Date(2026, 11, 1, 1, 0, 0, 0, time.FixedZone("", 3600)), Until: time.Date(2026, 11, 2, 0, 0, 0, 5e6, time.UTC),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "before=99&limit=50&since=2026-11-01T00%3A00%3A00Z&target=db1&type=certificate.issued&until=2026-11-02T00%3A00%3A00.005Z&user=carol"
	if got := f.requests()[0].URL.RawQuery; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
