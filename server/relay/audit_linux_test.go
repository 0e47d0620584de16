package relay_test

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestS33SSHAudit has ssh-audit look at the relay and hold it to a policy of all
// that it may offer. Its verdict is a second one, beside what TestS33Algorithms
// reads off the wire: Debian's ssh-audit knows neither Terrapin nor ML-KEM, and
// the policy names strict key exchange and ML-KEM itself.
func TestS33SSHAudit(t *testing.T) {
	w := newWorld(t, withoutSshd)
	host, port, err := net.SplitHostPort(w.address)
	if err != nil {
		t.Fatal(err)
	}
	audit := func(policy string) (string, error) {
		out, err := exec.CommandContext(t.Context(), "ssh-audit", "--no-colors", "-p", port, "-P", policy, host).CombinedOutput()
		return string(out), err
	}
	if out, err := audit("testdata/ssh-audit.policy"); err != nil {
		t.Errorf("ssh-audit: %v\n%s", err, out)
	}
	// The gate bites: with one algorithm less in it the relay does not pass.
	policy, err := os.ReadFile("testdata/ssh-audit.policy")
	if err != nil {
		t.Fatal(err)
	}
	stricter := filepath.Join(t.TempDir(), "policy")
	if err := os.WriteFile(stricter, bytes.Replace(policy, []byte(", ecdh-sha2-nistp521"), nil, 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := audit(stricter); err == nil {
		t.Errorf("ssh-audit passes a relay that offers more than the policy:\n%s", out)
	}
}
