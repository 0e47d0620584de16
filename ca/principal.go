package ca

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/vaultpam/vaultpam/store"
)

// A TargetPrincipal is the one principal of a target or emergency certificate:
// an account on a host, "root@db1". The host's sshd accepts only principals of
// its own name (AuthorizedPrincipalsCommand prints %u@NAME).
type TargetPrincipal struct {
	Login  store.Login
	Target store.TargetName
}

// String returns "login@target". A login may hold an @ of its own
// ("carol@corp.example"), a target name never does, so the last @ divides them
// and no two pairs share a text.
func (p TargetPrincipal) String() string {
	return string(p.Login) + "@" + string(p.Target)
}

// ParseTargetPrincipal is the inverse of String.
func ParseTargetPrincipal(s string) (TargetPrincipal, error) {
	i := strings.LastIndexByte(s, '@')
	if i < 0 {
		return TargetPrincipal{}, fmt.Errorf("principal %q: want login@target", clip(s))
	}
	login, err := store.ParseLogin(s[:i])
	if err != nil {
		return TargetPrincipal{}, fmt.Errorf("principal %q: %w", clip(s), err)
	}
	target, err := store.ParseTargetName(s[i+1:])
	if err != nil {
		return TargetPrincipal{}, fmt.Errorf("principal %q: %w", clip(s), err)
	}
	return TargetPrincipal{Login: login, Target: target}, nil
}

// A HostName is the one principal of a host certificate: what users type to
// reach the host. It is a lower-case DNS name of at most 253 bytes (RFC 1123,
// section 2.1) whose last label is not a number, or an IP address in canonical
// text form (RFC 5952 for IPv6), without zone, brackets or port.
type HostName string

const maxHostName = 253

// ParseHostName returns s as a HostName, or an error that says what one is.
func ParseHostName(s string) (HostName, error) {
	bad := fmt.Errorf("host name %q: want lower-case labels of a-z 0-9 - joined by dots, or an IP address in canonical form", clip(s))
	if len(s) == 0 || len(s) > maxHostName {
		return "", bad
	}
	if addr, err := netip.ParseAddr(s); err == nil {
		if addr.Zone() != "" || addr.Is4In6() || addr.IsUnspecified() || addr.IsMulticast() || addr.String() != s {
			return "", bad
		}
		return HostName(s), nil
	}
	var last string
	for label := range strings.SplitSeq(s, ".") {
		// A label has the grammar of a target name's; a name may be longer.
		if _, err := store.ParseTargetName(label); err != nil {
			return "", bad
		}
		last = label
	}
	// "10.0.0.300" must not pass as a name: resolvers read it as an address.
	if strings.Trim(last, "0123456789") == "" {
		return "", bad
	}
	return HostName(s), nil
}

// checkPrincipal holds the principal to the grammar of its authority.
func checkPrincipal(kind Kind, principal string) error {
	var err error
	switch kind {
	case User:
		_, err = store.ParseUserID(principal)
	case Target, Emergency:
		_, err = ParseTargetPrincipal(principal)
	case Host:
		_, err = ParseHostName(principal)
	default:
		err = fmt.Errorf("no grammar for %v", kind)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPrincipal, err)
	}
	return nil
}
