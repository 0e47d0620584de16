package inventory

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // known_hosts is hashed with it; nothing is trusted for it
	"encoding/base64"
	"fmt"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
)

// KnownHosts is a known_hosts file as sshd(8) describes it under SSH_KNOWN_HOSTS
// FILE FORMAT.
type KnownHosts struct {
	// Problems are of lines that were left out, and of what the file says that no
	// target can hold.
	Problems []string
	lines    []knownLine
	// exact are the lines that name a host as it is, by that name; patterns are
	// those that have to be tried.
	exact    map[string][]int
	patterns []int
	// revoked are the keys that the file calls revoked, with the line that does. A
	// key that was lost at one host is pinned for none.
	revoked map[string]int
}

type knownLine struct {
	number int
	marker string // "", markerRevoked or markerAuthority
	hosts  []string
	key    ssh.PublicKey
}

const (
	markerRevoked   = "revoked"
	markerAuthority = "cert-authority"
	hashPrefix      = "|1|"
	maxLine         = 64 << 10 // bytes
)

// ReadKnownHosts reads a known_hosts file. The error is of a file that can't be
// read at all.
func ReadKnownHosts(data []byte) (KnownHosts, error) {
	if len(data) > MaxSize {
		return KnownHosts{}, tooLarge("known_hosts", len(data))
	}
	k := KnownHosts{exact: map[string][]int{}, revoked: map[string]int{}}
	number, hashed := 0, 0
	for text := range strings.SplitSeq(string(data), "\n") {
		number++
		text = strings.TrimSpace(text)
		if text == "" || text[0] == '#' {
			continue
		}
		line, err := parseKnownLine(text)
		line.number = number
		switch {
		case err != nil:
			k.problem("line %d: %v", number, err)
			continue
		case line.marker == markerAuthority:
			k.problem("line %d: trusts an authority for %.80q; a target's own keys are pinned, so look at them", number, strings.Join(line.hosts, ","))
		case line.marker == markerRevoked:
			k.revoked[string(line.key.Marshal())] = number
		case strings.HasPrefix(line.hosts[0], hashPrefix):
			hashed++
		}
		k.add(line)
	}
	if hashed > 0 {
		k.problem("%d lines have hashed names, which can't be read; their keys are found for hosts that an inventory names", hashed)
	}
	return k, nil
}

func (k *KnownHosts) add(line knownLine) {
	if slices.ContainsFunc(line.hosts, isPattern) {
		k.patterns = append(k.patterns, len(k.lines))
	} else {
		for _, host := range line.hosts {
			host = strings.ToLower(host)
			k.exact[host] = append(k.exact[host], len(k.lines))
		}
	}
	k.lines = append(k.lines, line)
}

// isPattern reports whether a name fits others than itself, or can't be read.
func isPattern(host string) bool {
	return strings.ContainsAny(host, "*?!") || strings.HasPrefix(host, hashPrefix)
}

// about returns the lines for a host, in their order.
func (k KnownHosts) about(names []string) []knownLine {
	var found []int
	for _, name := range names {
		found = append(found, k.exact[name]...)
		for _, i := range k.patterns {
			if k.lines[i].fits(name) {
				found = append(found, i)
			}
		}
	}
	slices.Sort(found)
	var lines []knownLine
	for _, i := range slices.Compact(found) {
		lines = append(lines, k.lines[i])
	}
	return lines
}

func (k *KnownHosts) problem(format string, args ...any) {
	const most = 100
	if len(k.Problems) == most {
		k.Problems = append(k.Problems, "and more")
	}
	if len(k.Problems) <= most {
		k.Problems = append(k.Problems, fmt.Sprintf(format, args...))
	}
}

func parseKnownLine(text string) (knownLine, error) {
	if len(text) > maxLine {
		return knownLine{}, fmt.Errorf("has %d bytes, more than %d", len(text), maxLine)
	}
	marker, hosts, key, _, _, err := ssh.ParseKnownHosts([]byte(text))
	if err != nil {
		return knownLine{}, fmt.Errorf("no host key: %.100q", err.Error())
	}
	line := knownLine{marker: marker, hosts: hosts, key: key}
	if _, ok := key.(*ssh.Certificate); ok {
		return line, fmt.Errorf("%s is a certificate and no key", key.Type())
	}
	if marker != "" && marker != markerRevoked && marker != markerAuthority {
		return line, fmt.Errorf("marker %.80q: want @cert-authority or @revoked", marker)
	}
	if slices.Contains(hosts, "") {
		return line, fmt.Errorf("hosts %.80q: one is empty", strings.Join(hosts, ","))
	}
	return line, nil
}

// Targets proposes a target for each host that is named, without logins, which
// the file does not know. Names on one line are one host's, and lines that begin
// with the same name are.
func (k KnownHosts) Targets() ([]Target, error) {
	var targets []Target
	at := map[string]int{}
	for _, line := range k.lines {
		host := line.hosts[0]
		if line.marker != "" || isPattern(host) {
			continue
		}
		if _, ok := at[host]; ok {
			continue
		}
		if len(targets) >= MaxTargets {
			return nil, errTooMany
		}
		at[host] = len(targets)
		targets = append(targets, proposal(line.hosts))
	}
	k.Attach(targets)
	nameTwice(targets)
	return targets, nil
}

// proposal makes a target of the names on one line: the first that is a name
// becomes its name, the first of all its address.
func proposal(hosts []string) Target {
	host, port := splitKnown(hosts[0])
	t := Target{Origin: host}
	called := host
	for _, other := range hosts[1:] {
		if name, _ := splitKnown(other); isAddress(called) && !isPattern(name) {
			called = name
		}
	}
	t.setName(called)
	t.setAddress(host, port)
	t.problem("no login: known_hosts has none")
	return t
}

// splitKnown splits [HOST]:PORT; a host without brackets has the port 22.
func splitKnown(s string) (host, port string) {
	if inside, ok := strings.CutPrefix(s, "["); ok {
		if host, port, ok := strings.Cut(inside, "]:"); ok {
			return host, port
		}
	}
	return s, strconv.Itoa(defaultPort)
}

// Attach gives targets the host keys that the file has for them, by what their
// file calls them and by their address. Keys that it calls revoked, for this host
// or another, are left out, and where it has two different keys of one type for a
// target none of all is given: which is right, somebody has to look. An authority
// is no key to pin.
func (k KnownHosts) Attach(targets []Target) {
	for i := range targets {
		k.attach(&targets[i])
	}
}

func (k KnownHosts) attach(t *Target) {
	host, port, err := net.SplitHostPort(t.Address)
	if err != nil {
		return
	}
	names := []string{known(host, port)}
	if other := known(t.Origin, port); other != names[0] {
		names = append(names, other)
	}
	var found []knownLine
	authority := 0
	for _, line := range k.about(names) {
		revoked, isRevoked := k.revoked[string(line.key.Marshal())]
		switch {
		case line.marker == markerAuthority:
			authority = line.number
		case line.marker != "" || slices.ContainsFunc(found, line.sameKey):
		case isRevoked:
			t.problem("its %s key %s is revoked (known_hosts, line %d)", line.key.Type(), ssh.FingerprintSHA256(line.key), revoked)
		default:
			found = append(found, line)
		}
	}
	slices.SortStableFunc(found, func(a, b knownLine) int { return strings.Compare(a.key.Type(), b.key.Type()) })
	for i := 1; i < len(found); i++ {
		if a, b := found[i-1], found[i]; a.key.Type() == b.key.Type() {
			t.problem("known_hosts has two %s keys for it: %s (line %d) and %s (line %d); look at the host's own",
				a.key.Type(), ssh.FingerprintSHA256(a.key), a.number, ssh.FingerprintSHA256(b.key), b.number)
			found, authority = nil, 0
		}
	}
	if len(found) == 0 && authority > 0 {
		t.problem("known_hosts trusts an authority for it (line %d), which is no key to pin", authority)
	}
	t.HostKeys, t.KeyLines = nil, nil
	for _, line := range found {
		t.HostKeys, t.KeyLines = append(t.HostKeys, line.key), append(t.KeyLines, line.number)
	}
}

// sameKey reports whether another line has the same key.
func (l knownLine) sameKey(other knownLine) bool {
	return bytes.Equal(l.key.Marshal(), other.key.Marshal())
}

// known writes a host as known_hosts does: in lower case, with a port that is not
// 22 as [HOST]:PORT.
func known(host, port string) string {
	host = strings.ToLower(host)
	if port == strconv.Itoa(defaultPort) {
		return host
	}
	return "[" + host + "]:" + port
}

// fits reports whether the line is one for a host, as ssh decides it: one of the
// patterns fits, and none that begins with "!".
func (l knownLine) fits(host string) bool {
	fits := false
	for _, pattern := range l.hosts {
		positive, negated := strings.CutPrefix(pattern, "!")
		switch {
		case strings.HasPrefix(pattern, hashPrefix):
			fits = fits || hashFits(pattern, host)
		case !wildcardFits(strings.ToLower(positive), host):
		case negated:
			return false
		default:
			fits = true
		}
	}
	return fits
}

// wildcardFits compares with * and ?, which stand for dots as well.
func wildcardFits(pattern, host string) bool {
	// path.Match knows brackets, which are none here, and no slashes are in hosts.
	escaped := strings.NewReplacer(`\`, `\\`, `[`, `\[`).Replace(pattern)
	ok, err := path.Match(escaped, host)
	return err == nil && ok
}

// hashFits compares with |1|SALT|HMAC-SHA1(SALT, HOST)|, both in base64.
func hashFits(pattern, host string) bool {
	salt, sum, ok := strings.Cut(strings.TrimPrefix(pattern, hashPrefix), "|")
	rawSalt, err := base64.StdEncoding.DecodeString(salt)
	rawSum, err2 := base64.StdEncoding.DecodeString(sum)
	if !ok || err != nil || err2 != nil || len(rawSum) != sha1.Size {
		return false
	}
	mac := hmac.New(sha1.New, rawSalt)
	mac.Write([]byte(host))
	return hmac.Equal(mac.Sum(nil), rawSum)
}
