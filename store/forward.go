package store

import (
	"fmt"
	"net/netip"
	"path"
	"strconv"
	"strings"
)

// A forward is one limit of local-forward or remote-forward:
//
//	10.0.0.5:5432          an address; [2001:db8::5]:5432
//	10.0.0.0/24:*          a network; [2001:db8::/32]:443
//	db1.internal:5432      a name, as it is written, upper and lower case alike
//	*.db.internal:5432     names below a domain, however deep, without the domain
//	*:443                  every address and name
//	db1.internal:*         every port
//	db1.internal:5432-5439 ports from and to
//	unix:/run/app.sock     a unix socket; unix:* is every one
type forward struct {
	host     string       // a name, "*.domain" or "*"
	prefix   netip.Prefix // or a network, of one address where all bits are fixed
	from, to uint32       // ports
	socket   string       // or a path, or "*"
}

const (
	maxPort       = 65535
	maxHost       = 253 // bytes
	socketPrefix  = "unix:"
	maxSocketPath = 200 // bytes; what sockaddr_un holds is less
)

func parseForward(s string) (forward, error) {
	if name, ok := strings.CutPrefix(s, socketPrefix); ok {
		if name != "*" && !isSocketPath(name) {
			return forward{}, fmt.Errorf("socket %q: want unix:/absolute/path of plain signs without .., or unix:*", clip(s))
		}
		return forward{socket: name}, nil
	}
	host, ports, ok := cutPort(s)
	if !ok {
		return forward{}, fmt.Errorf("%q: want HOST:PORT, as 10.0.0.5:5432, [2001:db8::5]:5432 or *.db.internal:*", clip(s))
	}
	var f forward
	var err error
	if f.from, f.to, err = parsePorts(ports); err != nil {
		return forward{}, err
	}
	inner, bracketed := strings.CutPrefix(host, "[")
	inner = strings.TrimSuffix(inner, "]")
	if bracketed || strings.Contains(host, "/") {
		f.prefix, err = parsePrefix(inner)
		if err == nil && bracketed == f.prefix.Addr().Is4() {
			err = fmt.Errorf("address %q: brackets are for IPv6, and IPv6 wants them", clip(host))
		}
		return f, err
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		f.prefix, err = addr.Prefix(addr.BitLen())
		return f, err
	}
	f.host = strings.ToLower(host)
	if f.host != "*" && !isHostName(strings.TrimPrefix(f.host, "*.")) {
		return forward{}, fmt.Errorf("host %q: want an address, a network, a host name, *.DOMAIN or *", clip(host))
	}
	return f, nil
}

// cutPort cuts at the last colon, which has to be behind a closing bracket where
// there are other colons.
func cutPort(s string) (host, ports string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i <= 0 {
		return "", "", false
	}
	host, ports = s[:i], s[i+1:]
	bracketed := strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]")
	return host, ports, bracketed || !strings.ContainsAny(host, ":[]")
}

func parsePrefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		addr, err := netip.ParseAddr(s)
		if err != nil || addr.Zone() != "" || addr.Is4In6() {
			return netip.Prefix{}, fmt.Errorf("address %q: want an IP address without a zone, IPv4 as such", clip(s))
		}
		return addr.Prefix(addr.BitLen())
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("network %q: want ADDRESS/BITS, as 10.0.0.0/24", clip(s))
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("network %q: has bits behind its length; want %s", clip(s), p.Masked())
	}
	return p, nil
}

func parsePorts(s string) (from, to uint32, err error) {
	if s == "*" {
		return 1, maxPort, nil
	}
	first, last, isRange := strings.Cut(s, "-")
	if !isRange {
		last = first
	}
	from, okFrom := parsePort(first)
	to, okTo := parsePort(last)
	if !okFrom || !okTo || from > to {
		return 0, 0, fmt.Errorf("port %q: want a port from 1 to %d, two with - between them, or *", clip(s), maxPort)
	}
	return from, to, nil
}

func parsePort(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return uint32(n), err == nil && n > 0 && strconv.FormatUint(n, 10) == s
}

// isHostName reports whether s is labels of a-z 0-9 - _ joined by dots, the last
// of which is no number: 127.1 and 0x7f000001 are addresses to those who resolve
// names, and would be compared as names here.
func isHostName(s string) bool {
	if s == "" || len(s) > maxHost {
		return false
	}
	var last string
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !isLowerOrDigit(c) && c != '-' && c != '_' {
				return false
			}
		}
		last = label
	}
	return strings.Trim(last, "0123456789") != "" && !strings.HasPrefix(last, "0x")
}

func isSocketPath(s string) bool {
	if len(s) > maxSocketPath || !path.IsAbs(s) || path.Clean(s) != s || s == "/" {
		return false
	}
	for i := range len(s) {
		if !isPlain(s[i]) {
			return false
		}
	}
	return true
}

func (f forward) String() string {
	if f.socket != "" {
		return socketPrefix + f.socket
	}
	host := f.host
	if f.prefix.IsValid() {
		host = f.prefix.String()
		if f.prefix.IsSingleIP() {
			host = f.prefix.Addr().String()
		}
		if f.prefix.Addr().Is6() {
			host = "[" + host + "]"
		}
	}
	switch {
	case f.anyPort():
		return host + ":*"
	case f.from == f.to:
		return fmt.Sprintf("%s:%d", host, f.from)
	}
	return fmt.Sprintf("%s:%d-%d", host, f.from, f.to)
}

func (f forward) anyPort() bool { return f.from == 1 && f.to == maxPort }
