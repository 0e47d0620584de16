package server

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/store"
)

// An SSOConfig is the company's OpenID provider and what its word is worth here.
type SSOConfig struct {
	// Name is what people call the provider.
	Name string `yaml:"name,omitempty" env:"VAULTPAMD_SSO_NAME"`
	// Issuer is its address, exactly as it writes it itself.
	Issuer   string `yaml:"issuer,omitempty" env:"VAULTPAMD_SSO_ISSUER"`
	ClientID string `yaml:"client_id,omitempty" env:"VAULTPAMD_SSO_CLIENT_ID"`
	// ClientSecretFile is a file with the secret and nothing else.
	ClientSecretFile string `yaml:"client_secret_file,omitempty" env:"VAULTPAMD_SSO_CLIENT_SECRET_FILE"`
	// Scopes are asked for beside openid: profile and email where nothing is said.
	Scopes []string `yaml:"scopes,omitempty"`
	// HandleClaim is preferred_username or email.
	HandleClaim string `yaml:"handle_claim,omitempty" env:"VAULTPAMD_SSO_HANDLE_CLAIM"`
	// GroupsClaim is the claim whose values Groups maps to groups here.
	GroupsClaim  string            `yaml:"groups_claim,omitempty" env:"VAULTPAMD_SSO_GROUPS_CLAIM"`
	Groups       map[string]string `yaml:"groups,omitempty"`
	SecondFactor SSOSecondFactor   `yaml:"second_factor,omitempty"`
}

// An SSOSecondFactor says by which claims the provider tells that it asked for a
// second factor. Where nothing is said, ours is always asked for.
type SSOSecondFactor struct {
	AMR []string `yaml:"amr,omitempty"`
	ACR []string `yaml:"acr,omitempty"`
}

const (
	ssoPage   = "/sso/callback"
	ssoLogout = "/sso/backchannel"
)

// check holds every field to its grammar, also where there is no issuer and nothing of
// it is used.
func (c SSOConfig) check() error {
	if c.Issuer != "" && login.CheckProviderURL(c.Issuer) != nil {
		return fmt.Errorf("sso.issuer: %q: want an https address", c.Issuer)
	}
	if c.Issuer != "" && c.ClientID == "" {
		return errors.New("sso.client_id: is missing")
	}
	if c.ClientSecretFile != "" && !filepath.IsAbs(c.ClientSecretFile) {
		return fmt.Errorf("sso.client_secret_file: %q: want an absolute path", c.ClientSecretFile)
	}
	if _, err := store.ParseTitle(c.name()); err != nil {
		return fmt.Errorf("sso.name: %w", err)
	}
	switch c.HandleClaim {
	case "", login.DefaultHandleClaim, "email":
	default:
		return fmt.Errorf("sso.handle_claim: %q: want %s or email", c.HandleClaim, login.DefaultHandleClaim)
	}
	if len(c.Groups) > 0 && c.GroupsClaim == "" {
		return errors.New("sso.groups_claim: is missing, and sso.groups says what its values mean")
	}
	for _, value := range slices.Sorted(maps.Keys(c.Groups)) {
		if _, err := store.ParseGroupName(c.Groups[value]); err != nil {
			return fmt.Errorf("sso.groups: %.80q: %w", value, err)
		}
	}
	return errors.Join(
		wantWords("sso.client_id", c.ClientID), wantWords("sso.groups_claim", c.GroupsClaim), wantWords("sso.scopes", c.Scopes...),
		wantWords("sso.second_factor.amr", c.SecondFactor.AMR...), wantWords("sso.second_factor.acr", c.SecondFactor.ACR...))
}

// wantWords refuses what no request to a provider may hold.
func wantWords(field string, words ...string) error {
	for _, word := range words {
		if strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			return fmt.Errorf("%s: %q: want printable ASCII without spaces", field, word)
		}
	}
	return nil
}

func (c SSOConfig) name() string {
	if c.Name == "" {
		return "your company's sign-in"
	}
	return c.Name
}

// mapping is how claims are read.
func (c SSOConfig) mapping() login.SSO {
	s := login.SSO{
		Name: c.name(), Issuer: c.Issuer, ClientID: c.ClientID, Scopes: c.Scopes, HandleClaim: c.HandleClaim,
		GroupsClaim: c.GroupsClaim, Groups: map[string]store.GroupName{}, AMR: c.SecondFactor.AMR, ACR: c.SecondFactor.ACR,
	}
	if s.HandleClaim == "" {
		s.HandleClaim = login.DefaultHandleClaim
	}
	if len(s.Scopes) == 0 {
		s.Scopes = []string{"profile", "email"}
	}
	for value, group := range c.Groups {
		s.Groups[value] = store.GroupName(group)
	}
	return s
}

// sso is the provider as sign-ins need it, or nil. It asks the provider nothing.
func (n *Node) sso() (*login.SSO, error) {
	c := n.config.SSO
	if c.Issuer == "" {
		return nil, nil
	}
	s := c.mapping()
	s.Redirect = n.origin() + ssoPage
	if c.ClientSecretFile != "" {
		secret, err := readBounded(c.ClientSecretFile)
		if err != nil {
			return nil, fmt.Errorf("reading sso.client_secret_file: %w", err)
		}
		s.ClientSecret = strings.TrimSpace(string(secret))
	}
	return &s, nil
}
