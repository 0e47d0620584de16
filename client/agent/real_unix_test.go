//go:build !windows

package agent_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/client/agent"
)

// startAgent runs the system's ssh-agent until the test ends, and returns its
// socket.
func startAgent(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent") //nolint:usetesting // a socket's path is short, a test's name may not be
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	cmd := exec.Command("ssh-agent", "-D", "-a", socket)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		os.RemoveAll(dir)
	})
	until(t, "the agent's socket", func() bool {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return socket
}

// sshAdd returns what "ssh-add" prints, with the lines of ssh-add -l as
// "comment (TYPE)".
func sshAdd(t *testing.T, socket string, args ...string) string {
	t.Helper()
	cmd := exec.Command("ssh-add", args...)
	cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	// ssh-add -l ends with 1 when the agent is empty.
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1) {
		t.Fatalf("ssh-add %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// listed returns how many entries ssh-add lists that contain text.
func listed(t *testing.T, socket, text string) int {
	t.Helper()
	return strings.Count(sshAdd(t, socket, "-l"), text)
}

// addForeign adds plain keys of somebody else, with comments near to ours.
func addForeign(t *testing.T, socket string, comments ...string) {
	t.Helper()
	for _, comment := range comments {
		path := filepath.Join(t.TempDir(), "key")
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		sshAdd(t, socket, "-q", path)
	}
}

func TestLoadReplacesItsOwnEntryOnly(t *testing.T) {
	socket := startAgent(t)
	client := newClient(t, agent.SystemDialer(socket))
	foreign := []string{"carol@laptop", "vaultpam", "vaultpam:", "vaultpam:pam.example.eu2", "xvaultpam:pam.example.eu", "vaultpam:other.example"}
	addForeign(t, socket, foreign...)
	// A plain key that somebody added under our name goes with the first load.
	addForeign(t, socket, "vaultpam:pam.example.eu")
	issuer := newIssuer(t)
	for range 3 {
		id := issuer.identity(t, time.Now(), time.Hour)
		// The same key with a second certificate, as after a renewal.
		id2 := agent.Identity{Key: id.Key, Cert: issuer.certify(t, id.Cert.Key, time.Now(), 2*time.Hour)}
		for _, id := range []agent.Identity{id, id2, id2} {
			if err := client.Load(t.Context(), id.Key, id.Cert, time.Now()); err != nil {
				t.Fatal(err)
			}
			if line := string(ssh.MarshalAuthorizedKey(id.Cert)); !strings.Contains(sshAdd(t, socket, "-L"), strings.TrimSpace(line)+" vaultpam:pam.example.eu\n") {
				t.Fatalf("the last certificate is not there:\n%s", sshAdd(t, socket, "-L"))
			}
			if all, certs := listed(t, socket, "\n"), listed(t, socket, "ED25519-CERT"); all != len(foreign)+1 || certs != 1 {
				t.Fatalf("%d entries, %d certificates:\n%s", all, certs, sshAdd(t, socket, "-l"))
			}
		}
	}
	if err := client.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all, certs := listed(t, socket, "\n"), listed(t, socket, "ED25519-CERT"); all != len(foreign) || certs != 0 {
		t.Errorf("after removal:\n%s", sshAdd(t, socket, "-l"))
	}
	if err := client.Remove(t.Context()); err != nil {
		t.Errorf("removing nothing: %v", err)
	}
}

// TestS36EntryEndsWithTheCertificate: the agent forgets the entry by itself.
func TestS36EntryEndsWithTheCertificate(t *testing.T) {
	socket := startAgent(t)
	client := newClient(t, agent.SystemDialer(socket))
	now := time.Now().Truncate(time.Second)
	id := newIssuer(t).identity(t, now, 2*time.Second)
	if err := client.Load(t.Context(), id.Key, id.Cert, now); err != nil {
		t.Fatal(err)
	}
	if n := listed(t, socket, "vaultpam:pam.example.eu (ED25519-CERT)"); n != 1 {
		t.Fatalf("%d entries:\n%s", n, sshAdd(t, socket, "-l"))
	}
	until(t, "the agent to be empty", func() bool { return listed(t, socket, "no identities") == 1 })
}

func TestNoAgent(t *testing.T) {
	dir := t.TempDir()
	gone := filepath.Join(dir, "gone")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: gone, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	listener.Close()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	id := newIssuer(t).identity(t, time.Now(), time.Hour)
	for _, socket := range []string{"", filepath.Join(dir, "never"), gone, file, dir, strings.Repeat("x", 200)} {
		client := newClient(t, agent.SystemDialer(socket))
		for name, err := range map[string]error{
			"Load":   client.Load(t.Context(), id.Key, id.Cert, time.Now()),
			"Remove": client.Remove(t.Context()),
		} {
			if !errors.Is(err, agent.ErrNoAgent) {
				t.Errorf("%s on %q: %v", name, socket, err)
			}
		}
	}
}

// TestAgentSigns: the entry can do what it is for.
func TestAgentSigns(t *testing.T) {
	socket := startAgent(t)
	dial := agent.SystemDialer(socket)
	id := newIssuer(t).identity(t, time.Now(), time.Hour)
	if err := newClient(t, dial).Load(t.Context(), id.Key, id.Cert, time.Now()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "cert.pub")
	if err := os.WriteFile(path, ssh.MarshalAuthorizedKey(id.Cert), 0o600); err != nil {
		t.Fatal(err)
	}
	// ssh-add -T signs with the agent's key and checks the signature.
	cmd := exec.CommandContext(context.Background(), "ssh-add", "-T", path)
	cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
