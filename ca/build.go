package ca

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
)

// The extensions that a certificate may carry, and the only ones
// (PROTOCOL.certkeys, "Extensions"). Host certificates carry none.
const (
	PermitX11Forwarding   = "permit-X11-forwarding"
	PermitAgentForwarding = "permit-agent-forwarding"
	PermitPortForwarding  = "permit-port-forwarding"
	PermitPTY             = "permit-pty"
	PermitUserRC          = "permit-user-rc"
)

const (
	optionForceCommand  = "force-command"
	optionSourceAddress = "source-address"
)

// A Request says everything that will stand in a certificate.
type Request struct {
	Kind      Kind
	Authority ssh.PublicKey // the CA's public key: it is part of the signed bytes
	Key       ssh.PublicKey // whose certificate it is
	Serial    store.Serial  // 0 for host certificates, which are no ledger entries
	KeyID     KeyID
	Principal string // in the grammar of Kind

	// Sub-second parts are cut off: the format counts seconds since 1970.
	ValidAfter, ValidBefore time.Time

	// SourceAddress is required for targets, but for direct certificates, and
	// optional for those, users and emergencies. Prefixes are masked; one that admits every address is refused.
	SourceAddress []netip.Prefix
	ForceCommand  string   // none if empty
	Extensions    []string // sorted, without duplicates

	// Nonce is random: it makes the bytes unforeseeable before they are hashed.
	Nonce [32]byte
}

// An Unsigned is a certificate that has passed the lint and awaits its one
// signature. Only Build makes one. It is safe for concurrent use.
type Unsigned struct {
	kind Kind
	hash [sha256.Size]byte
	tbs  []byte           // what is hashed and signed
	cert *ssh.Certificate // parsed back from tbs; never changed

	// used goes from false to true once, when an authority takes the bytes.
	used atomic.Bool
}

// Kind returns the authority that the certificate is for.
func (u *Unsigned) Kind() Kind { return u.kind }

// Serial returns the certificate's serial number.
func (u *Unsigned) Serial() store.Serial { return store.Serial(u.cert.Serial) }

// ValidAfter returns the first second of validity.
func (u *Unsigned) ValidAfter() time.Time { return seconds(u.cert.ValidAfter) }

// ValidBefore returns the first second after the validity.
func (u *Unsigned) ValidBefore() time.Time { return seconds(u.cert.ValidBefore) }

// Hash returns the SHA-256 of the bytes to be signed: the certificate blob
// without its signature field, nonce included (PROTOCOL.certkeys). The ledger
// makes it durable before the bytes are signed.
func (u *Unsigned) Hash() [sha256.Size]byte { return u.hash }

// Build encodes the request as a certificate and lints the encoded bytes. It is
// pure: the same request gives the same bytes.
func Build(r Request) (*Unsigned, error) {
	cert, err := assemble(r)
	if err != nil {
		return nil, fmt.Errorf("building %v certificate: %w", r.Kind, err)
	}
	tbs, err := toBeSigned(cert)
	if err != nil {
		return nil, fmt.Errorf("building %v certificate: %w", r.Kind, err)
	}
	// What will be signed is judged, not what was asked for: a fault between the
	// two would otherwise be signed unseen.
	linted, err := lint(r.Kind, tbs)
	if err != nil {
		return nil, fmt.Errorf("linting %v certificate: %w", r.Kind, err)
	}
	return &Unsigned{kind: r.Kind, hash: sha256.Sum256(tbs), tbs: tbs, cert: linted}, nil
}

// assemble refuses only what the encoding could not show to the lint.
func assemble(r Request) (*ssh.Certificate, error) {
	if r.Kind < User || r.Kind > Emergency {
		return nil, fmt.Errorf("%w: %v", ErrWrongType, r.Kind)
	}
	if id, err := ParseKeyID(r.KeyID.String()); err != nil {
		return nil, err
	} else if id != r.KeyID {
		return nil, fmt.Errorf("%w: fields of another kind are set", ErrKeyID)
	}
	after, before := r.ValidAfter.Unix(), r.ValidBefore.Unix()
	if after <= 0 || before <= after {
		return nil, fmt.Errorf("%w: from %s to %s", ErrValidity, r.ValidAfter.UTC().Format(time.RFC3339), r.ValidBefore.UTC().Format(time.RFC3339))
	}
	extensions, err := extensionMap(r.Extensions)
	if err != nil {
		return nil, err
	}
	cert := &ssh.Certificate{
		Nonce:           r.Nonce[:],
		Key:             r.Key,
		Serial:          uint64(r.Serial),
		CertType:        certType(r.Kind),
		KeyId:           r.KeyID.String(),
		ValidPrincipals: []string{r.Principal},
		ValidAfter:      uint64(after),
		ValidBefore:     uint64(before),
		SignatureKey:    r.Authority,
		Permissions:     ssh.Permissions{CriticalOptions: criticalOptions(r), Extensions: extensions},
	}
	return cert, nil
}

func certType(k Kind) uint32 {
	if k == Host {
		return ssh.HostCert
	}
	return ssh.UserCert
}

func criticalOptions(r Request) map[string]string {
	options := make(map[string]string, 2)
	if r.ForceCommand != "" {
		options[optionForceCommand] = r.ForceCommand
	}
	if len(r.SourceAddress) > 0 {
		texts := make([]string, len(r.SourceAddress))
		for i, prefix := range r.SourceAddress {
			texts[i] = prefix.String()
		}
		options[optionSourceAddress] = strings.Join(texts, ",")
	}
	return options
}

// extensionMap refuses a list out of order, because a map would hide it.
func extensionMap(names []string) (map[string]string, error) {
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		return nil, fmt.Errorf("%w: extensions are not sorted or not unique", ErrOption)
	}
	m := make(map[string]string, len(names))
	for _, name := range names {
		m[name] = ""
	}
	return m, nil
}

// Hash returns the SHA-256 of the bytes under a finished certificate's
// signature, the same that [Unsigned.Hash] returned before it was signed. For
// what cannot be encoded it returns all zeros, which no entry holds.
func Hash(cert *ssh.Certificate) [sha256.Size]byte {
	tbs, err := toBeSigned(cert)
	if err != nil {
		return [sha256.Size]byte{}
	}
	return sha256.Sum256(tbs)
}

// toBeSigned encodes cert up to its signature. x/crypto panics on a certificate
// with missing, nested or unknown keys, so those are refused first.
func toBeSigned(cert *ssh.Certificate) ([]byte, error) {
	if cert == nil || cert.Key == nil || cert.SignatureKey == nil {
		return nil, fmt.Errorf("%w: no key", ErrMalformed)
	}
	if err := checkSubject(cert.Key); err != nil {
		return nil, fmt.Errorf("subject key: %w", err)
	}
	if err := checkAuthority(cert.SignatureKey); err != nil {
		return nil, fmt.Errorf("authority key: %w", err)
	}
	return encode(cert)
}

// seconds is the inverse of time.Time.Unix within the bounds that the lint keeps.
func seconds(s uint64) time.Time { return time.Unix(int64(s), 0).UTC() }
