package sshconfig

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
)

// unsafeInShell are characters that a host name on ssh's command line may
// hold and a shell would act on. ssh puts the name into the ProxyCommand as it
// is (CVE-2023-51385; OpenSSH before 9.6 refuses none of them). There it stands
// in single quotes, within which only the first three mean anything to any
// shell; the rest make a second wall. A double quote is missing because
// versions before 8.7 cannot read one in a pattern; single quotes hold it.
const unsafeInShell = "'\\! $`;&|<>()"

// unsafeName is passed to "vaultpam proxy" in place of a name that is not let
// near a shell. It is outside the grammar of names, so that it is refused there,
// with a sentence.
const unsafeName = "(unsafe name)"

// SSHConfig returns the content of ConfigFile, in the grammar of
// ssh_config(5) that OpenSSH 7.3 and later read.
func (c Config) SSHConfig() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	relay, err := c.relay()
	if err != nil {
		return nil, err
	}
	run := shellWord(c.Program) + " --home " + shellWord(c.Dir)
	var b bytes.Buffer
	fmt.Fprint(&b, "# Written by \"vaultpam config ssh\", which overwrites changes.\n\n")

	direct := directHosts(c.Suffix)
	fmt.Fprint(&b, "# Targets past the relay, where a grant is for it. Gets the certificate for this\n# login before ssh reads it; a name that a shell could misread gets none.\n")
	fmt.Fprintf(&b, "Match host \"%s%s\" user \"*%s\" exec \"%s cert --ensure --quiet --direct -- '%%r@%%h'\"\n\n", direct, exclusions(), exclusions(), run)
	fmt.Fprintf(&b, "Match host \"%s\"\n", direct)
	c.writeIdentity(&b, "/direct/%r@%h")

	// No token may stand in this command: the host's name is not checked yet.
	fmt.Fprint(&b, "\n# Renews the certificate before ssh reads it.\n")
	fmt.Fprintf(&b, "Match host \"*.%s,%s,!%s\" exec \"%s cert --ensure --quiet\"\n\n", c.Suffix, relay, direct, run)

	// First, because the relay's name may end in the suffix too, and ssh takes
	// the first value of a setting.
	fmt.Fprint(&b, "# The relay itself, for ProxyJump and login+target@relay.\n")
	fmt.Fprintf(&b, "Host %s\n    Port %d\n    ProxyCommand none\n", relay, c.RelayPort)
	c.writeIdentity(&b, "")
	c.writeTrust(&b)

	fmt.Fprint(&b, "\n# Targets. A name that a shell could misread is not put into a command.\n")
	// Match and not Host, which would compare the name that was typed while %h is
	// the HostName in force. That one is then held against a later "Host *".
	fmt.Fprintf(&b, "Match host \"*.%s%s\"\n    ProxyCommand %s proxy -- '%%h' %%p\n\n", c.Suffix, exclusions(), run)
	fmt.Fprintf(&b, "Match host \"*.%s,!%s\"\n", c.Suffix, direct)
	c.writeIdentity(&b, "")
	fmt.Fprintf(&b, "\nMatch host \"*.%s\"\n    HostName %%h\n    ProxyCommand %s proxy -- '%s' %%p\n", c.Suffix, run, unsafeName)
	c.writeTrust(&b)
	return b.Bytes(), nil
}

// directHosts is the pattern of what users type to go past the relay.
func directHosts(suffix string) string { return "*.direct." + suffix }

// writeIdentity writes who the user is, by a directory in VaultPAM's own. Tokens in
// its name are ssh's to expand: they name files, and no shell reads them.
func (c Config) writeIdentity(b *bytes.Buffer, within string) {
	dir := sshPath(filepath.ToSlash(c.Dir))
	dir = strings.TrimSuffix(dir, `"`) + within
	fmt.Fprintf(b, "    IdentityFile %s/id_ed25519\"\n", dir)
	fmt.Fprintf(b, "    CertificateFile %s/id_ed25519-cert.pub\"\n", dir)
}

// writeTrust writes whom ssh believes, the same for the relay and the targets. Each
// "no" shuts a way around that file of known hosts, or into the agent without a
// lifetime, that a general "Host *" of the user's could open. Forwarding,
// multiplexing and the login are left to the user.
func (c Config) writeTrust(b *bytes.Buffer) {
	fmt.Fprintf(b, "    UserKnownHostsFile %s\n", sshPath(filepath.ToSlash(c.Dir)+"/"+KnownHostsFile))
	fmt.Fprint(b, "    GlobalKnownHostsFile /dev/null\n")
	fmt.Fprint(b, "    StrictHostKeyChecking yes\n")
	for _, keyword := range []string{"CheckHostIP", "VerifyHostKeyDNS", "UpdateHostKeys", "NoHostAuthenticationForLocalhost", "AddKeysToAgent"} {
		fmt.Fprintf(b, "    %s no\n", keyword)
	}
	fmt.Fprint(b, "    IdentitiesOnly yes\n")
}

// KnownHosts returns the content of KnownHostsFile, in the format of sshd(8),
// "SSH_KNOWN_HOSTS FILE FORMAT": the host CA for the relay and for every
// target, then the pinned keys of targets past the relay.
func (c Config) KnownHosts() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	relay, err := c.relay()
	if err != nil {
		return nil, err
	}
	// ssh looks a host on a port other than 22 up as "[host]:port". Past the relay
	// the host CA vouches for nobody: there are the keys that were pinned.
	direct := directHosts(c.Suffix)
	hosts := fmt.Sprintf("*.%s,[*.%s]:*,!%s,![%s]:*,%s", c.Suffix, c.Suffix, direct, direct, relay)
	if c.RelayPort != 22 {
		hosts += fmt.Sprintf(",[%s]:%d", relay, c.RelayPort)
	}
	var b bytes.Buffer
	fmt.Fprint(&b, "# Written by \"vaultpam config ssh\", which overwrites changes.\n")
	for _, key := range c.HostCAs {
		line, err := keyLine(key)
		if err != nil {
			return nil, fmt.Errorf("host CA key: %w", err)
		}
		fmt.Fprintf(&b, "@cert-authority %s %s\n", hosts, line)
	}
	for _, pin := range c.Pinned {
		name, err := store.ParseTargetName(string(pin.Name))
		if err != nil {
			return nil, fmt.Errorf("pinned host: %w", err)
		}
		for _, key := range pin.Keys {
			line, err := keyLine(key)
			if err != nil {
				return nil, fmt.Errorf("pinned host %s: %w", name, err)
			}
			fmt.Fprintf(&b, "%s.direct.%s,[%s.direct.%s]:* %s\n", name, c.Suffix, name, c.Suffix, line)
		}
	}
	return b.Bytes(), nil
}

// keyLine returns key as type and base64, from a key that was parsed anew, so
// that the type is one of the known words whatever implements the interface.
func keyLine(key ssh.PublicKey) (string, error) {
	if key == nil {
		return "", fmt.Errorf("no key given")
	}
	parsed, err := ssh.ParsePublicKey(key.Marshal())
	if err != nil {
		return "", fmt.Errorf("reading key: %w", err)
	}
	if _, ok := parsed.(*ssh.Certificate); ok {
		return "", fmt.Errorf("a certificate stands where a key is wanted")
	}
	return strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(parsed)), "\n"), nil
}

// shellWord writes a checked path as one word of a command that ssh first
// expands (% is its escape) and then gives to the user's shell.
func shellWord(path string) string {
	path = filepath.ToSlash(path)
	if isPlain(path) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "%", "%%") + "'"
}

// sshPath writes a checked path as an argument that ssh expands.
func sshPath(path string) string {
	return `"` + strings.ReplaceAll(path, "%", "%%") + `"`
}

// exclusions returns a negated pattern for each character of unsafeInShell.
func exclusions() string {
	var b strings.Builder
	for _, c := range unsafeInShell {
		fmt.Fprintf(&b, ",!*%c*", c)
	}
	return b.String()
}
