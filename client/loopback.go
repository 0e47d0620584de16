package client

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// A Loopback waits on 127.0.0.1 for the browser to come back from a sign-in (RFC
// 8252, section 7.3): once, with the state that only this process and the server
// know. What it is given is a code that nobody can use without this process's
// verifier and key; the session's token never is in a browser.
type Loopback struct {
	listener net.Listener
	server   *http.Server
	state    string
	code     chan []byte // holds the one that came
}

const (
	secretLength   = 32
	maxCodeInQuery = 64
)

// Secret draws a random text of 256 bits, for a state or a verifier (RFC 7636,
// section 4.1).
func Secret() (string, error) {
	b := make([]byte, secretLength)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("drawing a secret: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// NewLoopback listens on a port that the system picks. Close it; ctx bounds the
// listening's beginning alone.
func NewLoopback(ctx context.Context) (*Loopback, error) {
	state, err := Secret()
	if err != nil {
		return nil, err
	}
	// Not "localhost", which may be more than this machine's loopback address.
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("waiting for the browser: %w", err)
	}
	l := &Loopback{listener: listener, state: state, code: make(chan []byte, 1)}
	l.server = &http.Server{
		Handler: http.HandlerFunc(l.answer), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second,
		WriteTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10,
	}
	go func() { _ = l.server.Serve(listener) }() // ends with Close
	return l, nil
}

// Port is the one that it listens on.
func (l *Loopback) Port() uint16 {
	address, _ := l.listener.Addr().(*net.TCPAddr)
	return uint16(address.Port)
}

// State is what the redirect has to bring.
func (l *Loopback) State() string { return l.state }

// Close ends the waiting.
func (l *Loopback) Close() error {
	if err := l.server.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("no longer waiting for the browser: %w", err)
	}
	return nil
}

// Await returns the code that the browser brought.
func (l *Loopback) Await(ctx context.Context) ([]byte, error) {
	select {
	case code := <-l.code:
		return code, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// answer takes the redirect, and nothing else: any page that this machine's browser
// shows can send requests here.
func (l *Loopback) answer(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	query, bad := url.ParseQuery(r.URL.RawQuery)
	code, err := base64.RawURLEncoding.DecodeString(query.Get("code"))
	switch {
	// A name that was made to lead here (DNS rebinding) is not this address.
	case r.Host != l.listener.Addr().String():
		http.Error(w, "this is not a page", http.StatusMisdirectedRequest)
	case bad != nil || r.Method != http.MethodGet || r.URL.Path != "/" || len(query) != 2 || len(query["code"]) != 1 || len(query["state"]) != 1:
		http.Error(w, "there is nothing here", http.StatusNotFound)
	case subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(l.state)) != 1:
		http.Error(w, "this is not the sign-in that this machine waits for", http.StatusForbidden)
	case err != nil || len(code) == 0 || len(code) > maxCodeInQuery:
		http.Error(w, "there is no code in this", http.StatusBadRequest)
	default:
		select {
		case l.code <- code:
			fmt.Fprintln(w, "Done. Your terminal goes on by itself. You can close this window.")
		default:
			http.Error(w, "this was used already", http.StatusGone)
		}
	}
}
