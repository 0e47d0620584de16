package ca_test

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
)

// An sshd is the system's OpenSSH server, set up as a target host is: it trusts
// one CA and accepts only principals of its own name. Every connection is a
// process of its own (sshd -i), which ends with the connection.
type sshd struct {
	t       *testing.T
	addr    string
	hostKey ssh.PublicKey
	account string // the account that can log in, wherever the test runs

	// mu guards log, which the processes write to.
	mu  sync.Mutex
	log bytes.Buffer
}

func (s *sshd) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func (s *sshd) lines() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

func startSSHD(t *testing.T, name string, trusted ssh.PublicKey, more ...string) *sshd {
	t.Helper()
	dir := t.TempDir()
	hostKey := newKey(t)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if err := ca.WriteKey(filepath.Join(dir, "host"), hostKey, nil, ""); err != nil {
		t.Fatal(err)
	}
	config := []string{
		"HostKey " + filepath.Join(dir, "host"), "TrustedUserCAKeys " + filepath.Join(dir, "ca.pub"), "PidFile none", "LogLevel VERBOSE",
		"UsePAM no", "StrictModes no", "PermitRootLogin prohibit-password", "AuthenticationMethods publickey", "AuthorizedKeysFile none",
	}
	if me.Uid == "0" {
		config = append(config, "AuthorizedPrincipalsCommand /usr/bin/echo %u@"+name, "AuthorizedPrincipalsCommandUser nobody")
		// Debian's sshd wants this directory, which its service makes.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	} else { // only root's sshd runs a command as another user: the same by a file
		config = append(config, "AuthorizedPrincipalsFile "+filepath.Join(dir, "principals-%u"))
		write(t, filepath.Join(dir, "principals-"+me.Username), me.Username+"@"+name+"\n")
	}
	write(t, filepath.Join(dir, "ca.pub"), string(ssh.MarshalAuthorizedKey(trusted)))
	write(t, filepath.Join(dir, "config"), strings.Join(append(config, more...), "\n")+"\n")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sshd{t: t, addr: listener.Addr().String(), hostKey: hostKey.PublicKey(), account: me.Username}
	var processes sync.WaitGroup
	processes.Go(func() { // ends when the listener closes
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			processes.Go(func() { s.serve(conn.(*net.TCPConn), filepath.Join(dir, "config")) })
		}
	})
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		processes.Wait()
		if t.Failed() {
			t.Logf("sshd of %s says:\n%s", name, s.lines())
		}
	})
	return s
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// serve gives the socket to one sshd process. t.Context ends it should it hang.
func (s *sshd) serve(conn *net.TCPConn, config string) {
	socket, err := conn.File()
	if err != nil {
		s.t.Error(err)
		return
	}
	conn.Close()
	defer socket.Close()
	cmd := exec.CommandContext(s.t.Context(), "/usr/sbin/sshd", "-i", "-e", "-f", config)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = socket, socket, s
	_ = cmd.Run() // an sshd that refuses ends with 255; the client saw it
}

// login tries to log in; from is the client's own address.
func (s *sshd) login(account, from string, key ssh.Signer, cert *ssh.Certificate) (*ssh.Client, error) {
	s.t.Helper()
	signer, err := ssh.NewCertSigner(cert, key)
	if err != nil {
		s.t.Fatal(err)
	}
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}
	conn, err := dialer.DialContext(s.t.Context(), "tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		s.t.Fatal(err)
	}
	c, channels, requests, err := ssh.NewClientConn(conn, s.addr, &ssh.ClientConfig{
		User: account, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.FixedHostKey(s.hostKey),
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	return ssh.NewClient(c, channels, requests), nil
}

// opens reports whether the certificate logs in. A failure that is not sshd's
// refusal of the certificate ends the test: it would prove nothing.
func (s *sshd) opens(account, from string, key ssh.Signer, cert *ssh.Certificate) bool {
	s.t.Helper()
	client, err := s.login(account, from, key, cert)
	if err == nil {
		if err := client.Close(); err != nil {
			s.t.Error(err)
		}
		return true
	}
	if !strings.Contains(err.Error(), "unable to authenticate") {
		s.t.Fatalf("not refused but broken: %v", err)
	}
	return false
}

func (s *sshd) run(key ssh.Signer, cert *ssh.Certificate, command string) string {
	s.t.Helper()
	client, err := s.login(s.account, "127.0.0.1", key, cert)
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := session.Output(command)
	if err != nil {
		s.t.Fatalf("%s: %v", command, err)
	}
	return strings.TrimSpace(string(out))
}
