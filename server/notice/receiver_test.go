package notice_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/notice"
)

// A received call is one that verified.
type received struct {
	id   string
	at   time.Time // when it was signed
	body notice.HookBody
	raw  string
}

// A receiver is a company's webhook, over HTTPS. It verifies every call with code
// of its own.
type receiver struct {
	t      testing.TB
	log    *scroll // what who sends says, where there is one
	server *httptest.Server
	roots  *x509.CertPool
	secret []byte // of the receiver
	calls  chan received

	mu     sync.Mutex // guards answer
	answer http.HandlerFunc
}

func newReceiver(t testing.TB) *receiver {
	t.Helper()
	cert, roots := certify(t, net.IPv4(127, 0, 0, 1))
	r := &receiver{t: t, roots: roots, secret: random(32), calls: make(chan received, 4096)}
	r.server = httptest.NewUnstartedServer(http.HandlerFunc(r.serve))
	r.server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	r.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	r.server.StartTLS()
	t.Cleanup(r.server.Close)
	return r
}

// answers has the receiver answer so, in place of 204.
func (r *receiver) answers(f http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
}

func (r *receiver) serve(w http.ResponseWriter, q *http.Request) {
	raw, err := io.ReadAll(io.LimitReader(q.Body, 1<<20))
	if err != nil {
		return // who called has gone
	}
	call := received{id: q.Header.Get("webhook-id"), raw: string(raw)}
	if why := verify(r.secret, q.Header, raw); why != "" {
		r.t.Errorf("a call that does not verify: %s: %v", why, q.Header)
	}
	if q.Method != http.MethodPost || q.Header.Get("Content-Type") != "application/json" || json.Unmarshal(raw, &call.body) != nil {
		r.t.Errorf("%s %v: %s", q.Method, q.Header, raw)
	}
	seconds, err := strconv.ParseInt(q.Header.Get("webhook-timestamp"), 10, 64)
	if err != nil {
		r.t.Error(err)
	}
	call.at = time.Unix(seconds, 0)
	r.calls <- call
	r.mu.Lock()
	answer := r.answer
	r.mu.Unlock()
	if answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	answer(w, q)
}

// verify is what Standard Webhooks ask of a receiver, written from their text.
func verify(secret []byte, h http.Header, body []byte) string {
	id, stamp := h.Get("webhook-id"), h.Get("webhook-timestamp")
	if id == "" || stamp == "" || strings.ContainsAny(id, ". ") {
		return "no ID or no timestamp"
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(id))
	mac.Write([]byte("."))
	mac.Write([]byte(stamp))
	mac.Write([]byte("."))
	mac.Write(body)
	want := mac.Sum(nil)
	for one := range strings.SplitSeq(h.Get("webhook-signature"), " ") {
		version, encoded, _ := strings.Cut(one, ",")
		got, err := base64.StdEncoding.DecodeString(encoded)
		if version == "v1" && err == nil && hmac.Equal(got, want) {
			return ""
		}
	}
	return "no signature fits"
}

// config is what a Hook needs to call the receiver.
func (r *receiver) config() notice.HookConfig {
	return notice.HookConfig{
		URL: r.server.URL + "/in?from=vaultpam", Now: time.Now, Roots: r.roots,
		Secrets: func() ([][]byte, error) { return [][]byte{random(24), r.secret}, nil },
	}
}

func newHook(t testing.TB, c notice.HookConfig) *notice.Hook {
	t.Helper()
	h, err := notice.NewHook(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// next waits for a call.
func (r *receiver) next() received {
	r.t.Helper()
	select {
	case c := <-r.calls:
		return c
	case <-time.After(patience):
		r.t.Fatalf("no call came; the log says:\n%s", r.log)
		return received{}
	}
}
