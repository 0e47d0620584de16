package sshconfig_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/client/sshconfig"
)

// TestMain lets the test binary stand in for vaultpam: ssh starts it, by the
// path in the written configuration, with stubEnv set.
func TestMain(m *testing.M) {
	if dir := os.Getenv(stubEnv); dir != "" {
		if err := stub(dir, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "stub:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const stubEnv = "VAULTPAM_TEST_STUB"

// stub writes its arguments to the log in dir. As "cert --ensure" it puts the
// files of dir/next into the home it was told, as "proxy" it connects its
// standard streams with the address in dir/address, if there is one.
func stub(dir string, args []string) error {
	line, err := json.Marshal(args)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	if _, err := log.Write(append(line, '\n')); err != nil {
		return err
	}
	if slices.Contains(args, "cert") {
		return install(filepath.Join(dir, "next"), args[1])
	}
	address, err := os.ReadFile(filepath.Join(dir, "address"))
	if err != nil {
		return nil
	}
	conn, err := net.Dial("tcp", string(address))
	if err != nil {
		return err
	}
	defer conn.Close()
	go func() { // ends with the process
		io.Copy(conn, os.Stdin)
		// ssh is gone: the server has to know, or both would wait for ever.
		conn.(*net.TCPConn).CloseWrite()
	}()
	_, err = io.Copy(os.Stdout, conn)
	return err
}

func install(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(from, entry.Name()))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, entry.Name()), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// program makes path a name of the test binary.
func program(t *testing.T, path string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func newSigner(t testing.TB) (ed25519.PrivateKey, ssh.Signer) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, signer
}

func sample(t testing.TB) sshconfig.Config {
	t.Helper()
	_, ca := newSigner(t)
	return sshconfig.Config{
		Dir:       "/home/carol/.config/vaultpam",
		Program:   "/usr/local/bin/vaultpam",
		Suffix:    "pam",
		RelayHost: "pam.example.eu",
		RelayPort: 2222,
		HostCAs:   []ssh.PublicKey{ca.PublicKey()},
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func apply(t *testing.T, plan sshconfig.Plan, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if err := plan.Apply(); err != nil {
		t.Fatal(err)
	}
}
