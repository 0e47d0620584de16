package server_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
)

// keyed is a certificate for a key, shown by whoever holds holder.
func keyed(t testing.TB, key, holder ed25519.PrivateKey) *tls.Certificate {
	t.Helper()
	nothing := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(nil, nothing, nothing, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: holder}
}

// showing is a client that opens its connections with a certificate.
func (s *site) showing(shown *tls.Certificate) *http.Client {
	config := s.pinned()
	if shown != nil {
		config.NextProtos = []string{"http/1.1", api.KeyProtocol}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return shown, nil }
	}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: config}, Timeout: 30 * time.Second}
	s.t.Cleanup(c.CloseIdleConnections)
	return c
}

// TestStolenTokenOnAConnection tries a stolen token, and a proof that names its key
// without having it, on connections that were opened in every way.
func TestStolenTokenOnAConnection(t *testing.T) {
	s := populated(t)
	_, thief, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	unsigned := func() *http.Request {
		r := s.request(http.MethodGet, "/v1/status", s.admin.token, nil)
		proof := strings.Fields(r.Header.Get(api.ProofHeader))
		proof[3] = strings.Repeat("A", len(proof[3]))
		r.Header.Set(api.ProofHeader, strings.Join(proof, " "))
		return r
	}
	none := func() *http.Request {
		r := unsigned()
		r.Header.Del(api.ProofHeader)
		return r
	}
	own := keyed(t, residentKey, residentKey)
	for name, tc := range map[string]struct {
		client *http.Client
		call   func() *http.Request
		want   int // 0: there is no connection
	}{
		"its owner":                         {s.showing(own), unsigned, http.StatusOK},
		"its owner, without naming the key": {s.showing(own), none, http.StatusUnauthorized},
		"no certificate":                    {s.showing(nil), unsigned, http.StatusUnauthorized},
		"no certificate, no proof":          {s.showing(nil), none, http.StatusUnauthorized},
		"another's certificate":             {s.showing(keyed(t, thief, thief)), unsigned, http.StatusUnauthorized},
		"the owner's, without its key":      {s.showing(keyed(t, residentKey, thief)), unsigned, 0},
		"an empty one":                      {s.showing(&tls.Certificate{}), unsigned, http.StatusUnauthorized},
	} {
		got := 0
		resp, err := tc.client.Do(tc.call())
		if err == nil {
			got = resp.StatusCode
			resp.Body.Close()
		}
		if got != tc.want {
			t.Errorf("%s: status %d, error %v, want %d", name, got, err, tc.want)
		}
	}
}

// TestBrowsersAreAskedForNoCertificate: one that is not named in ALPN would have
// people choose among certificates that have nothing to do with this.
func TestBrowsersAreAskedForNoCertificate(t *testing.T) {
	s := populated(t)
	config := s.pinned()
	config.NextProtos = []string{"h2", "http/1.1"}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		t.Error("the server asks for a certificate")
		return &tls.Certificate{}, nil
	}
	c, err := tls.Dial("tcp", s.https, config)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// TestConnectionsWithAKeyAreNotResumed: what a ticket proves is the ticket.
func TestConnectionsWithAKeyAreNotResumed(t *testing.T) {
	s := populated(t)
	c := s.showing(keyed(t, residentKey, residentKey))
	config := c.Transport.(*http.Transport).TLSClientConfig
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for range 2 {
		resp, err := c.Do(s.request(http.MethodGet, "/v1/status", s.admin.token, nil))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.TLS.DidResume {
			t.Error("a connection was resumed")
		}
		c.CloseIdleConnections()
	}
}

// TestClientWithAWrongClock: who reaches the server itself needs no right clock;
// behind a proxy that ends TLS each call is signed, and its time counts.
func TestClientWithAWrongClock(t *testing.T) {
	s := populated(t)
	proxy := httptest.NewTLSServer(&httputil.ReverseProxy{
		Transport: s.http.Transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "https", Host: s.https}) },
	})
	t.Cleanup(proxy.Close)
	pin := sha256.Sum256(proxy.Certificate().RawSubjectPublicKeyInfo)
	for name, tc := range map[string]struct {
		server string
		pin    []byte
		off    time.Duration
		says   string
	}{
		"right":                     {s.https, s.begun.Invitation.Pin, 0, ""},
		"wrong":                     {s.https, s.begun.Invitation.Pin, time.Hour, ""},
		"right, through the proxy":  {strings.TrimPrefix(proxy.URL, "https://"), pin[:], 0, ""},
		"wrong, through the proxy":  {strings.TrimPrefix(proxy.URL, "https://"), pin[:], time.Hour, "1h0m0s off"},
		"behind, through the proxy": {strings.TrimPrefix(proxy.URL, "https://"), pin[:], -time.Hour, "1h0m0s off"},
	} {
		c, err := client.New(client.Config{Server: tc.server, Pin: tc.pin, Timeout: 30 * time.Second, Now: func() time.Time { return s.clock.now().Add(tc.off) }})
		if err != nil {
			t.Fatal(err)
		}
		if c, err = c.WithSession(client.Session{Token: s.admin.token, Key: residentKey}); err != nil {
			t.Fatal(err)
		}
		_, err = c.Status(t.Context())
		if (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want %q", name, err, tc.says)
		}
		c.Close()
	}
}
