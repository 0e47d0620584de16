package ca

import "fmt"

// A Kind is one of the four authorities. The zero Kind is none of them, and
// everything refuses it.
type Kind uint8

const (
	// User certificates are trusted by the relay alone.
	User Kind = iota + 1
	// Target certificates are trusted by target hosts.
	Target
	// Host certificates are trusted by users' known_hosts.
	Host
	// Emergency certificates are trusted by target hosts, and need no ledger.
	Emergency
)

// String returns the word that stands in key IDs, file names and entries.
func (k Kind) String() string {
	switch k {
	case User:
		return "user"
	case Target:
		return "target"
	case Host:
		return "host"
	case Emergency:
		return "emergency"
	}
	return fmt.Sprintf("unknown kind %d", uint8(k))
}

// ParseKind is the inverse of String for the four kinds.
func ParseKind(s string) (Kind, error) {
	for k := User; k <= Emergency; k++ {
		if k.String() == s {
			return k, nil
		}
	}
	return 0, fmt.Errorf("certificate authority %q: want user, target, host or emergency", clip(s))
}

// clip bounds what an error repeats of its input.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
