// Package target is everything that a target host needs to trust VaultPAM, and
// nobody else: the script that sets a host up, closes every other way in that
// sshd knows, and takes either back (Script); the script that lists those ways
// and the judge of its answer (CheckScript, ParseCheck); reading and pinning its
// host keys (Scan, PinnedCallback); and a private host on loopback for tests and for the demo:
// the system's sshd in the configuration that the script gives a host
// (StartSshd), or, on a machine without sshd, a small server in Go
// (StartBuiltin).
//
// It decides nothing and issues nothing. It never connects to a host except to
// read its host keys: others run its scripts there. A check is what the host's
// root says, about sshd and a few programs known for the same purpose; it does
// not look into PAM, consoles, hypervisors, containers, or what a service lets in
// by a protocol of its own. The package never changes the machine's own sshd, and never accepts a
// host key that nobody confirmed: what Scan returns is a claim of whoever
// answered, to be shown to an administrator.
package target

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
)

// A Host is a private target on loopback. Address is its HOST:PORT, HostKeys are
// its plain host keys, Kind says in a word or two what answers there. Stop ends
// it and every session on it, and may be called again.
type Host interface {
	Address() string
	HostKeys() []ssh.PublicKey
	Kind() string
	Stop() error
}

var (
	_ Host = (*Sshd)(nil)
	_ Host = (*Builtin)(nil)
)

// Principal is the one principal that opens login on target.
func Principal(login store.Login, target store.TargetName) string {
	return string(login) + "@" + string(target)
}

// directives returns the sshd_config lines by which a host trusts the keys in
// caFile for principals of its own name and no others. sshd refuses an
// AuthorizedPrincipalsCommand without its user. The file is set to none, or a
// principals file that stands there already would open accounts to names that
// are not this target's (sshd asks both).
func directives(caFile, echo string, target store.TargetName) []string {
	return []string{
		"TrustedUserCAKeys " + caFile,
		"AuthorizedPrincipalsFile none",
		"AuthorizedPrincipalsCommand " + echo + " %u@" + string(target),
		"AuthorizedPrincipalsCommandUser nobody",
	}
}

// closingDirectives returns the sshd_config lines that close every way in but
// the certificates of directives. In a Match block that comes first they outdo
// all others. AuthenticationMethods stops what has no line here, as GSSAPI, which
// not every sshd was built with. A command that prints no key stands where none
// would: sshd logs an error about a command of that name with every login.
func closingDirectives(echo string) []string {
	return []string{
		"AuthenticationMethods publickey",
		"PubkeyAuthentication yes",
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"HostbasedAuthentication no",
		"PermitEmptyPasswords no",
		"AuthorizedKeysFile none",
		"AuthorizedKeysCommand " + echo + " -n",
		"AuthorizedKeysCommandUser nobody",
	}
}

// checkTarget refuses a name that did not come from its parser.
func checkTarget(name store.TargetName) error {
	_, err := store.ParseTargetName(string(name))
	return err
}

// typeDSA is the type of a DSA key (RFC 4253, section 6.6), by its name because
// the library has deprecated its own.
const typeDSA = "ssh-dss"

// checkCA refuses what must never stand in a file of trusted authorities. A
// certificate as an authority would make everything that its key signs valid
// (CVE-2025-49825).
func checkCA(key ssh.PublicKey) error {
	if key == nil {
		return errors.New("no CA key was given")
	}
	if _, ok := key.(*ssh.Certificate); ok || strings.Contains(key.Type(), "-cert-v01@") {
		return fmt.Errorf("CA key is a certificate (%s): want a plain public key", key.Type())
	}
	if key.Type() == typeDSA {
		return errors.New("CA key is a DSA key: want Ed25519, ECDSA or RSA")
	}
	return nil
}

// authorityLines returns one authorized_keys line for each key, without options
// and without a comment, each ending in a line feed.
func authorityLines(keys []ssh.PublicKey) (string, error) {
	if len(keys) == 0 {
		return "", errors.New("no CA key was given")
	}
	var b strings.Builder
	for _, key := range keys {
		if err := checkCA(key); err != nil {
			return "", err
		}
		b.Write(ssh.MarshalAuthorizedKey(key))
	}
	return b.String(), nil
}
