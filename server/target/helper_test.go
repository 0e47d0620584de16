package target_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"net"
	"os/user"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/target"
	"github.com/vaultpam/vaultpam/store"
)

const db1 = store.TargetName("db1")

// me is the account that runs the tests: the one that any sshd here can serve.
func me(t testing.TB) store.Login {
	t.Helper()
	account, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return store.Login(account.Username)
}

func newSigner(t testing.TB) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// certify returns a signer with a certificate as the target CA issues it, after
// change has spoilt it.
func certify(t testing.TB, ca ssh.Signer, principal string, change func(*ssh.Certificate)) ssh.Signer {
	t.Helper()
	key := newSigner(t)
	now := time.Now()
	certificate := &ssh.Certificate{
		Key:             key.PublicKey(),
		Serial:          4711,
		CertType:        ssh.UserCert,
		KeyId:           "carol session",
		ValidPrincipals: []string{principal},
		ValidAfter:      uint64(now.Add(-time.Minute).Unix()),
		ValidBefore:     uint64(now.Add(time.Minute).Unix()),
		Permissions: ssh.Permissions{
			CriticalOptions: map[string]string{"source-address": "127.0.0.1/32"},
			Extensions:      map[string]string{"permit-pty": ""},
		},
	}
	if change != nil {
		change(certificate)
	}
	if err := certificate.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewCertSigner(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// connect logs in with the host's keys pinned.
func connect(t testing.TB, host target.Host, login store.Login, signer ssh.Signer) (*ssh.Client, error) {
	t.Helper()
	return connectTo(t, host.Address(), host.HostKeys(), login, signer)
}

func connectTo(t testing.TB, address string, keys []ssh.PublicKey, login store.Login, signer ssh.Signer) (*ssh.Client, error) {
	t.Helper()
	callback, algorithms, err := target.PinnedCallback(keys)
	if err != nil {
		t.Fatal(err)
	}
	client, err := ssh.Dial("tcp", address, &ssh.ClientConfig{
		User:              string(login),
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback:   callback,
		HostKeyAlgorithms: algorithms,
		Timeout:           10 * time.Second,
	})
	if err == nil {
		t.Cleanup(func() { client.Close() })
	}
	return client, err
}

// output runs a command and returns what it wrote.
func output(t testing.TB, client *ssh.Client, command string) string {
	t.Helper()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	out, err := session.Output(command)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return string(out)
}

// stopAtEnd stops a host after the test.
func stopAtEnd(t testing.TB, host target.Host) {
	t.Cleanup(func() {
		if err := host.Stop(); err != nil {
			t.Error(err)
		}
		if conn, err := net.DialTimeout("tcp", host.Address(), time.Second); err == nil {
			conn.Close()
			t.Error("the host still listens after Stop")
		}
	})
}

// drained reads to the end, which comes when everybody at the other side is
// gone. The limit turns a process that lives on into a failure.
func drained(r interface {
	io.Reader
	SetReadDeadline(time.Time) error
}) error {
	if err := r.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, r)
	return err
}
