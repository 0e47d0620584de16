//go:build !windows

package sshconfig_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// A relay is the least that ssh takes for one: host certificates by the host
// CA, user certificates by the user CA, and exit status 0 for any command.
type relay struct {
	address string
	port    int
	key     ssh.PublicKey
}

// startRelay serves on 127.0.0.1 until the test ends, with a host certificate
// for names.
func startRelay(t *testing.T, hostCA ssh.Signer, userCA ssh.PublicKey, names ...string) relay {
	t.Helper()
	_, host := newSigner(t)
	now := uint64(time.Now().Unix())
	cert := &ssh.Certificate{Key: host.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: names, ValidAfter: now - 60, ValidBefore: now + 600}
	if err := cert.SignCert(rand.Reader, hostCA); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewCertSigner(cert, host)
	if err != nil {
		t.Fatal(err)
	}
	checker := &ssh.CertChecker{IsUserAuthority: func(key ssh.PublicKey) bool { return bytes.Equal(key.Marshal(), userCA.Marshal()) }}
	config := &ssh.ServerConfig{PublicKeyCallback: func(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		cert, ok := key.(*ssh.Certificate)
		if !ok {
			return nil, errors.New("want a certificate")
		}
		return nil, checker.CheckCert("u:carol", cert)
	}}
	config.AddHostKey(signer)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { // ends when the listener is closed
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { serve(conn, config) }) // ends with its client
		}
	})
	t.Cleanup(func() {
		listener.Close()
		running.Wait()
	})
	return relay{address: listener.Addr().String(), port: listener.Addr().(*net.TCPAddr).Port, key: host.PublicKey()}
}

func serve(conn net.Conn, config *ssh.ServerConfig) {
	defer conn.Close()
	server, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	defer server.Close()
	go ssh.DiscardRequests(requests) // ends with the connection
	for offered := range channels {
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		for request := range requests {
			request.Reply(true, nil)
			if request.Type == "exec" {
				channel.SendRequest("exit-status", false, []byte{0, 0, 0, 0})
				break
			}
		}
		channel.Close()
		go ssh.DiscardRequests(requests) // ends with the channel
	}
}

// writeUser writes the files of an identity to dir, certified by ca.
func writeUser(t *testing.T, dir string, ca ssh.Signer) {
	t.Helper()
	key, signer := newSigner(t)
	now := uint64(time.Now().Unix())
	cert := &ssh.Certificate{Key: signer.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{"u:carol"}, ValidAfter: now - 60, ValidBefore: now + 600}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "id_ed25519"), privatePEM(t, key))
	writeFile(t, filepath.Join(dir, "id_ed25519-cert.pub"), string(ssh.MarshalAuthorizedKey(cert)))
}

func privatePEM(t *testing.T, key ed25519.PrivateKey) string {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}

func mkdir(t *testing.T, path string) string {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}
