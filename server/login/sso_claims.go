package login

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/oauth2"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

const (
	// DefaultHandleClaim is the claim that says which user somebody is, until an
	// account is linked to them.
	DefaultHandleClaim = "preferred_username"
	emailClaim         = "email"
	// maxClaimGroups and maxClaimText bound what a provider says of one person.
	maxClaimGroups = 2000
	maxClaimText   = 1024
	// maxAhead is how far a provider's clock may be ahead of ours.
	maxAhead = time.Minute
)

// Claims are what a provider says of a person, as the members of one JSON object.
type Claims map[string]json.RawMessage

// A Reading is what the company's mapping makes of somebody's claims.
type Reading struct {
	Subject string
	Handle  store.Handle // whom the claims speak of, or empty
	SID     string       // of the provider's own session, or empty
	Groups  access.GroupSync
	Counts  bool // the provider asked for a second factor that counts here
}

// errClaims is somebody's claims that can't be read.
var errClaims = errors.New("claims that can't be read")

// Read applies the mapping. Claims of another type than they should have are
// refused: who belongs where is not guessed.
func (s SSO) Read(c Claims) (Reading, error) {
	var r Reading
	var err error
	if r.Subject, err = c.text("sub"); err != nil {
		return Reading{}, err
	}
	if r.SID, err = c.text("sid"); err != nil {
		return Reading{}, err
	}
	if r.Handle, err = s.handle(c); err != nil {
		return Reading{}, err
	}
	if r.Groups, err = s.groups(c); err != nil {
		return Reading{}, err
	}
	amr, err := c.texts("amr")
	if err != nil {
		return Reading{}, err
	}
	acr, err := c.text("acr")
	if err != nil {
		return Reading{}, err
	}
	r.Counts = slices.Contains(s.ACR, acr) && acr != "" || slices.ContainsFunc(amr, func(a string) bool { return slices.Contains(s.AMR, a) })
	return r, nil
}

// handle is whom the claims speak of. An address that nobody has verified speaks of
// nobody: at many providers people type it themselves.
func (s SSO) handle(c Claims) (store.Handle, error) {
	text, err := c.text(s.HandleClaim)
	if err != nil || text == "" {
		return "", err
	}
	if s.HandleClaim == emailClaim {
		var verified any
		if err := json.Unmarshal(or(c["email_verified"]), &verified); err != nil || verified != true && verified != "true" {
			return "", nil //nolint:nilerr // not verified is not an error, and nor is what says it strangely
		}
	}
	handle, err := store.ParseHandle(text)
	if err != nil {
		return "", nil //nolint:nilerr // nobody here is called so
	}
	return handle, nil
}

// groups is what the groups claim means here. A claim that is missing is a person
// without groups: access is given by what is said and not by what was.
func (s SSO) groups(c Claims) (access.GroupSync, error) {
	if s.GroupsClaim == "" {
		return access.GroupSync{}, nil
	}
	sync := access.GroupSync{Managed: slices.Compact(slices.Sorted(maps.Values(s.Groups)))}
	values, err := c.texts(s.GroupsClaim)
	if err != nil {
		return access.GroupSync{}, err
	}
	for _, v := range values {
		if name, ok := s.Groups[v]; ok && !slices.Contains(sync.Wanted, name) {
			sync.Wanted = append(sync.Wanted, name)
		}
	}
	slices.Sort(sync.Wanted)
	return sync, nil
}

// or makes a claim that is missing one that says nothing.
func or(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return json.RawMessage("null")
	}
	return raw
}

// text is a claim that is one text, or missing.
func (c Claims) text(name string) (string, error) {
	var text *string
	if err := json.Unmarshal(or(c[name]), &text); err != nil {
		return "", fmt.Errorf("%w: %s is not a text", errClaims, name)
	}
	if text == nil {
		return "", nil
	}
	if len(*text) > maxClaimText {
		return "", fmt.Errorf("%w: %s is longer than %d bytes", errClaims, name, maxClaimText)
	}
	return *text, nil
}

// texts is a claim that is a list of texts, or one text, or missing.
func (c Claims) texts(name string) ([]string, error) {
	if bytes.HasPrefix(bytes.TrimSpace(or(c[name])), []byte(`"`)) {
		text, err := c.text(name)
		return []string{text}, err
	}
	var list []*string
	if err := json.Unmarshal(or(c[name]), &list); err != nil {
		return nil, fmt.Errorf("%w: %s is not a list of texts", errClaims, name)
	}
	if len(list) > maxClaimGroups {
		return nil, fmt.Errorf("%w: %s has more than %d values", errClaims, name, maxClaimGroups)
	}
	all := make([]string, 0, len(list))
	for _, text := range list {
		if text == nil || len(*text) > maxClaimText {
			return nil, fmt.Errorf("%w: a value of %s is none, or longer than %d bytes", errClaims, name, maxClaimText)
		}
		all = append(all, *text)
	}
	return all, nil
}

// claims verifies an ID token (OpenID Connect Core 1.0, section 3.1.3.7) and returns
// what the provider says of its person, of which some may stand behind its user info
// endpoint alone.
func (p *provider) claims(ctx context.Context, d *discovered, token *oauth2.Token, nonce string) (Claims, error) {
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return nil, fmt.Errorf("%w: no ID token", errClaims)
	}
	verified, err := d.verifier.Verify(ctx, raw)
	if err != nil {
		return nil, fmt.Errorf("verifying the ID token: %w", err)
	}
	c := Claims{}
	if err := verified.Claims(&c); err != nil {
		return nil, fmt.Errorf("%w: %w", errClaims, err)
	}
	azp, err := c.text("azp")
	switch {
	case err != nil:
		return nil, err
	case nonce == "" || verified.Nonce != nonce:
		return nil, fmt.Errorf("%w: the ID token was made for another sign-in", errClaims)
	case azp != "" && azp != p.ClientID, len(verified.Audience) > 1 && azp == "":
		return nil, fmt.Errorf("%w: the ID token was given to another client", errClaims)
	case verified.IssuedAt.After(p.now().Add(maxAhead)):
		return nil, fmt.Errorf("%w: the ID token is from the future", errClaims)
	}
	return c, p.complete(ctx, d, token, c)
}

// complete asks the user info endpoint for those claims of the mapping that the ID
// token does not have (OpenID Connect Core 1.0, section 5.4). What the token says
// stands; of the rest nothing but handle and groups is taken.
func (p *provider) complete(ctx context.Context, d *discovered, token *oauth2.Token, c Claims) error {
	wanted := []string{p.HandleClaim, p.GroupsClaim}
	if p.HandleClaim == emailClaim {
		wanted = append(wanted, "email_verified")
	}
	wanted = slices.DeleteFunc(wanted, func(name string) bool { return name == "" || c[name] != nil })
	offered := CheckProviderURL(d.UserInfoEndpoint()) == nil
	if len(wanted) == 0 || !offered {
		return nil
	}
	info, err := d.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return fmt.Errorf("asking for user info: %w", err)
	}
	more := Claims{}
	if err := info.Claims(&more); err != nil {
		return fmt.Errorf("%w: user info: %w", errClaims, err)
	}
	// Of somebody else it must not be used (OpenID Connect Core 1.0, section 5.3.2).
	if subject, err := c.text("sub"); err != nil || subject == "" || info.Subject != subject {
		return fmt.Errorf("%w: user info is of somebody else", errClaims)
	}
	for _, name := range wanted {
		if raw, ok := more[name]; ok {
			c[name] = raw
		}
	}
	return nil
}
