package notice

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// hookTimeout bounds one call, from the connection to the answer.
	hookTimeout = 20 * time.Second
	// hookAnswer bounds what is read of an answer, which says nothing.
	hookAnswer = 4 << 10
	// secretPrefix is how Standard Webhooks mark a secret.
	secretPrefix = "whsec_"
)

// A HookConfig says where notices are posted to. Every field is needed but Roots.
type HookConfig struct {
	// URL is https, or on loopback http.
	URL string
	// Secrets are what calls are signed with, one signature each: two while a
	// secret is being changed. They are asked for with every call.
	Secrets func() ([][]byte, error)
	Now     func() time.Time
	// Roots are the authorities that the receiver is recognised by; nil is the
	// system's.
	Roots *x509.CertPool
}

// A Hook posts notices in the form of Standard Webhooks (version 1.0.0,
// www.standardwebhooks.com): webhook-id, webhook-timestamp in seconds and
// webhook-signature, "v1," and the HMAC-SHA256 in base64 over ID, timestamp and
// body, joined by dots. Its methods may be called concurrently.
type Hook struct {
	c      HookConfig
	client *http.Client
}

// NewHook returns a Hook.
func NewHook(c HookConfig) (*Hook, error) {
	if c.Secrets == nil || c.Now == nil {
		return nil, errors.New("webhook: secrets and a clock are needed")
	}
	if err := CheckHookURL(c.URL); err != nil {
		return nil, err
	}
	return &Hook{c: c, client: &http.Client{
		Timeout: hookTimeout,
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.Roots},
			ForceAttemptHTTP2:      true,
			DisableKeepAlives:      true, // notices are rare
			MaxResponseHeaderBytes: 64 << 10,
		},
		// A receiver that moved is configured anew: what is signed for one goes to
		// no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// CheckHookURL reports whether notices may be posted to a URL.
func CheckHookURL(text string) error {
	bad := errors.New("want a URL that begins with https://, or with http:// and an address of this machine")
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" || oneLine(text) != text {
		return bad
	}
	if u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()) {
		return nil
	}
	return bad
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// ParseHookSecrets reads secrets as Standard Webhooks write them, one a line:
// "whsec_" and 24 to 64 bytes in base64.
func ParseHookSecrets(text []byte) ([][]byte, error) {
	var secrets [][]byte
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		encoded, ok := strings.CutPrefix(line, secretPrefix)
		secret, err := base64.StdEncoding.DecodeString(encoded)
		if !ok || err != nil || len(secret) < 24 || len(secret) > 64 {
			return nil, errors.New("want whsec_ and 24 to 64 bytes in base64 on each line")
		}
		secrets = append(secrets, secret)
	}
	if len(secrets) == 0 || len(secrets) > 4 {
		return nil, errors.New("want one secret, or up to four while they are being changed")
	}
	return secrets, nil
}

// Send posts a notice, and returns nil once the receiver has taken it.
func (h *Hook) Send(ctx context.Context, id string, body HookBody) error {
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encoding a notice: %w", err)
	}
	secrets, err := h.c.Secrets()
	if err != nil {
		return fmt.Errorf("reading the webhook's secret: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.c.URL, bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("calling the webhook: %w", err)
	}
	at := strconv.FormatInt(h.c.Now().Unix(), 10)
	req.Header = http.Header{
		"Content-Type": {"application/json"}, "User-Agent": {"vaultpam"},
		"Webhook-Id": {id}, "Webhook-Timestamp": {at}, "Webhook-Signature": {sign(secrets, id, at, data)},
	}
	res, err := h.client.Do(req)
	if err != nil {
		return strangerError{fmt.Errorf("calling the webhook: %w", inner(err))}
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, hookAnswer) // the status says all
	return judge(res, h.c.Now())
}

func sign(secrets [][]byte, id, at string, body []byte) string {
	var all []string
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, secret)
		_, _ = fmt.Fprintf(mac, "%s.%s.", id, at) // a hash takes everything
		_, _ = mac.Write(body)                    // a hash takes everything
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(all, " ")
}

// inner is an error of a call without the URL, which may say who the receiver is
// by a secret path.
func inner(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// judge says what an answer means: what the receiver will never take is given up.
func judge(res *http.Response, now time.Time) error {
	code := res.StatusCode
	err := fmt.Errorf("the webhook answers %d", code)
	switch {
	case code >= 200 && code < 300:
		return nil
	case code >= 300 && code < 400:
		return fmt.Errorf("%w, which leads elsewhere and is not followed", err)
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code >= 500:
		if after := retryAfter(res.Header.Get("Retry-After"), now); after > 0 {
			return laterError{err, after}
		}
		return err
	}
	return permanentError{err}
}

// retryAfter reads seconds or a date (RFC 9110, section 10.2.3). What is neither says
// nothing.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return at.Sub(now)
	}
	return 0
}
