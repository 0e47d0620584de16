package pages_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/pages"
)

const (
	siteName  = "pam.example.test"
	otherName = "pam.example.invalid" // leads to the same server
	origin    = "https://" + siteName
)

// A desk answers the pages' questions as the API does: the ceremonies are
// go-webauthn's, so whatever a browser sends is verified.
type desk struct {
	t     *testing.T
	pages *pages.Pages
	keys  *webauthn.WebAuthn
	cert  *x509.Certificate
	addr  string

	mu          sync.Mutex // guards what follows
	invitations map[string]*invitation
	people      map[string]*person // by their WebAuthn ID
	ceremonies  map[string]*ceremony
	seen        []string // method and URI of every request, as a log would have it
	transferred int      // bytes of pages and their files
	instead     func(http.ResponseWriter)
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	p, err := pages.New()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := webauthn.New(&webauthn.Config{
		RPID: siteName, RPDisplayName: siteName, RPOrigins: []string{origin},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey:      protocol.ResidentKeyRequirementRequired,
			UserVerification: protocol.VerificationRequired,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, pages: p, keys: keys, invitations: map[string]*invitation{}, people: map[string]*person{}, ceremonies: map[string]*ceremony{}}
	d.serve()
	return d
}

// serve listens on loopback with a certificate that nobody has signed.
func (d *desk) serve() {
	d.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		d.t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: siteName}, DNSNames: []string{siteName},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		d.t.Fatal(err)
	}
	if d.cert, err = x509.ParseCertificate(der); err != nil {
		d.t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(d.handler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS13}
	s.EnableHTTP2 = true
	s.StartTLS()
	d.t.Cleanup(s.Close)
	d.addr = s.Listener.Addr().(*net.TCPAddr).String()
}

func (d *desk) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /static/", d.pages.Static())
	mux.HandleFunc("GET /enroll", d.page(func(*http.Request) pages.Page { return pages.Enrol{Server: siteName} }))
	mux.HandleFunc("GET /device", d.page(func(*http.Request) pages.Page { return pages.Device{Server: siteName} }))
	mux.HandleFunc("GET /signin/{id}", d.page(d.signInPage))
	mux.HandleFunc("POST /v1/enroll/begin", answer(d.enrollBegin))
	mux.HandleFunc("POST /v1/enroll/passkey", answer(d.enrollPasskey))
	mux.HandleFunc("POST /v1/enroll/finish", answer(d.enrollFinish))
	mux.HandleFunc("POST /v1/ceremonies/{id}/begin", answer(d.begin))
	mux.HandleFunc("POST /v1/ceremonies/{id}/finish", answer(d.finish))
	mux.HandleFunc("POST /v1/ceremonies/{id}/register", answer(d.register))
	mux.HandleFunc("POST /v1/ceremonies/{id}/deny", answer(d.deny))
	mux.HandleFunc("POST /v1/ceremonies/{id}/sso", answer(d.sso))
	mux.HandleFunc("POST /v1/device/find", answer(d.find))
	guarded := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		d.seen = append(d.seen, r.Method+" "+r.RequestURI)
		instead := d.instead
		d.mu.Unlock()
		if instead != nil && r.Method == http.MethodPost {
			instead(w)
			return
		}
		guarded.ServeHTTP(&counting{w, d}, r)
	})
}

// A counting writer counts what a page costs to load.
type counting struct {
	http.ResponseWriter
	d *desk
}

func (c *counting) Write(b []byte) (int, error) {
	c.d.mu.Lock()
	c.d.transferred += len(b)
	c.d.mu.Unlock()
	return c.ResponseWriter.Write(b)
}

func (d *desk) page(of func(*http.Request) pages.Page) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		status, p := http.StatusOK, of(r)
		if _, is := p.(pages.Message); is {
			status = http.StatusNotFound
		}
		if err := d.pages.Write(w, status, p); err != nil {
			d.t.Errorf("writing the page %s: %v", r.URL.Path, err)
		}
	}
}

// answer reads one JSON value without unknown fields, as the API does, and writes
// what comes of it.
func answer[Q any](do func(r *http.Request, q Q) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var q Q
		dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, api.MaxBody))
		dec.DisallowUnknownFields()
		err := dec.Decode(&q)
		if r.Header.Get("Content-Type") != "application/json" || err != nil {
			err = api.NewError(api.KindInvalid, "", "the request's body is not the JSON that %s takes", r.URL.Path)
		}
		var value any
		if err == nil {
			value, err = do(r, q)
		}
		status, kind := http.StatusOK, "application/json"
		if err != nil {
			refusal := api.NewError(api.KindInternal, "", "%v", err)
			errors.As(err, &refusal)
			status, kind, value = refusal.Status, "application/problem+json", refusal
		}
		var body bytes.Buffer
		_ = json.NewEncoder(&body).Encode(value)
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = w.Write(body.Bytes())
	}
}

// requests are what was asked so far.
func (d *desk) requests() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.seen)
}

// answers has every call of the API answered like this.
func (d *desk) answers(instead func(http.ResponseWriter)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.instead = instead
}

// add keeps a ceremony under its ID.
func (d *desk) add(c *ceremony) *ceremony {
	d.mu.Lock()
	defer d.mu.Unlock()
	c.page.ID, c.page.Server = rand.Text(), siteName
	d.ceremonies[c.page.ID] = c
	return c
}

// leads has a ceremony lead to another address.
func (d *desk) leads(c *ceremony, to string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c.redirect = to
}

// passkeys are the names of a person's.
func (d *desk) passkeys(p *person) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(p.names)
}

// outcome is who touched a passkey, and how the ceremony ended.
func (d *desk) outcome(c *ceremony) (*person, string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return c.by, c.ended
}
