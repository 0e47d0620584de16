package ca

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
)

// The longest time from valid-after to valid-before.
const (
	MaxUserValidity   = time.Hour
	MaxTargetValidity = 121 * time.Second // 60 s before the issue, 60 s after, and the second it falls into
	// MaxDirectValidity is a user certificate's usual life from the issue, the minute
	// before it, and the second it falls into.
	MaxDirectValidity = 361 * time.Second
	MaxHostValidity   = 31 * 24 * time.Hour
	// MaxEmergencyValidity is a day from the issue and the minute before it.
	MaxEmergencyValidity = 24*time.Hour + emergencyBackdate
)

const (
	maxForceCommand    = 4096
	maxSourceAddresses = 64
	nonceSize          = 32
	// lastSecond is 9999-12-31T23:59:59Z, the last that RFC 3339 can write; it
	// excludes "for ever" and what time.Time would wrap.
	lastSecond = 253402300799
)

// Lint judges the bytes to be signed of a certificate of the given kind: the
// certificate blob without its signature field. It knows nothing of the request
// they came from. A nil error means that every rule holds; otherwise the error
// is one of this package's closed set.
func Lint(kind Kind, tbs []byte) error {
	_, err := lint(kind, tbs)
	return err
}

func lint(kind Kind, tbs []byte) (*ssh.Certificate, error) {
	cert, err := parseUnsigned(tbs)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(marshal(cert.Key), marshal(cert.SignatureKey)) {
		return nil, fmt.Errorf("%w: the authority's own key", ErrKey)
	}
	if kind < User || kind > Emergency || cert.CertType != certType(kind) {
		return nil, fmt.Errorf("%w: type %d for %v", ErrWrongType, cert.CertType, kind)
	}
	for _, check := range []func(Kind, *ssh.Certificate) error{lintNames, lintSerial, lintValidity, lintOptions} {
		if err := check(kind, cert); err != nil {
			return nil, err
		}
	}
	return cert, nil
}

// parseUnsigned reads the one encoding of a certificate, with an empty signature
// put in place of the missing one.
func parseUnsigned(tbs []byte) (*ssh.Certificate, error) {
	blank := ssh.Marshal(struct{ Signature []byte }{ssh.Marshal(ssh.Signature{})})
	key, err := ssh.ParsePublicKey(append(bytes.Clone(tbs), blank...))
	if err != nil {
		return nil, ErrMalformed // the parser's own text may quote the input
	}
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		return nil, fmt.Errorf("%w: a plain key", ErrMalformed)
	}
	again, err := toBeSigned(cert)
	if err != nil {
		return nil, err
	}
	// One certificate, one text: what was hashed is what every reader sees.
	if !bytes.Equal(again, tbs) {
		return nil, fmt.Errorf("%w: not in canonical encoding", ErrMalformed)
	}
	if len(cert.Nonce) != nonceSize || bytes.Equal(cert.Nonce, make([]byte, nonceSize)) {
		return nil, fmt.Errorf("%w: no nonce of %d bytes", ErrMalformed, nonceSize)
	}
	if len(cert.Reserved) > 0 {
		return nil, fmt.Errorf("%w: reserved field is not empty", ErrMalformed)
	}
	return cert, nil
}

// lintNames checks the principal, the key ID, and that they do not contradict
// each other. An empty list of principals would match everybody.
func lintNames(kind Kind, cert *ssh.Certificate) error {
	if len(cert.ValidPrincipals) != 1 {
		return fmt.Errorf("%w: %d principals, want exactly one", ErrPrincipal, len(cert.ValidPrincipals))
	}
	principal := cert.ValidPrincipals[0]
	if err := checkPrincipal(kind, principal); err != nil {
		return err
	}
	id, err := ParseKeyID(cert.KeyId)
	if err != nil {
		return err
	}
	if id.Kind != kind {
		return fmt.Errorf("%w: %w: key ID is of kind %v, want %v", ErrWrongType, ErrKeyID, id.Kind, kind)
	}
	if kind == Host && string(id.Host) != principal {
		return fmt.Errorf("%w: names another host than the principal", ErrKeyID)
	}
	if kind == Emergency && !strings.HasSuffix(principal, "@"+string(id.Target)) {
		return fmt.Errorf("%w: names another target than the principal", ErrKeyID)
	}
	return nil
}

func lintSerial(kind Kind, cert *ssh.Certificate) error {
	serial := store.Serial(cert.Serial)
	ok := false
	switch kind {
	case User, Target:
		ok = serial > 0 && serial < store.EmergencySerial
	case Emergency:
		ok = serial >= store.EmergencySerial && serial < store.SerialLimit
	case Host:
		ok = serial == 0
	}
	if !ok {
		return fmt.Errorf("%w: %d for %v", ErrSerial, serial, kind)
	}
	return nil
}

func lintValidity(kind Kind, cert *ssh.Certificate) error {
	longest := maxValidity(kind)
	if isDirect(cert) {
		longest = MaxDirectValidity
	}
	after, before := cert.ValidAfter, cert.ValidBefore
	if after == 0 || before <= after {
		return fmt.Errorf("%w: empty", ErrValidity)
	}
	if before > lastSecond {
		return fmt.Errorf("%w: ends after the year 9999", ErrValidity)
	}
	if got := before - after; got > uint64(longest/time.Second) {
		return fmt.Errorf("%w: %d s, at most %d s for %v", ErrValidity, got, longest/time.Second, kind)
	}
	return nil
}

func maxValidity(kind Kind) time.Duration {
	switch kind {
	case User:
		return MaxUserValidity
	case Target:
		return MaxTargetValidity
	case Host:
		return MaxHostValidity
	case Emergency:
		return MaxEmergencyValidity
	}
	return 0
}

// isDirect reports whether a certificate whose names were checked is a direct one.
func isDirect(cert *ssh.Certificate) bool {
	id, err := ParseKeyID(cert.KeyId)
	return err == nil && id.Direct
}

func lintOptions(kind Kind, cert *ssh.Certificate) error {
	if kind == Host && len(cert.CriticalOptions)+len(cert.Extensions) > 0 {
		return fmt.Errorf("%w: a host certificate has none", ErrOption)
	}
	for name, value := range cert.CriticalOptions {
		if err := lintCritical(name, value); err != nil {
			return err
		}
	}
	// Of a direct one the company may say that it goes without.
	if _, ok := cert.CriticalOptions[optionSourceAddress]; kind == Target && !isDirect(cert) && !ok {
		return fmt.Errorf("%w: a target certificate needs a source-address", ErrOption)
	}
	for name, value := range cert.Extensions {
		switch name {
		case PermitX11Forwarding, PermitAgentForwarding, PermitPortForwarding, PermitPTY, PermitUserRC:
		default:
			return fmt.Errorf("%w: unknown extension %q", ErrOption, clip(name))
		}
		if value != "" {
			return fmt.Errorf("%w: extension %s has a value", ErrOption, name)
		}
	}
	return nil
}

func lintCritical(name, value string) error {
	switch name {
	case optionSourceAddress:
		_, err := parseSourceAddress(value)
		return err
	case optionForceCommand:
		if value == "" || len(value) > maxForceCommand || !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
			return fmt.Errorf("%w: force-command must be 1 to %d bytes of UTF-8 without control characters", ErrOption, maxForceCommand)
		}
		return nil
	}
	return fmt.Errorf("%w: unknown critical option %q", ErrOption, clip(name))
}

// parseSourceAddress reads the prefixes of a source-address option. Only the
// canonical text of masked prefixes is accepted, and none that admits everybody.
func parseSourceAddress(value string) ([]netip.Prefix, error) {
	texts := strings.Split(value, ",")
	if len(texts) > maxSourceAddresses {
		return nil, fmt.Errorf("%w: source-address lists %d networks, at most %d", ErrOption, len(texts), maxSourceAddresses)
	}
	prefixes := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix.String() != text || prefix.Masked() != prefix || prefix.Addr().Is4In6() {
			return nil, fmt.Errorf("%w: source-address %q: want a masked network such as 192.0.2.7/32", ErrOption, clip(text))
		}
		if prefix.Bits() == 0 {
			return nil, fmt.Errorf("%w: source-address %s admits every address", ErrOption, text)
		}
		prefixes[i] = prefix
	}
	return prefixes, nil
}
