package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

const (
	// acmeTimeout bounds one request to the directory.
	acmeTimeout = 30 * time.Second
	// maxACME bounds an answer; certificates with their chain are the largest.
	maxACME = 1 << 20
)

// An acmeTransport carries autocert's requests. It writes into the log what an
// authority refuses and why, which autocert keeps to itself, and it ends autocert's
// work when the server stops, which autocert offers no way to do.
type acmeTransport struct {
	base    *http.Transport
	log     *slog.Logger
	stopped context.Context // done once the server stops
	cancel  context.CancelFunc
}

// newACMETransport goes by the roots in a file, or by the system's where it is "".
func newACMETransport(roots string, log *slog.Logger) (*acmeTransport, error) {
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if roots != "" {
		text, err := readBounded(roots)
		if err != nil {
			return nil, fmt.Errorf("tls.directory_ca: %w", err)
		}
		if trust.RootCAs = x509.NewCertPool(); !trust.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("tls.directory_ca: %s holds no certificate in PEM", roots)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &acmeTransport{
		base: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: trust, TLSHandshakeTimeout: acmeTimeout,
			ForceAttemptHTTP2: true, IdleConnTimeout: acmeTimeout, MaxResponseHeaderBytes: 64 << 10,
		},
		log: log, stopped: ctx, cancel: cancel,
	}, nil
}

// stop ends requests that run, and refuses others.
func (t *acmeTransport) stop() {
	t.cancel()
	t.base.CloseIdleConnections()
}

// RoundTrip implements http.RoundTripper.
func (t *acmeTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	defer cancel() // the answer is read whole before
	defer context.AfterFunc(t.stopped, cancel)()
	res, err := t.base.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxACME+1))
	if err == nil && len(body) > maxACME {
		err = errors.New("the answer is too large")
	}
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	if why := refusalOf(res.Header.Get("Content-Type"), body); why != "" {
		t.log.Warn("the certificate authority refuses", "url", oneLine(req.URL.String()), "why", why)
	}
	return res, nil
}

// refusalOf is why an ACME server refuses (RFC 8555, sections 6.7 and 7.1), or "".
// A nonce that is too old is asked for again, and is no refusal.
func refusalOf(kind string, body []byte) string {
	type problem struct {
		Type   string `json:"type"`
		Detail string `json:"detail"`
	}
	var answer struct {
		problem
		Status     any     `json:"status"` // a number in a problem, a word elsewhere
		Error      problem `json:"error"`
		Challenges []struct {
			Error problem `json:"error"`
		} `json:"challenges"`
	}
	if !strings.Contains(kind, "json") || json.Unmarshal(body, &answer) != nil {
		return ""
	}
	all := []problem{answer.problem}
	if answer.Status == "invalid" {
		all = append(all, answer.Error)
		for _, c := range answer.Challenges {
			all = append(all, c.Error)
		}
	}
	for _, p := range all {
		if p.Detail != "" && p.Type != "urn:ietf:params:acme:error:badNonce" {
			return fmt.Sprintf("%.500s", oneLine(p.Detail))
		}
	}
	return ""
}
