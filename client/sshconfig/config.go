// Package sshconfig writes the OpenSSH client configuration with which plain
// ssh, scp, rsync, git and Ansible reach targets through VaultPAM: a file of
// its own (ssh_config), a known_hosts file of its own, and one Include line at
// the top of the user's configuration.
//
// Its promises: nothing that a server says can add a directive to a file or
// reach a shell; a user's file is changed by one line, is shown before it is
// touched, and is replaced whole or not at all; and a second run changes
// nothing. It does not read or judge the rest of the user's configuration, and
// it writes neither keys nor certificates (package agent does).
package sshconfig

import (
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
)

// A Config is what the written files say. Suffix, RelayHost, RelayPort, HostCAs
// and Pinned come from the server and are held against their grammars before
// anything is written; Dir and Program come from this machine. There are no
// defaults: a zero field is refused.
type Config struct {
	// Dir is VaultPAM's directory, absolute: the written files, the identity
	// files of package agent. It is passed on as "--home", so that the
	// configuration works from any environment.
	Dir string
	// Program is the absolute path of the vaultpam binary.
	Program string
	// Suffix is what users type after a target's name, without the dot: "pam".
	Suffix string
	// RelayHost is the relay's host name (lower case) or IP address, RelayPort
	// its SSH port.
	RelayHost string
	RelayPort int
	// HostCAs are the keys that sign the relay's host certificates: one, or two
	// while they rotate. See ParseHostCA.
	HostCAs []ssh.PublicKey
	// Pinned are host keys of targets that are reached past the relay. May be empty.
	Pinned []PinnedHost
}

// A PinnedHost is a target and the host keys that it was registered with.
type PinnedHost struct {
	Name store.TargetName
	Keys []ssh.PublicKey
}

// The names of the written files, in Config.Dir.
const (
	ConfigFile     = "ssh_config"
	KnownHostsFile = "known_hosts"
)
