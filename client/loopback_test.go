package client_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/client"
)

func waiting(t *testing.T) *client.Loopback {
	t.Helper()
	l, err := client.NewLoopback(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func addressOf(l *client.Loopback) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(l.Port())))
}

var goodCode = bytes.Repeat([]byte{7}, 32)

func query(l *client.Loopback) string {
	return "code=" + base64.RawURLEncoding.EncodeToString(goodCode) + "&state=" + url.QueryEscape(l.State())
}

// knock sends a request as it stands, and returns the answer's status; 0 is none.
func knock(t *testing.T, l *client.Loopback, method, target, host string) int {
	t.Helper()
	c, err := net.Dial("tcp", addressOf(l))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", method, target, host); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, status, ok := strings.Cut(string(answer), "HTTP/1.1 "); ok {
		n, err := strconv.Atoi(status[:3])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return 0
}

// nothingCame fails the test where the loopback took a code.
func nothingCame(t *testing.T, l *client.Loopback) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code, err := l.Await(ctx); err == nil {
		t.Errorf("a code came: %x", code)
	}
}

// TestS19Loopback: of all that any page in this machine's browser can send here,
// the redirect alone is taken.
func TestS19Loopback(t *testing.T) {
	l := waiting(t)
	own, good := addressOf(l), query(l)
	state := "&state=" + url.QueryEscape(l.State())
	port := strconv.Itoa(int(l.Port()))
	for name, c := range map[string]struct{ method, target, host string }{
		"a name that leads here":     {"GET", "/?" + good, "evil.example:" + port},
		"a name that says so":        {"GET", "/?" + good, "127.0.0.1.evil.example:" + port},
		"localhost":                  {"GET", "/?" + good, "localhost:" + port},
		"IPv6":                       {"GET", "/?" + good, "[::1]:" + port},
		"mapped":                     {"GET", "/?" + good, "[::ffff:127.0.0.1]:" + port},
		"another port":               {"GET", "/?" + good, "127.0.0.1:1"},
		"no port":                    {"GET", "/?" + good, "127.0.0.1"},
		"another loopback address":   {"GET", "/?" + good, "127.0.0.2:" + port},
		"a number":                   {"GET", "/?" + good, "2130706433:" + port},
		"a trailing dot":             {"GET", "/?" + good, "127.0.0.1.:" + port},
		"no host":                    {"GET", "/?" + good, ""},
		"another host in the target": {"GET", "http://evil.example/?" + good, own},
		"POST":                       {"POST", "/?" + good, own},
		"HEAD":                       {"HEAD", "/?" + good, own},
		"PUT":                        {"PUT", "/?" + good, own},
		"OPTIONS":                    {"OPTIONS", "/?" + good, own},
		"another path":               {"GET", "/x?" + good, own},
		"a favicon":                  {"GET", "/favicon.ico", own},
		"two slashes":                {"GET", "//?" + good, own},
		"nothing":                    {"GET", "/", own},
		"another parameter":          {"GET", "/?" + good + "&x=1", own},
		"one that can't be read":     {"GET", "/?" + good + "&%zz=1", own},
		"one behind a semicolon":     {"GET", "/?" + good + "&a;b=1", own},
		"an error beside it":         {"GET", "/?" + good + "&error=x", own},
		"another state":              {"GET", "/?code=AAAA&state=evil", own},
		"a state cut off":            {"GET", "/?" + good[:len(good)-1], own},
		"a longer state":             {"GET", "/?" + good + "A", own},
		"no state":                   {"GET", "/?code=AAAA", own},
		"an empty state":             {"GET", "/?code=AAAA&state=", own},
		"two states":                 {"GET", "/?" + good + "&state=evil", own},
		"two states, the right last": {"GET", "/?code=AAAA&state=evil" + state, own},
		"two codes":                  {"GET", "/?" + good + "&code=AAAA", own},
		"a state in capitals":        {"GET", "/?" + strings.Replace(good, "state", "STATE", 1), own},
		"no code":                    {"GET", "/?x=AAAA" + state, own},
		"an empty code":              {"GET", "/?code=" + state, own},
		"no base64":                  {"GET", "/?code=!!!!" + state, own},
		"a code of 65 bytes":         {"GET", "/?code=" + base64.RawURLEncoding.EncodeToString(make([]byte, 65)) + state, own},
		"a code of 60,000 bytes":     {"GET", "/?code=" + strings.Repeat("A", 60_000) + state, own},
		"no HTTP":                    {"\x16\x03\x01", "/", own},
	} {
		if status := knock(t, l, c.method, c.target, c.host); status == http.StatusOK {
			t.Errorf("%s: taken", name)
		}
	}
	nothingCame(t, l)
	if status := knock(t, l, "GET", "/?"+good, own); status != http.StatusOK {
		t.Fatalf("the redirect: %d", status)
	}
	if status := knock(t, l, "GET", "/?"+good, own); status != http.StatusGone {
		t.Errorf("a second redirect: %d", status)
	}
	code, err := l.Await(t.Context())
	if err != nil || !bytes.Equal(code, goodCode) {
		t.Errorf("code %x, error %v", code, err)
	}
	// The state is random, and so is the port.
	other := waiting(t)
	if other.State() == l.State() || len(other.State()) != 43 || other.Port() == l.Port() {
		t.Errorf("states %q and %q, ports %d and %d", l.State(), other.State(), l.Port(), other.Port())
	}
}

// TestS19LoopbackOnce: of 200 redirects at once one is taken.
func TestS19LoopbackOnce(t *testing.T) {
	l := waiting(t)
	var taken, gone atomic.Int64
	var racers sync.WaitGroup // end with their answers
	for range 200 {
		racers.Go(func() {
			resp, err := http.Get("http://" + addressOf(l) + "/?" + query(l))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			switch resp.StatusCode {
			case http.StatusOK:
				taken.Add(1)
			case http.StatusGone:
				gone.Add(1)
			}
			for h, want := range map[string]string{
				"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Cache-Control": "no-store",
				"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Access-Control-Allow-Origin": "", "Set-Cookie": "",
			} {
				if got := resp.Header.Get(h); got != want {
					t.Errorf("%s is %q", h, got)
				}
			}
		})
	}
	racers.Wait()
	http.DefaultClient.CloseIdleConnections()
	if taken.Load() != 1 || gone.Load() != 199 {
		t.Errorf("%d were taken, %d came too late", taken.Load(), gone.Load())
	}
}

// TestS19LoopbackAddress: it can be reached at 127.0.0.1 and nowhere else.
func TestS19LoopbackAddress(t *testing.T) {
	l := waiting(t)
	port := strconv.Itoa(int(l.Port()))
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	tried := []string{"127.0.0.2", "::1"}
	for _, a := range all {
		if ip, _, err := net.ParseCIDR(a.String()); err == nil && !ip.Equal(net.IPv4(127, 0, 0, 1)) && !ip.IsLinkLocalUnicast() {
			tried = append(tried, ip.String())
		}
	}
	for _, host := range tried {
		if c, err := net.DialTimeout("tcp", net.JoinHostPort(host, port), 5*time.Second); err == nil {
			t.Errorf("it answers at %s", host)
			c.Close()
		}
	}
	if knock(t, l, "GET", "/", addressOf(l)) == 0 {
		t.Error("it does not answer at 127.0.0.1")
	}
}

// TestS19LoopbackSlow: who sends a header a byte a second is not waited for, and
// keeps nobody else out. The real clock, for the timeout is what is tested.
func TestS19LoopbackSlow(t *testing.T) {
	l := waiting(t)
	c, err := net.Dial("tcp", addressOf(l))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /?"); err != nil {
		t.Fatal(err)
	}
	if status := knock(t, l, "GET", "/?"+query(l), addressOf(l)); status != http.StatusOK {
		t.Errorf("another one meanwhile: %d", status)
	}
	begun := time.Now()
	if err := c.SetReadDeadline(begun.Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, err = io.ReadAll(c)
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		t.Errorf("still open after %v", time.Since(begun))
	}
}

// TestLoopbackEnds: who waits ends with the context, and nothing listens after
// Close.
func TestLoopbackEnds(t *testing.T) {
	l, err := client.NewLoopback(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Await(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", addressOf(l)); err == nil {
		t.Error("something listens after Close")
		c.Close()
	}
	if err := l.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}
