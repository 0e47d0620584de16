package ca

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
)

// CheckUser is everything that can be said of a user certificate without the
// ledger: it was signed by exactly this authority, it keeps every rule of the
// lint (one principal, bounded validity, known options only, key ID and serial
// of a user certificate), now is within its validity, and source is where it may
// be presented from. It returns whose certificate it is.
//
// It does not prove that the other side holds the key, that the certificate has
// its entry (compare [Hash] with the entry at its serial), or that the user is
// not locked; and force-command and the extensions are the caller's to enforce.
//
// Every error is one of this package's closed set (test with errors.Is).
func CheckUser(cert *ssh.Certificate, authority ssh.PublicKey, now time.Time, source netip.Addr) (store.UserID, error) {
	var nobody store.UserID
	tbs, err := checkSignature(cert, authority)
	if err != nil {
		return nobody, err
	}
	if err := Lint(User, tbs); err != nil {
		return nobody, err
	}
	if err := checkTime(cert, now); err != nil {
		return nobody, err
	}
	if err := checkSource(cert, source); err != nil {
		return nobody, err
	}
	user, err := store.ParseUserID(cert.ValidPrincipals[0])
	if err != nil {
		return nobody, fmt.Errorf("%w: %w", ErrPrincipal, err)
	}
	return user, nil
}

// CheckEmergency is what can be said of an emergency certificate: it was signed
// by exactly this authority, it keeps every rule of the lint, and now is within
// its validity. It returns what it opens. It does not prove that the other side
// holds the key. Its errors are those of CheckUser.
func CheckEmergency(cert *ssh.Certificate, authority ssh.PublicKey, now time.Time) (TargetPrincipal, error) {
	tbs, err := checkSignature(cert, authority)
	if err != nil {
		return TargetPrincipal{}, err
	}
	if err := Lint(Emergency, tbs); err != nil {
		return TargetPrincipal{}, err
	}
	if err := checkTime(cert, now); err != nil {
		return TargetPrincipal{}, err
	}
	return ParseTargetPrincipal(cert.ValidPrincipals[0])
}

// checkSignature returns the signed bytes. Until it has, the certificate is a
// stranger's text, and no error repeats any of it.
func checkSignature(cert *ssh.Certificate, authority ssh.PublicKey) ([]byte, error) {
	if authority == nil || checkAuthority(authority) != nil {
		return nil, fmt.Errorf("%w: no authority to check against", ErrForeign)
	}
	tbs, err := toBeSigned(cert)
	if err != nil {
		return nil, err
	}
	if cert.CertType != ssh.UserCert {
		return nil, fmt.Errorf("%w: not a user certificate", ErrWrongType)
	}
	if !bytes.Equal(cert.SignatureKey.Marshal(), authority.Marshal()) {
		return nil, ErrForeign
	}
	return tbs, verify(cert, tbs)
}

// checkTime has the bounds of OpenSSH: the first second counts, the last is out.
func checkTime(cert *ssh.Certificate, now time.Time) error {
	after, before := seconds(cert.ValidAfter), seconds(cert.ValidBefore)
	if now.Before(after) {
		return fmt.Errorf("%w: it begins at %s; is a clock wrong?", ErrNotYetValid, after.Format(time.RFC3339))
	}
	if !now.Before(before) {
		return fmt.Errorf("%w at %s; sign in again", ErrExpired, before.Format(time.RFC3339))
	}
	return nil
}

func checkSource(cert *ssh.Certificate, source netip.Addr) error {
	value, restricted := cert.CriticalOptions[optionSourceAddress]
	if !restricted {
		return nil
	}
	prefixes, err := parseSourceAddress(value)
	if err != nil {
		return err
	}
	source = source.Unmap().WithZone("")
	if !slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(source) }) {
		return fmt.Errorf("%w: it may be used only from %s", ErrSource, value)
	}
	return nil
}
