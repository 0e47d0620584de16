package target_test

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/vaultpam/vaultpam/server/target"
)

var goodAddresses = map[string]string{
	"db1":                           "db1:22",
	"DB1.Example.EU:2222":           "db1.example.eu:2222",
	"10.0.0.7":                      "10.0.0.7:22",
	"10.0.0.7:65535":                "10.0.0.7:65535",
	"127.0.0.1:1":                   "127.0.0.1:1",
	"[::1]:22":                      "[::1]:22",
	"[2001:DB8:0::1]":               "[2001:db8::1]:22",
	"[::ffff:10.0.0.7]:22":          "10.0.0.7:22",
	"xn--bcher-kva.example":         "xn--bcher-kva.example:22",
	"1.example":                     "1.example:22",
	"1.2.3.4.in-addr.arpa":          "1.2.3.4.in-addr.arpa:22",
	strings.Repeat("a", 63):         strings.Repeat("a", 63) + ":22",
	"a.0xg":                         "a.0xg:22",
	"0xa.example:22":                "0xa.example:22",
	strings.Repeat("a.", 126) + "b": strings.Repeat("a.", 126) + "b:22",
}

var badAddresses = []string{
	"", ":", ":22", "db1:", "db1:0", "db1:022", "db1:+22", "db1:65536", "db1:-1", "db1:ssh", "db1:22:22", "db1: 22",
	"::1", "2001:db8::1", "[::1", "::1]", "[::1]22", "[::1]:", "[db1]:22", "[10.0.0.7]:22", "[]:22", "[[::1]]:22",
	"[fe80::1%eth0]:22", "0.0.0.0", "[::]:22", "[::ffff:0.0.0.0]", "224.0.0.1", "[ff02::1]:22", "[::ffff:224.0.0.1]",
	"127.1", "0x7f.1", "0x7f000001", "2130706433", "010.0.0.7", "1.2.3.4.5", "999.1.1.1", "a.0x", "a.0x1",
	"-oProxyCommand=x", "-db1", "db1-", "a..b", ".a", "a.", "a_b", "a b", "a,b", "a@b", "a/b", "a\x00", "a\n", "bücher.example",
	"$(x)", "%h", "*", "db1#", strings.Repeat("a", 64), strings.Repeat("a.", 127) + "bc",
}

func TestParseAddress(t *testing.T) {
	for in, want := range goodAddresses {
		if got, err := target.ParseAddress(in); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range badAddresses {
		if got, err := target.ParseAddress(in); err == nil {
			t.Errorf("%q was accepted as %q", in, got)
		} else if strings.ContainsAny(err.Error(), "\x00\n") || !strings.Contains(err.Error(), "want HOST:PORT") {
			t.Errorf("%q: message %q", in, err)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for in := range goodAddresses {
		f.Add(in)
	}
	for _, in := range badAddresses {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		address, err := target.ParseAddress(in)
		if err != nil {
			if address != "" || len(err.Error()) > 1000 {
				t.Fatalf("refused with %q and %d bytes of error", address, len(err.Error()))
			}
			return
		}
		if again, err := target.ParseAddress(address); err != nil || again != address {
			t.Fatalf("%q is not canonical: %q, %v", address, again, err)
		}
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatalf("%q: %v", address, err)
		}
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			t.Fatalf("%q: port %q", address, port)
		}
		if strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789.:-") != "" || strings.HasPrefix(host, "-") {
			t.Fatalf("%q: host %q", address, host)
		}
		if ip, err := netip.ParseAddr(host); err == nil && (ip.IsUnspecified() || ip.IsMulticast() || ip.Zone() != "" || ip.Is4In6()) {
			t.Fatalf("%q is no host's address", address)
		}
	})
}
