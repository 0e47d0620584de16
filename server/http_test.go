package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/api"
)

func TestBodiesThatAreRefused(t *testing.T) {
	s := populated(t)
	for name, body := range map[string]string{
		"nothing":         "",
		"null bytes":      "\x00\x00",
		"unknown field":   `{"handle":"carol","roles":["engineer"],"is_admin":true}`,
		"two values":      `{"handle":"carol"} {"handle":"dave"}`,
		"trailing word":   `{"handle":"carol"} x`,
		"trailing comma":  `{"handle":"carol",}`,
		"number for text": `{"handle":7}`,
		"text for list":   `{"handle":"carol","roles":"engineer"}`,
		"list":            `[{"handle":"carol"}]`,
		"text":            `"carol"`,
		"cut":             `{"handle":"carol"`,
		"form":            `handle=carol&roles=engineer`,
		"deep":            strings.Repeat(`{"handle":`, 20000),
		"long in front":   strings.Repeat(" ", api.MaxBody) + `{"handle":"carol"}`,
		"long behind":     `{"handle":"carol"}` + strings.Repeat(" ", api.MaxBody),
	} {
		e := s.refused(s.ask("POST", api.RouteUserAdd.Path, s.admin.token, body), http.StatusBadRequest)
		if e.Kind != api.KindInvalid || e.Detail == "" {
			t.Errorf("%s: %+v", name, e)
		}
	}
	if users := must[[]api.User](s, s.admin, "GET", api.RouteUsers.Path, nil); len(users) != 1 {
		t.Errorf("something was added: %v", users)
	}
}

// An endless body that a server would have to read to its end.
type endless struct{ read atomic.Int64 }

func (e *endless) Read(p []byte) (int, error) {
	if e.read.Load() > 64<<20 {
		return 0, errors.New("the server reads for ever")
	}
	for i := range p {
		p[i] = ' '
	}
	e.read.Add(int64(len(p)))
	return len(p), nil
}

func TestS32HugeBodiesAreNotRead(t *testing.T) {
	s := populated(t)
	for name, token := range map[string][]byte{"administrator": s.admin.token, "nobody": nil} {
		body := &endless{}
		req, err := http.NewRequestWithContext(t.Context(), "POST", "https://"+s.https+api.RouteUserAdd.Path, body)
		if err != nil {
			t.Fatal(err)
		}
		if token != nil {
			req.Header.Set(api.TokenHeader, "Bearer "+tokenText(token))
		}
		// The answer may come, or the connection may end before the body does.
		if resp, err := s.http.Do(req); err == nil {
			if resp.StatusCode != http.StatusBadRequest && resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s: %s", name, resp.Status)
			}
			_ = resp.Body.Close() // it is of no more interest
		}
		// What lies in the buffers between the two is not what the server reads.
		if read := body.read.Load(); read > 16<<20 {
			t.Errorf("%s: the server took %d bytes", name, read)
		}
	}
}

func TestHugeHeadersAreRefused(t *testing.T) {
	s := populated(t)
	req, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+s.https+api.RouteInfo.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Long", strings.Repeat("a", 64<<10))
	resp, err := s.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%s", resp.Status)
	}
}

// What is no route is refused as the API refuses, and never in HTML.
func TestUnknownPathsAndMethods(t *testing.T) {
	s := populated(t)
	type ask struct{ method, path string }
	asks := []ask{
		{"GET", "/"}, {"GET", "/v1"}, {"GET", "/v1/"}, {"GET", "/v1/info/"}, {"GET", "/v2/info"}, {"GET", "//v1/info"},
		{"GET", "/v1/../v1/info"}, {"GET", "/v1/./info"}, {"GET", "/v1//info"}, {"GET", "/v1/entries/"}, {"GET", "/enroll/"}, {"POST", "/enroll"}, {"GET", "/device/x"}, {"GET", "/signin"}, {"GET", "/signin/x/y"}, {"PUT", "/signin/x"},
		{"GET", "/v1/%2e%2e/v1/info"}, {"GET", "/v1/info%00"}, {"GET", "/v1/info%2f"}, {"GET", "/index.html"}, {"GET", "/favicon.ico"},
		{"GET", "/v1/local/status"}, {"POST", "/v1/local/setting"}, // the socket's alone
		{"BREW", "/v1/info"}, {"OPTIONS", "/v1/info"}, {"TRACE", "/v1/info"},
	}
	for _, r := range api.Routes() {
		for _, m := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
			if !routed(m, r.Path) {
				asks = append(asks, ask{m, r.Path})
			}
		}
	}
	for _, a := range asks {
		got := s.ask(a.method, a.path, s.admin.token, nil)
		if e := s.refused(got, http.StatusNotFound); e.Kind != api.KindNotFound {
			t.Errorf("%s %s: %+v", a.method, a.path, e)
		}
		hygienic(t, a.method+" "+a.path, got.header)
		if got.header.Get("Location") != "" {
			t.Errorf("%s %s leads to %s", a.method, a.path, got.header.Get("Location"))
		}
	}
}

func routed(method, path string) bool {
	for _, r := range api.Routes() {
		if r.Method == method && r.Path == path {
			return true
		}
	}
	return false
}

// hygienic holds an answer to the headers that all of them carry.
func hygienic(t *testing.T, what string, h http.Header) {
	t.Helper()
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Strict-Transport-Security": "max-age=31536000",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %s is %q, want %q", what, name, got, want)
		}
	}
	if got := h.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("%s: allows the origin %s", what, got)
	}
	if got := h.Get("Content-Type"); got != "application/json" && got != "application/problem+json" {
		t.Errorf("%s: is %s", what, got)
	}
	if len(h.Values("Set-Cookie")) > 0 || h.Get("Server") != "" {
		t.Errorf("%s: %v", what, h)
	}
}

func TestEveryAnswerCarriesTheHeaders(t *testing.T) {
	s := populated(t)
	for _, r := range api.Routes() {
		hygienic(t, r.Pattern(), s.ask(r.Method, r.Path, nil, nil).header)
	}
	hygienic(t, "HEAD", s.ask("HEAD", api.RouteInfo.Path, nil, nil).header)
	if a := s.ask("HEAD", api.RouteInfo.Path, nil, nil); a.status != http.StatusOK {
		t.Errorf("HEAD: %d", a.status)
	}
}

// A page gives its browser a cookie that no other origin and no script gets at, and
// that opens nothing.
func TestS21PagesAndTheirCookie(t *testing.T) {
	s := populated(t)
	for path, status := range map[string]int{"/enroll": http.StatusOK, "/device": http.StatusOK, "/signin/no-such": http.StatusNotFound} {
		page := func(cookie string) answer {
			r := s.request("GET", path, nil, nil)
			r.Header.Del(api.ProofHeader)
			if cookie != "" {
				r.Header.Set("Cookie", cookie)
			}
			return s.do(r)
		}
		a := page("")
		policy := a.header.Get("Content-Security-Policy")
		if a.status != status || a.header.Get("Content-Type") != "text/html; charset=utf-8" || a.header.Get("Strict-Transport-Security") != "max-age=31536000" ||
			a.header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(policy, "default-src 'none'; ") || !strings.Contains(policy, "; frame-ancestors 'none'; ") {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
		cookies := (&http.Response{Header: a.header}).Cookies()
		if len(cookies) != 1 {
			t.Fatalf("%s: cookies %v", path, cookies)
		}
		c := cookies[0]
		if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || len(c.Value) != 43 {
			t.Errorf("%s: %+v", path, c)
		}
		if again := page(c.Name + "=" + c.Value); again.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: another cookie for a browser that has one", path)
		}
		if other := page(c.Name + "=" + c.Value[:42]).header.Get("Set-Cookie"); other == "" || strings.Contains(other, c.Value) {
			t.Errorf("%s: a cookie that is none is left: %q", path, other)
		}
		r := s.request("GET", api.RouteStatus.Path, nil, nil)
		r.Header.Set("Cookie", c.Name+"="+c.Value)
		s.refused(s.do(r), http.StatusUnauthorized)
	}
}

func TestS21CrossOriginCallsAreRefused(t *testing.T) {
	s := populated(t)
	for name, header := range map[string][2]string{
		"origin":       {"Origin", "https://evil.example"},
		"null origin":  {"Origin", "null"},
		"cross-site":   {"Sec-Fetch-Site", "cross-site"},
		"same-site":    {"Sec-Fetch-Site", "same-site"},
		"plain origin": {"Origin", "http://" + siteName + ".evil.example"},
	} {
		for _, r := range api.Routes() {
			if r.Method == http.MethodGet {
				continue // reads nothing without the token, which a browser does not have
			}
			var body any
			if r.Method == http.MethodPost {
				body = "{}"
			}
			req := s.request(r.Method, r.Path, s.admin.token, body)
			req.Header.Set(header[0], header[1])
			a := s.do(req)
			if e := s.refused(a, http.StatusForbidden); !strings.Contains(e.Detail, "origin") {
				t.Errorf("%s: %s: %s", name, r.Pattern(), a.body)
			}
			hygienic(t, name, a.header)
		}
	}
	must[api.StatusResponse](s, s.admin, "GET", api.RouteStatus.Path, nil)
}

// R11: headers come at once or not at all. The real clock, for the timeout is
// what is tested.
func TestR11SlowHeadersAreClosed(t *testing.T) {
	t.Parallel()
	s := newSite(t).run()
	start := time.Now()
	for name, first := range map[string]string{"nothing": "", "a line": "GET /v1/info HTTP/1.1\r\nHost: x\r\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := tls.Dialer{Config: s.pinned()}
			c, err := d.DialContext(t.Context(), "tcp", s.https)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			go trickle(ctx, c, first)
			if err := c.SetReadDeadline(start.Add(12 * time.Second)); err != nil {
				t.Fatal(err)
			}
			_, err = io.Copy(io.Discard, bufio.NewReader(c))
			if took := time.Since(start); err != nil && strings.Contains(err.Error(), "timeout") || took > 12*time.Second {
				t.Errorf("still open after %v: %v", took, err)
			}
		})
	}
}

// trickle sends a byte of a header every half second until ctx is done.
func trickle(ctx context.Context, w io.Writer, first string) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	_, err := io.WriteString(w, first)
	for err == nil && first != "" {
		select {
		case <-tick.C:
			_, err = io.WriteString(w, "x")
		case <-ctx.Done():
			return
		}
	}
}
