package server_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/target"
	"github.com/vaultpam/vaultpam/store"
)

// A company is a running server with one engineer, one target, and a second
// sshd to jump through.
type company struct {
	node      *benchNode
	login     string
	home      string // of vaultpam
	config    string // of ssh, for the ways without VaultPAM
	authority ssh.Signer
	carol     *benchUser
	host      *target.Sshd
	jump      *target.Sshd
}

func newCompany(b *testing.B) *company {
	b.Helper()
	me, err := user.Current()
	if err != nil {
		b.Fatal(err)
	}
	c := &company{node: startNode(b), login: me.Username, home: filepath.Join(b.TempDir(), "home")}
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	if c.authority, err = ssh.NewSignerFromKey(private); err != nil {
		b.Fatal(err)
	}
	c.host, c.jump = c.startSshd(b, "bench"), c.startSshd(b, "jump")
	c.carol = c.node.addUser(b, "carol")
	c.register(b)
	c.writeHome(b)
	c.writeConfig(b)
	return c
}

// startSshd starts an sshd that trusts the relay's certificates and those by
// which it is reached without the relay.
func (c *company) startSshd(b *testing.B, name string) *target.Sshd {
	b.Helper()
	data, err := os.ReadFile(filepath.Join(c.node.dir, "keys", "target-ca.pub"))
	if err != nil {
		b.Fatal(err)
	}
	ca, _, _, _, err := ssh.ParseAuthorizedKey(data)
	if err != nil {
		b.Fatal(err)
	}
	s, err := target.StartSshd(b.Context(), target.SshdConfig{
		Dir: b.TempDir(), Target: store.TargetName(name), CAs: []ssh.PublicKey{ca, c.authority.PublicKey()},
		Logins: []store.Login{store.Login(c.login)},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Stop(); err != nil {
			b.Error(err)
		}
	})
	return s
}

// register makes the host a target and grants it to carol.
func (c *company) register(b *testing.B) {
	b.Helper()
	admin := c.node.admin.client
	add := api.AddTargetRequest{Name: "bench", Address: c.host.Address(), Logins: []string{c.login}}
	for _, key := range c.host.HostKeys() {
		add.HostKeys = append(add.HostKeys, authorizedLine(key))
	}
	if _, err := admin.AddTarget(b.Context(), add); err != nil {
		b.Fatal(err)
	}
	if _, err := admin.AddGrant(b.Context(), api.Grant{User: "carol", Target: "bench", Logins: []string{c.login}}); err != nil {
		b.Fatal(err)
	}
}

// writeHome is carol's machine after `vaultpam enroll` and `vaultpam config ssh`.
func (c *company) writeHome(b *testing.B) {
	b.Helper()
	home, err := client.OpenHome(c.home, nil)
	if err != nil {
		b.Fatal(err)
	}
	info, err := c.carol.client.Info(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	settings, err := client.NewSettings(c.carol.client.Server(), c.carol.pin, "carol", info)
	if err != nil {
		b.Fatal(err)
	}
	if err := home.SaveSettings(settings); err != nil {
		b.Fatal(err)
	}
	if _, err := home.SaveSession(b.Context(), c.carol.session); err != nil {
		b.Fatal(err)
	}
	c.vaultpam(b, "config", "ssh", "--yes", "--file", filepath.Join(b.TempDir(), "config"))
}

// renew gets a fresh certificate, so that none is renewed while ssh is timed.
func (c *company) renew(b *testing.B) {
	b.Helper()
	c.vaultpam(b, "cert", "--quiet")
}

func (c *company) vaultpam(b *testing.B, args ...string) {
	b.Helper()
	cmd := exec.Command(c.node.program("vaultpam"), append([]string{"--home", c.home}, args...)...)
	cmd.Env = append(os.Environ(), "VAULTPAM_KEYRING=off", "SSH_AUTH_SOCK=")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("vaultpam %v: %v\n%s", args, err, out)
	}
}

// writeConfig writes the ssh configuration of the ways without VaultPAM, and of
// relay-bare.
func (c *company) writeConfig(b *testing.B) {
	b.Helper()
	dir := b.TempDir()
	c.config = filepath.Join(dir, "config")
	c.writeIdentity(b, filepath.Join(dir, "id"))
	var known bytes.Buffer
	for _, s := range []*target.Sshd{c.host, c.jump} {
		host, port, _ := strings.Cut(s.Address(), ":")
		for _, key := range s.HostKeys() {
			fmt.Fprintf(&known, "[%s]:%s %s\n", host, port, authorizedLine(key))
		}
	}
	_, hostPort, _ := strings.Cut(c.host.Address(), ":")
	_, jumpPort, _ := strings.Cut(c.jump.Address(), ":")
	text := strings.NewReplacer("DIR", dir, "HOME", c.home, "LOGIN", c.login, "HOSTPORT", hostPort, "JUMPPORT", jumpPort,
		"VAULTPAM", c.node.program("vaultpam")).Replace(`
Host direct direct-curve25519 jump jump-curve25519
    Port HOSTPORT
Host hop hop-curve25519
    Port JUMPPORT
Host jump
    ProxyJump hop
Host jump-curve25519
    ProxyJump hop-curve25519
Host *-curve25519
    KexAlgorithms curve25519-sha256
Host relay-bare
    HostKeyAlias bench.pam
    ProxyCommand VAULTPAM --home HOME proxy -- bench.pam 22
    IdentityFile HOME/id_ed25519
    CertificateFile HOME/id_ed25519-cert.pub
    UserKnownHostsFile HOME/known_hosts
Host * !relay-bare
    IdentityFile DIR/id
    CertificateFile DIR/id-cert.pub
    UserKnownHostsFile DIR/known_hosts
Host *
    HostName 127.0.0.1
    User LOGIN
    IdentitiesOnly yes
    StrictHostKeyChecking yes
    GlobalKnownHostsFile /dev/null
    UpdateHostKeys no
`)
	for path, data := range map[string]string{c.config: text, filepath.Join(dir, "known_hosts"): known.String()} {
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			b.Fatal(err)
		}
	}
}

// writeIdentity writes a key and a certificate that opens both hosts for an hour.
func (c *company) writeIdentity(b *testing.B, path string) {
	b.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		b.Fatal(err)
	}
	cert := &ssh.Certificate{
		Key: signer.PublicKey(), CertType: ssh.UserCert, KeyId: "bench",
		ValidPrincipals: []string{c.login + "@bench", c.login + "@jump"},
		ValidAfter:      uint64(time.Now().Add(-time.Minute).Unix()), ValidBefore: uint64(time.Now().Add(time.Hour).Unix()),
		Permissions: ssh.Permissions{Extensions: map[string]string{"permit-port-forwarding": ""}},
	}
	if err := cert.SignCert(rand.Reader, c.authority); err != nil {
		b.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		b.Fatal(err)
	}
	for name, data := range map[string][]byte{path: pem.EncodeToMemory(block), path + "-cert.pub": ssh.MarshalAuthorizedKey(cert)} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			b.Fatal(err)
		}
	}
}

func authorizedLine(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}
