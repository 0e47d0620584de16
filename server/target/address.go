package target

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

const (
	defaultPort = "22"
	maxHostName = 253 // RFC 1035, section 2.3.4, as text
)

// ParseAddress returns a target's network address in its one canonical form,
// HOST:PORT. HOST is a host name (RFC 1123, returned in lower case) or an IP
// address, IPv6 in brackets; without a port it is 22. Names that resolvers read
// as numbers ("127.1", "0x7f.1"), zones, and addresses that mean no single host
// are refused. It looks nothing up.
func ParseAddress(s string) (string, error) {
	host, port, err := splitAddress(s)
	if err != nil {
		return "", addressError(s, err.Error())
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 || strconv.FormatUint(number, 10) != port {
		return "", addressError(s, "the port is not a number from 1 to 65535")
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		switch {
		case ip.Zone() != "":
			return "", addressError(s, "an address with a zone has a meaning on one machine only")
		case ip.Unmap().IsUnspecified() || ip.IsMulticast() || ip.Unmap().IsMulticast():
			return "", addressError(s, "this IP address is not one host's")
		}
		return net.JoinHostPort(ip.Unmap().String(), port), nil
	}
	if strings.Contains(s, "[") || !isHostName(host) {
		return "", addressError(s, "the host is neither a host name nor an IP address")
	}
	return net.JoinHostPort(strings.ToLower(host), port), nil
}

// splitAddress cuts a port off, and brackets, which only IPv6 may and must have.
func splitAddress(s string) (host, port string, err error) {
	if inside, ok := strings.CutPrefix(s, "["); ok {
		host, rest, ok := strings.Cut(inside, "]")
		if !ok || !strings.Contains(host, ":") {
			return "", "", fmt.Errorf("brackets belong around an IPv6 address")
		}
		if rest == "" {
			return host, defaultPort, nil
		}
		port, ok := strings.CutPrefix(rest, ":")
		if !ok {
			return "", "", fmt.Errorf("after the brackets comes :PORT or nothing")
		}
		return host, port, nil
	}
	host, port, hasPort := strings.Cut(s, ":")
	switch {
	case !hasPort:
		return host, defaultPort, nil
	case strings.Contains(port, ":"):
		return "", "", fmt.Errorf("an IPv6 address needs brackets around it")
	}
	return host, port, nil
}

func isHostName(s string) bool {
	if len(s) == 0 || len(s) > maxHostName {
		return false
	}
	labels := strings.Split(s, ".")
	for _, label := range labels {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
			if !letter && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	// A last label that is a number, decimal or hexadecimal, makes the whole an
	// IPv4 address to inet_aton(3), in a form that nobody reads right.
	last := strings.ToLower(labels[len(labels)-1])
	digits := strings.TrimPrefix(last, "0x")
	if digits == "" {
		return false
	}
	charset := "0123456789"
	if digits != last {
		charset += "abcdef"
	}
	return strings.Trim(digits, charset) != ""
}

func addressError(s, reason string) error {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return fmt.Errorf("address %q: %s; want HOST:PORT, for example db1.example.eu:22 or [2001:db8::1]:22", s, reason)
}
