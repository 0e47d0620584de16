package store

import (
	"fmt"
	"strings"
)

// An Email is the address that a person gets notices at: an addr-spec (RFC 5322,
// section 3.4.1) as mail servers really take it. It is personal data and stands
// in no entry.
//
// Of the local part's atoms (RFC 5321, section 4.1.2) it has what people have in
// their addresses: at most 64 letters, digits and . _ + - = & ' ~ #, beginning
// with a letter, a digit or _, no two dots in a row and none at the end. Quoted
// strings, routes (! %), comments and address literals are refused; so is
// everything that could end a header or a command. The domain is a host name in
// lower case, an international one in its ASCII form.
type Email string

const maxEmailLocal = 64

// ParseEmail returns s as an Email with its domain in lower case, or an error that
// says what an address is.
func ParseEmail(s string) (Email, error) {
	local, domain, ok := strings.Cut(s, "@")
	if !ok || !isEmailLocal(local) || !isEmailDomain(domain) {
		return "", fmt.Errorf("e-mail address %q: want NAME@HOST with 1 to %d of A-Z a-z 0-9 . _ + - = & ' ~ # in the name, beginning with a letter, digit or _", clip(s), maxEmailLocal)
	}
	return Email(local + "@" + strings.ToLower(domain)), nil
}

func isEmailLocal(s string) bool {
	if s == "" || len(s) > maxEmailLocal || !isWord(s[0]) || strings.HasSuffix(s, ".") || strings.Contains(s, "..") {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isWord(c) && !strings.ContainsRune(".+-=&'~#", rune(c)) {
			return false
		}
	}
	return true
}

// isEmailDomain reports whether s is a host name, and not an IPv4 address.
func isEmailDomain(s string) bool {
	// Lower case is taken of ASCII alone: strings.ToLower turns "İ" into "i".
	if !isASCII(s) || !isTargetName(strings.ToLower(s)) {
		return false
	}
	last := s[strings.LastIndexByte(s, '.')+1:]
	return strings.Trim(last, "0123456789") != ""
}
