package relay_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
)

// A person has a key and a certificate in files, and an ssh configuration.
type person struct {
	w       *world
	id      store.UserID
	dir     string
	private ed25519.PrivateKey
	signer  ssh.Signer // the plain key
	cert    *ssh.Certificate
}

// person adds somebody who may log in on db1.
func (w *world) person(handle string, change func(*ssh.Certificate)) *person {
	w.t.Helper()
	p := &person{w: w, id: w.gate.addUser(store.Handle(handle)), dir: w.t.TempDir()}
	var err error
	if _, p.private, err = ed25519.GenerateKey(rand.Reader); err != nil {
		w.t.Fatal(err)
	}
	if p.signer, err = ssh.NewSignerFromKey(p.private); err != nil {
		w.t.Fatal(err)
	}
	w.gate.grant(handle, w.login, string(db1))
	p.cert = w.gate.certify(w.t, p.id, p.signer.PublicKey(), change)
	p.write()
	return p
}

func (p *person) path(name string) string { return filepath.Join(p.dir, name) }

// write writes what ssh reads.
func (p *person) write() {
	t := p.w.t
	t.Helper()
	block, err := ssh.MarshalPrivateKey(p.private, "")
	if err != nil {
		t.Fatal(err)
	}
	authority := bytes.TrimSpace(ssh.MarshalAuthorizedKey(p.w.gate.host.PublicKey()))
	_, port, _ := net.SplitHostPort(p.w.address)
	config := fmt.Sprintf(`
Host relay
  HostName 127.0.0.1
  Port %[1]s
  HostKeyAlias %[2]s
Host *.pam
  User %[3]s
Host jump.db1.pam
  HostName db1.pam
  HostKeyAlias db1.pam
  ProxyJump relay
Host *.pam !jump.*
  ProxyCommand env RELAY_TEST_PROXY=%[4]s %[5]s $(echo %%h | sed s/.pam$//)
Host *
  IdentityFile %[6]s
  CertificateFile %[6]s-cert.pub
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile %[7]s
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
`, port, relayName, p.w.login, p.w.address, testProgram(t), p.path("id"), p.path("known_hosts"))
	for name, text := range map[string][]byte{
		"id":          pem.EncodeToMemory(block),
		"id-cert.pub": ssh.MarshalAuthorizedKey(p.cert),
		"known_hosts": fmt.Appendf(nil, "@cert-authority *.pam,%s %s\n", relayName, authority),
		"config":      []byte(config),
	} {
		if err := os.WriteFile(p.path(name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func testProgram(t testing.TB) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// command is a program of OpenSSH with the person's configuration.
func (p *person) command(program string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	p.w.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, program, append([]string{"-F", p.path("config")}, args...)...)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// A result is what a command left behind.
type result struct {
	stdout, stderr string
	code           int
}

func run(t testing.TB, cmd *exec.Cmd, stdin string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatalf("%v: %v; it said: %s", cmd.Args, err, stderr.String())
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

func (p *person) ssh(stdin string, args ...string) result {
	p.w.t.Helper()
	return run(p.w.t, p.command("ssh", args...), stdin)
}

// nameWay is the arguments for the third way in.
func (p *person) nameWay() []string {
	return []string{"-l", p.w.login + "+db1", "relay"}
}

// dial connects with x/crypto by the first way, offering these keys.
func (p *person) dial(signers ...ssh.Signer) (*ssh.Client, string, error) {
	return p.w.dial(p.w.login, ssh.PublicKeys(signers...))
}

// certified is the person's key with their certificate.
func (p *person) certified() ssh.Signer {
	p.w.t.Helper()
	signer, err := ssh.NewCertSigner(p.cert, p.signer)
	if err != nil {
		p.w.t.Fatal(err)
	}
	return signer
}

// direct writes a configuration that also knows the host itself, with a
// certificate of the target CA, and returns its path.
func (w *world) direct(p *person) string {
	w.t.Helper()
	now := time.Now()
	cert := &ssh.Certificate{
		Key: p.signer.PublicKey(), Serial: 1, CertType: ssh.UserCert, KeyId: "direct",
		ValidPrincipals: []string{w.login + "@db1"},
		ValidAfter:      uint64(now.Add(-time.Minute).Unix()),
		ValidBefore:     uint64(now.Add(time.Hour).Unix()),
		Permissions:     ssh.Permissions{Extensions: map[string]string{"permit-pty": "", "permit-port-forwarding": ""}},
	}
	if err := cert.SignCert(rand.Reader, w.gate.target); err != nil {
		w.t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(w.sshd.Address())
	if err != nil {
		w.t.Fatal(err)
	}
	known := fmt.Sprintf("direct.test %s", ssh.MarshalAuthorizedKey(w.sshd.HostKeys()[0]))
	ours, err := os.ReadFile(p.path("config"))
	if err != nil {
		w.t.Fatal(err)
	}
	config := fmt.Sprintf(`
Host jumped.test
  ProxyJump direct.test
Host *.test
  HostName %[1]s
  Port %[2]s
  User %[3]s
  HostKeyAlias direct.test
  IdentityFile %[4]s
  CertificateFile %[5]s
  UserKnownHostsFile %[6]s
%[7]s`, host, port, w.login, p.path("id"), p.path("direct-cert.pub"), p.path("direct_known_hosts"), ours)
	for name, text := range map[string][]byte{
		"direct-cert.pub":    ssh.MarshalAuthorizedKey(cert),
		"direct_known_hosts": []byte(known),
		"direct_config":      []byte(config),
	} {
		if err := os.WriteFile(p.path(name), text, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	return p.path("direct_config")
}
