package store

import (
	"fmt"
	"net/netip"
	"strings"
)

// A destination is a host as a client names it, read in the one way in which
// limits are compared with it: an address or a name.
type destination struct {
	addr netip.Addr
	name string // lower case, without a dot at its end
}

func (d destination) String() string {
	if d.addr.IsValid() {
		return d.addr.String()
	}
	return d.name
}

// parseDestination refuses what is neither an address in its usual form nor a
// host name: what a resolver would still make an address of (127.1, 0x7f000001)
// must not pass as a name, and what names an interface of the target (fe80::1%eth0)
// not as an address. An IPv4 address that is written as IPv6 is that address.
func parseDestination(host string) (destination, error) {
	if addr, err := netip.ParseAddr(host); err == nil && addr.Zone() == "" {
		return destination{addr: addr.Unmap()}, nil
	}
	if !isASCII(host) {
		return destination{}, fmt.Errorf("the host %q is no address and no host name", clip(host))
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if !isHostName(name) {
		return destination{}, fmt.Errorf("the host %q is no address and no host name", clip(host))
	}
	return destination{name: name}, nil
}

// everyAddress is what a host listens on where no address is asked for.
const everyAddress = "*"

// parseListen reads the address of a tcpip-forward request.
func parseListen(address string) (destination, error) {
	if address == "" || address == everyAddress {
		return destination{name: everyAddress}, nil
	}
	d, err := parseDestination(address)
	if err == nil && d.addr.IsValid() && d.addr.IsUnspecified() {
		return destination{name: everyAddress}, nil
	}
	return d, err
}

// reaches reports whether a connection to the destination is within the limit.
func (f forward) reaches(d destination, port uint32) bool {
	return f.socket == "" && f.from <= port && port <= f.to && f.fits(d)
}

// listens reports whether listening there is within the limit.
func (f forward) listens(d destination, port uint32) bool {
	if f.socket != "" || port == 0 && !f.anyPort() || port != 0 && (port < f.from || f.to < port) {
		return false
	}
	if f.host == "localhost" && (d.addr == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || d.addr == netip.IPv6Loopback()) {
		return true
	}
	return f.fits(d)
}

func (f forward) fits(d destination) bool {
	switch {
	case f.host == "*":
		return true
	case d.addr.IsValid():
		return f.prefix.IsValid() && f.prefix.Contains(d.addr)
	}
	// No name begins with a dot, so there is one label at least before the domain.
	if domain, ok := strings.CutPrefix(f.host, "*"); ok {
		return strings.HasSuffix(d.name, domain)
	}
	return f.host == d.name
}

// isSocket reports whether the path is within the limit. It is compared as it is
// written, and has to be written plainly.
func (f forward) isSocket(path string) bool {
	return f.socket != "" && isSocketPath(path) && (f.socket == "*" || f.socket == path)
}
