//go:build unix

package target_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/target"
)

// opensshOptions writes a certificate and known_hosts for a host, and returns
// the options by which ssh and scp use nothing else.
func opensshOptions(t testing.TB, host target.Host, ca ssh.Signer) (options []string, port string) {
	t.Helper()
	dir := t.TempDir()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	certificate := &ssh.Certificate{
		Key: public, Serial: 1, CertType: ssh.UserCert, KeyId: "carol",
		ValidPrincipals: []string{target.Principal(me(t), db1)},
		ValidBefore:     uint64(time.Now().Add(time.Minute).Unix()),
		Permissions:     ssh.Permissions{Extensions: map[string]string{"permit-pty": ""}},
	}
	if err := certificate.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	_, port, err = net.SplitHostPort(host.Address())
	if err != nil {
		t.Fatal(err)
	}
	known := ""
	for _, key := range host.HostKeys() {
		known += "[127.0.0.1]:" + port + " " + string(ssh.MarshalAuthorizedKey(key))
	}
	for name, text := range map[string][]byte{
		"id": pem.EncodeToMemory(block), "id-cert.pub": ssh.MarshalAuthorizedKey(certificate), "known": []byte(known),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return []string{
		"-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
		"-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile=" + filepath.Join(dir, "known"),
		"-o", "GlobalKnownHostsFile=none", "-i", filepath.Join(dir, "id"),
	}, port
}

// TestOpenSSHClient uses both kinds of host as the demo's user does.
func TestOpenSSHClient(t *testing.T) {
	ca := newSigner(t)
	content := bytes.Repeat([]byte("VaultPAM\n"), 1<<15)
	for _, host := range []target.Host{startSshd(t, ca), startBuiltin(t, ca)} {
		t.Run(host.Kind(), func(t *testing.T) {
			options, port := opensshOptions(t, host, ca)
			run := func(want string, name string, args ...string) {
				t.Helper()
				out, err := exec.CommandContext(t.Context(), name, append(options, args...)...).Output()
				if err != nil || string(out) != want {
					t.Errorf("%s %q: %q, %v, want %q", name, args, out, err, want)
				}
			}
			destination := string(me(t)) + "@127.0.0.1"
			run("hello\n", "ssh", "-p", port, destination, "echo hello")
			run("tty\r\n", "ssh", "-tt", "-p", port, destination, "test -t 0 && echo tty")
			dir := t.TempDir()
			file, there, back := filepath.Join(dir, "file"), filepath.Join(dir, "there"), filepath.Join(dir, "back")
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
			// With SFTP, and with the old protocol over a command.
			run("", "scp", "-q", "-P", port, file, destination+":"+there)
			run("", "scp", "-q", "-O", "-P", port, destination+":"+there, back)
			if got, err := os.ReadFile(back); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes came back (%v), want %d", len(got), err, len(content))
			}
		})
	}
}
