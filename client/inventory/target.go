package inventory

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// A Target is a proposal. What is missing is empty, and a problem says so.
type Target struct {
	// Origin is what the file calls the host, and Line where it does so first.
	Origin  string
	Line    int
	Name    store.TargetName
	Address string // HOST:PORT
	// HostKeys come from known_hosts alone, and KeyLines says from which line of it
	// each came.
	HostKeys []ssh.PublicKey
	KeyLines []int
	Logins   []store.Login
	// Elsewhere is set where the host is reached by something else than ssh.
	Elsewhere bool
	// Groups are those of the inventory that the host is in, all and ungrouped aside.
	Groups []string
	// Labels are the host's groups, each as GROUP=yes, so that a selector names a
	// group by its name alone.
	Labels   store.TargetLabels
	Problems []string
}

// What a file may be.
const (
	MaxSize    = 16 << 20 // bytes
	MaxTargets = 10_000
)

const defaultPort = 22

func (t *Target) problem(format string, args ...any) {
	t.Problems = append(t.Problems, fmt.Sprintf(format, args...))
}

// setName proposes a name: what the file calls the host, in lower case. An
// address is no name.
func (t *Target) setName(called string) {
	name, err := store.ParseTargetName(strings.ToLower(strings.TrimSuffix(called, ".")))
	switch {
	case isAddress(called):
		t.problem("%.80q is an address: give the target a name", called)
	case err != nil:
		t.problem("%.80q is no target's name (host name labels of a-z 0-9 -): give it one", called)
	default:
		t.Name = name
	}
}

// setAddress takes a host and a port as they are written.
func (t *Target) setAddress(host, port string) {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		t.problem("port %.80q: want a port from 1 to 65535", port)
		return
	}
	address := net.JoinHostPort(host, strconv.FormatUint(n, 10))
	if api.CheckHost(address) != nil {
		t.problem("%.80q is no host that can be connected to", host)
		return
	}
	t.Address = address
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// nameTwice says of targets whether another before them has their name.
func nameTwice(targets []Target) {
	seen := map[store.TargetName]string{}
	for i := range targets {
		t := &targets[i]
		if t.Name == "" {
			continue
		}
		if first, ok := seen[t.Name]; ok {
			t.problem("%.80q has the name %s already", first, t.Name)
			t.Name = ""
			continue
		}
		seen[t.Name] = t.Origin
	}
}

// oneLine takes out what a file's own text brings into a message about it.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, text)
}

// tooLarge is the error of a file that is.
func tooLarge(what string, size int) error {
	return fmt.Errorf("%s of %d bytes: want at most %d", what, size, MaxSize)
}
