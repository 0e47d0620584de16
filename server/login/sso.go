package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// An SSO is the company's OpenID provider (OpenID Connect Core 1.0) and what its
// word is worth here. It must not be changed while a Login uses it.
type SSO struct {
	Name         string // as people call it
	Issuer       string
	ClientID     string
	ClientSecret string
	Redirect     string   // the one redirect URI, which the provider knows
	Scopes       []string // beside "openid"
	HandleClaim  string   // preferred_username or email
	GroupsClaim  string   // empty: no groups
	Groups       map[string]store.GroupName
	// AMR and ACR are the values of those claims that say that the provider asked
	// for a second factor. Where both are empty, ours is always asked for.
	AMR, ACR []string
	// Transport makes the requests; nil is http.DefaultTransport.
	Transport http.RoundTripper
}

const (
	providerTimeout = 10 * time.Second
	maxProvided     = 1 << 20 // bytes of any answer of the provider's
)

// signatures are the algorithms that a token may be signed with. "none" and those
// with a shared secret are not among them, whatever the provider says it uses.
var signatures = []string{ //nolint:gochecknoglobals // a list that never changes
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA,
}

// CheckProviderURL refuses an address of a provider that would be asked without
// TLS. On the machine itself, which is where tests are, it may.
func CheckProviderURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return errors.New("want an https address")
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if u.Scheme == "https" || u.Scheme == "http" && (err == nil && ip.IsLoopback() || u.Hostname() == "localhost") {
		return nil
	}
	return errors.New("want an https address")
}

// A provider is an SSO with what its discovery document says (OpenID Connect
// Discovery 1.0). That is fetched when it is first needed and kept, so that a
// provider that can't be reached keeps nobody from starting the server.
type provider struct {
	SSO
	now    func() time.Time
	client *http.Client

	mu    sync.Mutex // guards found, and lets one caller ask at a time
	found *discovered
}

// discovered is what a discovery document says.
type discovered struct {
	*oidc.Provider
	oauth    oauth2.Config
	verifier *oidc.IDTokenVerifier
	// namesItself is whether its answers carry the issuer (RFC 9207, section 3).
	namesItself bool
}

func newProvider(s SSO, now func() time.Time) *provider {
	transport := s.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	return &provider{SSO: s, now: now, client: &http.Client{
		Transport: bounded{transport}, Timeout: providerTimeout,
		// The addresses are those that the provider itself publishes.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// bounded lets no answer be longer than maxProvided: the library reads all of it.
type bounded struct{ http.RoundTripper }

// RoundTrip bounds the answer.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	a, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		a.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(a.Body, maxProvided), a.Body}
	}
	return a, err //nolint:wrapcheck // a RoundTripper hands on what it is given
}

// context is one in which the libraries ask as they are to.
func (p *provider) context(ctx context.Context) context.Context {
	return oidc.ClientContext(ctx, p.client)
}

// discover returns what the provider says of itself.
func (p *provider) discover(ctx context.Context) (*discovered, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil {
		return p.found, nil
	}
	found, err := oidc.NewProvider(p.context(ctx), p.Issuer)
	if err != nil {
		return nil, p.unreachable(fmt.Errorf("reading its discovery document: %w", err))
	}
	var says struct {
		Keys        string   `json:"jwks_uri"`
		Algorithms  []string `json:"id_token_signing_alg_values_supported"`
		NamesItself bool     `json:"authorization_response_iss_parameter_supported"`
	}
	if err := found.Claims(&says); err != nil {
		return nil, p.unreachable(fmt.Errorf("reading its discovery document: %w", err))
	}
	for _, address := range []string{found.Endpoint().AuthURL, found.Endpoint().TokenURL, says.Keys} {
		if err := CheckProviderURL(address); err != nil {
			return nil, p.unreachable(fmt.Errorf("its discovery document names %q: %w", address, err))
		}
	}
	algorithms := slices.DeleteFunc(slices.Clone(says.Algorithms), func(a string) bool { return !slices.Contains(signatures, a) })
	if len(algorithms) == 0 {
		algorithms = []string{oidc.RS256}
	}
	p.found = &discovered{
		Provider: found, namesItself: says.NamesItself,
		oauth: oauth2.Config{
			ClientID: p.ClientID, ClientSecret: p.ClientSecret, Endpoint: found.Endpoint(), RedirectURL: p.Redirect,
			Scopes: append([]string{oidc.ScopeOpenID}, p.Scopes...),
		},
		verifier: found.VerifierContext(p.context(context.Background()), &oidc.Config{
			ClientID: p.ClientID, SupportedSigningAlgs: algorithms, Now: p.now,
		}),
	}
	return p.found, nil
}

// unreachable says to a person that the provider does not do what it should, and
// to the log what.
func (p *provider) unreachable(err error) error {
	var network net.Error
	what := "does not answer as an OpenID provider does"
	if errors.As(err, &network) {
		what = "can't be reached"
	}
	refusal := api.NewError(api.KindUnavailable, "use your passkey, or try again later", "%s %s", p.Name, what)
	return fmt.Errorf("%w: %s", refusal, clip(err))
}

// clip bounds what a log repeats of an answer.
func clip(err error) string { return fmt.Sprintf("%.300s", err) }
