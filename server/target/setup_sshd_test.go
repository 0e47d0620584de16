//go:build unix

package target_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/target"
)

// runSshd runs the system's sshd on a tree, as a host's service does, and
// returns its address and log. It opens accounts only by what the tree and the
// options say.
func runSshd(t testing.TB, tr *tree, options ...string) (address string, log *bytes.Buffer, listening func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = listener.Addr().String()
	listener.Close()
	args := []string{"-D", "-e", "-f", tr.conf, "-o", "ListenAddress=" + address, "-o", "UsePAM=" + usePAM(), "-o", "StrictModes=no"}
	for _, option := range options {
		args = append(args, "-o", option)
	}
	command := exec.Command(sshdPath(t), args...)
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	log = new(bytes.Buffer)
	lines := bufio.NewScanner(io.TeeReader(stderr, log))
	t.Cleanup(func() {
		command.Process.Kill()
		for lines.Scan() {
		}
		command.Wait()
	})
	return address, log, func() {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), "Server listening on ") {
				return
			}
		}
		t.Fatalf("sshd ended:\n%s", log)
	}
}

// usePAM is what sshd needs to open an account whose password is locked; an
// ordinary user's can't.
func usePAM() string {
	if os.Geteuid() == 0 {
		return "yes"
	}
	return "no"
}

// TestScriptOnARunningSshd sets a running sshd up and takes it out again.
func TestScriptOnARunningSshd(t *testing.T) {
	ca, emergency := newSigner(t), newSigner(t)
	setup := newSetup(t)
	setup.TargetCAs, setup.EmergencyCA = []ssh.PublicKey{ca.PublicKey()}, emergency.PublicKey()
	for name, config := range map[string]string{"drop-in": plainConfig, "block": withoutInclude(plainConfig)} {
		t.Run(name, func(t *testing.T) {
			tr := newTree(t, []string{"sh"}, setup, config)
			tr.appendMatch(t)
			address, log, listening := runSshd(t, tr, "AuthorizedKeysFile=none")
			listening()
			hostKeys, err := target.Scan(t.Context(), dialer.DialContext, address)
			if err != nil {
				t.Fatal(err)
			}
			opens := func(signer ssh.Signer) bool {
				_, err := connectTo(t, address, hostKeys, me(t), signer)
				return err == nil
			}
			own, foreign := target.Principal(me(t), db1), target.Principal(me(t), "db2")
			if opens(certify(t, ca, own, nil)) {
				t.Fatal("open before the set-up")
			}
			tr.want(t, 0, "sshd was reloaded.")
			listening()
			// An ordinary user's sshd can't run the command as nobody, and refuses.
			asRoot := os.Geteuid() == 0
			if got := opens(certify(t, ca, own, nil)); got != asRoot {
				t.Errorf("target certificate opens: %v, want %v", got, asRoot)
			}
			if got := opens(certify(t, emergency, own, nil)); got != asRoot {
				t.Errorf("emergency certificate opens: %v, want %v", got, asRoot)
			}
			if opens(certify(t, ca, foreign, nil)) {
				t.Error("another target's certificate opens")
			}
			tr.want(t, 0, "sshd was reloaded.", "--undo")
			listening()
			if opens(certify(t, ca, own, nil)) {
				t.Error("open after --undo")
			}
			if t.Failed() {
				t.Logf("sshd said:\n%s", log)
			}
		})
	}
}
