package api

import (
	"encoding/base64"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// An Invitation is what a person needs to enrol: where the server is, the pin
// of its TLS certificate where browsers would not accept that, and the token
// that may be used once. Its text form is a link,
//
//	https://HOST[:PORT]/enroll#TOKEN[.PIN]
//
// with the token (32 bytes) and the pin (SHA-256 of the certificate's
// SubjectPublicKeyInfo, RFC 7469) in base64url. What stands behind "#" is never
// sent in a request line.
type Invitation struct {
	Host  string // HOST or HOST:PORT
	Token [32]byte
	Pin   []byte // 32 bytes, or empty
}

// ErrInvitation is returned for text that is not an invitation.
var ErrInvitation = errors.New("not an invitation: want https://HOST/enroll#TOKEN as the server printed it")

var base64url = base64.RawURLEncoding.Strict()

const (
	encodedLen    = 43 // of 32 bytes in base64url
	maxInvitation = 512
)

func (i Invitation) String() string { return i.link(enrollPath) }

// ParseInvitation parses the text form.
func ParseInvitation(s string) (Invitation, error) { return parseLink(s, enrollPath) }

const enrollPath = "/enroll"

// link is the text form with a path that says what the token is for.
func (i Invitation) link(path string) string {
	s := "https://" + i.Host + path + "#" + base64url.EncodeToString(i.Token[:])
	if len(i.Pin) > 0 {
		s += "." + base64url.EncodeToString(i.Pin)
	}
	return s
}

func parseLink(s, path string) (Invitation, error) {
	if len(s) > maxInvitation {
		return Invitation{}, ErrInvitation
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Path != path || u.User != nil || u.RawQuery != "" {
		return Invitation{}, ErrInvitation
	}
	inv := Invitation{Host: u.Host}
	if err := CheckHost(u.Host); err != nil || len(u.Fragment) < encodedLen {
		return Invitation{}, ErrInvitation
	}
	token, err := base64url.DecodeString(u.Fragment[:encodedLen])
	if err != nil {
		return Invitation{}, ErrInvitation
	}
	copy(inv.Token[:], token)
	if rest := u.Fragment[encodedLen:]; rest != "" {
		if inv.Pin, err = base64url.DecodeString(rest[1:]); err != nil || rest[0] != '.' || len(inv.Pin) != 32 {
			return Invitation{}, ErrInvitation
		}
	}
	if inv.link(path) != s {
		return Invitation{}, ErrInvitation
	}
	return inv, nil
}

// CheckHost reports whether s is HOST or HOST:PORT with a host name or an IP
// address (IPv6 in brackets) in it.
func CheckHost(s string) error {
	bad := errors.New("want HOST or HOST:PORT")
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = s, "443"
		if len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' {
			host = s[1 : len(s)-1]
		}
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || strconv.Itoa(n) != port {
		return bad
	}
	if strings.HasPrefix(s, "[") != strings.Contains(host, ":") {
		return bad // without brackets nobody can say where the port begins
	}
	if net.ParseIP(host) != nil {
		return nil
	}
	if host == "" || len(host) > 253 || host[0] == '-' || host[0] == '.' {
		return bad
	}
	for _, c := range host {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return bad
		}
	}
	return nil
}
