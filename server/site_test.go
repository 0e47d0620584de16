package server_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/bolt"
)

// A hand is a clock that a test turns.
type hand struct {
	mu sync.Mutex // guards at
	at time.Time
}

func newHand() *hand { return &hand{at: time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)} }

func (h *hand) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at
}

func (h *hand) turn(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = h.at.Add(d)
}

// A scroll keeps what was logged.
type scroll struct {
	mu    sync.Mutex // guards what follows
	buf   bytes.Buffer
	grown chan struct{} // closed by the next write; nil while nobody waits
}

func (s *scroll) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.grown != nil {
		close(s.grown)
		s.grown = nil
	}
	return s.buf.Write(p)
}

// says waits until some words were logged, or the time is over.
func (s *scroll) says(words string, d time.Duration) bool {
	late := time.After(d)
	for {
		s.mu.Lock()
		if strings.Contains(s.buf.String(), words) {
			s.mu.Unlock()
			return true
		}
		if s.grown == nil {
			s.grown = make(chan struct{})
		}
		grown := s.grown
		s.mu.Unlock()
		select {
		case <-grown:
		case <-late:
			return false
		}
	}
}

func (s *scroll) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

const (
	siteName = "pam.example.eu"
	adminIs  = "ada"
)

// A site is a server and the people around it.
type site struct {
	t     *testing.T
	dir   server.Dir
	clock *hand
	env   server.Environment
	log   *scroll
	begun server.InitResult
	node  *server.Node
	https string
	ssh   string
	http  *http.Client
	roots *x509.CertPool // that browsers know; nil: the system's
	stop  func() error   // ends Run and returns what it returned
	ended chan struct{}
	admin *resident
}

// A resident is somebody with an authenticator.
type resident struct {
	handle, secret string
	token, device  []byte
	codes          []string // for recovery
}

func environment(clock *hand) server.Environment {
	return server.Environment{
		CreateBackend: func(path string) (store.Backend, error) { return bolt.Create(path) },
		OpenBackend:   func(path string) (store.Backend, error) { return bolt.Open(path) },
		Now:           clock.now,
		Random:        rand.Reader,
	}
}

func initRequest(dir server.Dir) server.InitRequest {
	return server.InitRequest{
		Dir: dir, Administrator: adminIs, SelfGrant: store.SelfGrantRefused,
		Config: server.Config{
			Name: siteName, Suffix: "pam",
			Listen: server.ListenConfig{HTTPS: "127.0.0.1:0", SSH: "127.0.0.1:0"},
			Public: server.PublicConfig{HTTPS: siteName + ":443", SSH: siteName + ":2222"},
			TLS:    server.TLSConfig{Mode: server.TLSSelfSigned},
			Log:    server.LogConfig{Level: "debug"}, CheckTargets: "off",
		},
	}
}

// newSite makes a data directory, with the keys that other tests have too.
func newSite(t *testing.T) *site {
	t.Helper()
	begun := pattern.make(t)
	dir := freshDir(t)
	copied(t, pattern.dir, dir)
	return siteIn(t, dir, begun)
}

// ownSite makes a data directory with keys of its own.
func ownSite(t *testing.T) *site {
	t.Helper()
	dir := freshDir(t)
	begun, err := server.Init(t.Context(), environment(newHand()), initRequest(dir))
	if err != nil {
		t.Fatal(err)
	}
	return siteIn(t, dir, begun)
}

func siteIn(t *testing.T, dir server.Dir, begun server.InitResult) *site {
	t.Helper()
	clock := newHand()
	s := &site{t: t, dir: dir, clock: clock, env: environment(clock), log: &scroll{}, begun: begun}
	s.http = &http.Client{Transport: &http.Transport{TLSClientConfig: s.pinned()}, Timeout: 30 * time.Second}
	t.Cleanup(s.http.CloseIdleConnections)
	return s
}

// pinned accepts the certificate that the invitation pins.
func (s *site) pinned() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // VerifyConnection holds it to the pin
		VerifyConnection: func(cs tls.ConnectionState) error {
			if sum := sha256.Sum256(cs.PeerCertificates[0].RawSubjectPublicKeyInfo); !bytes.Equal(sum[:], s.begun.Invitation.Pin) {
				return errors.New("not the pinned key")
			}
			return nil
		},
	}
}

// open opens the node without running it.
func (s *site) open() *server.Node {
	s.t.Helper()
	n, err := server.Open(s.t.Context(), s.options())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = n.Close() }) // most tests have closed it
	s.node = n
	return n
}

func (s *site) options() server.Options {
	return server.Options{
		Environment: s.env, Dir: s.dir, Version: "v0", Roots: s.roots,
		Log: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

// run opens the node and serves until the test ends or calls stop.
func (s *site) run() *site {
	s.t.Helper()
	ready := make(chan struct{})
	o := s.options()
	o.Ready = func(https, ssh net.Addr) {
		s.https, s.ssh = https.String(), ssh.String()
		close(ready)
	}
	n, err := server.Open(s.t.Context(), o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.node = n
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	var failed error
	s.ended = make(chan struct{})
	ended := s.ended
	go func() { // ended by stop
		defer close(ended)
		failed = n.Run(ctx)
	}()
	s.stop = sync.OnceValue(func() error {
		cancel()
		<-ended
		return errors.Join(failed, n.Close())
	})
	stop := s.stop
	s.t.Cleanup(func() { _ = stop() }) // what it returns is for tests that ask
	select {
	case <-ready:
	case <-ended:
		s.t.Fatalf("the node did not serve: %v", failed)
	}
	return s
}

// populated runs a site with its first administrator signed in.
func populated(t *testing.T) *site {
	t.Helper()
	s := newSite(t).run()
	s.admin = s.enrolled(s.begun.Invitation.String())
	return s
}

// An answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ask makes a request; a body that is a string is sent as it is.
func (s *site) ask(method, path string, token []byte, body any) answer {
	s.t.Helper()
	return s.do(s.request(method, path, token, body))
}

// request is a request that its client has signed.
func (s *site) request(method, path string, token []byte, body any) *http.Request {
	s.t.Helper()
	var r io.Reader = http.NoBody
	var data []byte
	switch b := body.(type) {
	case nil:
	case string:
		data, r = []byte(b), strings.NewReader(b)
	default:
		var err error
		if data, err = json.Marshal(b); err != nil {
			s.t.Fatal(err)
		}
		r = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, "https://"+s.https+path, r)
	if err != nil {
		s.t.Fatal(err)
	}
	if token != nil {
		req.Header.Set(api.TokenHeader, "Bearer "+tokenText(token))
	}
	s.sign(req, token, data)
	return req
}

// residentKey is what the programs of all residents sign with.
var residentKey = func() ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("residents"))
	return ed25519.NewKeyFromSeed(seed[:])
}()

// sign proves that a request is its client's. What is no token is not signed, as
// it is not sent by clients.
func (s *site) sign(req *http.Request, token, body []byte) {
	if len(token) != 32 {
		token = nil
	}
	call := api.Signed{Method: req.Method, Target: req.URL.RequestURI(), Token: token, Body: body}
	req.Header.Set(api.ProofHeader, api.Prove(residentKey, call, s.env.Now()))
}

func (s *site) do(req *http.Request) answer {
	s.t.Helper()
	c := *s.http
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := c.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, data}
}

// must makes a request that has to succeed and reads its answer.
func must[A any](s *site, who *resident, method, path string, body any) A {
	s.t.Helper()
	var token []byte
	if who != nil {
		token = who.token
	}
	a := s.ask(method, path, token, body)
	if a.status != http.StatusOK {
		s.t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
	}
	var out A
	if err := json.Unmarshal(a.body, &out); err != nil {
		s.t.Fatalf("%s %s: %v in %s", method, path, err, a.body)
	}
	return out
}

// refused reads the refusal that a request has to meet.
func (s *site) refused(a answer, status int) api.Error {
	s.t.Helper()
	var e api.Error
	if a.status != status || a.header.Get("Content-Type") != "application/problem+json" || json.Unmarshal(a.body, &e) != nil {
		s.t.Fatalf("status %d %s, want a problem with status %d: %s", a.status, a.header.Get("Content-Type"), status, a.body)
	}
	return e
}

func newKey(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func publicLine(s ssh.Signer) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.PublicKey())))
}

// promptly is what may take a second, on a machine that runs the tests of every
// package at the same time. By itself none of it takes a tenth of one.
const promptly = 5 * time.Second

// within fails the test unless done closes in time.
func within(t *testing.T, d time.Duration, done <-chan struct{}, what string) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		t.Fatalf("%s took more than %v", what, d)
	}
}

func indexPath(i uint64) string { return fmt.Sprintf("/v1/entries/%d", i) }
