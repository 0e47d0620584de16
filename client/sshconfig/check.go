package sshconfig

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
)

// maxPath bounds a path so that every written line stays far below the 4096
// bytes that old versions of ssh read of one.
const maxPath = 1024

// ParseHostCA returns the one key that line holds: an authorized_keys line
// (sshd(8)) with exactly one key, no options, and no second line.
func ParseHostCA(line string) (ssh.PublicKey, error) {
	key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return nil, fmt.Errorf("host CA key: %w", err)
	}
	if len(options) > 0 {
		return nil, errors.New("host CA key: a key with options is not accepted")
	}
	// ParseAuthorizedKey steps over comments and broken lines to find a key, so
	// that what stands before the key has to be looked for too.
	if len(rest) > 0 || strings.ContainsAny(strings.TrimSpace(line), "\r\n") {
		return nil, errors.New("host CA key: want exactly one line")
	}
	if err := checkCA(key); err != nil {
		return nil, err
	}
	return key, nil
}

func (c Config) check() error {
	if err := checkPath("directory", c.Dir); err != nil {
		return err
	}
	if err := checkPath("program", c.Program); err != nil {
		return err
	}
	if err := checkSuffix(c.Suffix); err != nil {
		return err
	}
	if _, err := c.relay(); err != nil {
		return err
	}
	if c.RelayPort < 1 || c.RelayPort > 65535 {
		return fmt.Errorf("relay port %d: want 1 to 65535", c.RelayPort)
	}
	if len(c.HostCAs) == 0 {
		return errors.New("host CA key: none given, so no relay could be recognised")
	}
	for _, key := range c.HostCAs {
		if err := checkCA(key); err != nil {
			return err
		}
	}
	return nil
}

// checkPath refuses what cannot be written so that ssh, and the shells that
// ssh starts, read the path back as it is. A path that needs no quotes is fine
// everywhere; others stand in single quotes for the shell, inside double quotes
// for ssh (which knows no escape there in its older versions), and then: both
// quotes end something, a backslash escapes in fish and in new versions of ssh,
// "!" is history in csh, and "${" is a variable to ssh, with no escape.
func checkPath(what, path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%s %s: want an absolute path", what, visible(path))
	}
	if len(path) > maxPath {
		return fmt.Errorf("%s: path is longer than %d bytes", what, maxPath)
	}
	if !utf8.ValidString(path) || strings.ContainsFunc(path, unicode.IsControl) {
		return fmt.Errorf("%s %s: path holds control characters or is not UTF-8; move it to a plain path", what, visible(path))
	}
	path = filepath.ToSlash(path)
	for _, bad := range []string{`"`, `'`, `\`, "!", "${"} {
		if strings.Contains(path, bad) {
			return fmt.Errorf("%s %s: an ssh configuration cannot hold %s in this path; move it to a path without", what, visible(path), bad)
		}
	}
	if !isPlain(path) && !shellQuotes {
		return fmt.Errorf("%s %s: ssh on this system needs a path of letters, digits and / : . _ + -; move it to one", what, visible(path))
	}
	return nil
}

// checkSuffix takes a target name's grammar, and refuses a last label of
// digits, because "*.1" would catch IP addresses.
func checkSuffix(suffix string) error {
	name, err := store.ParseTargetName(suffix)
	if err != nil {
		return fmt.Errorf("suffix: %w", err)
	}
	last := string(name)[strings.LastIndexByte(string(name), '.')+1:]
	if strings.Trim(last, "0123456789") == "" {
		return fmt.Errorf("suffix %q: its last label is a number, so it would catch IP addresses", suffix)
	}
	return nil
}

// relay returns the relay's host in the form that ssh compares names with.
func (c Config) relay() (string, error) {
	if addr, err := netip.ParseAddr(c.RelayHost); err == nil && addr.Zone() == "" {
		return addr.Unmap().String(), nil
	}
	name, err := store.ParseTargetName(c.RelayHost)
	if err != nil {
		return "", fmt.Errorf("relay host %s: want a lower-case host name or an IP address", visible(clip(c.RelayHost)))
	}
	return string(name), nil
}

// checkCA accepts the kinds of key that the host CA can have (in files or in
// an HSM). A certificate is not a key.
func checkCA(key ssh.PublicKey) error {
	if key == nil {
		return errors.New("host CA key: none given")
	}
	switch key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521:
		return nil
	default:
		return fmt.Errorf("host CA key of type %s: want ed25519 or ECDSA", visible(clip(key.Type())))
	}
}

// isPlain says that s means itself, unquoted, to every shell and to ssh.
func isPlain(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("/:._+-", rune(c)) {
			return false
		}
	}
	return s != ""
}

// clip bounds what an error message repeats of its input.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
