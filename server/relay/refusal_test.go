package relay_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/server/target"
	"github.com/vaultpam/vaultpam/store"
)

// TestRefusalsAreSentences holds what a user of OpenSSH reads, and what the
// ledger then says.
func TestRefusalsAreSentences(t *testing.T) {
	closed := closedPort(t)
	for _, test := range []struct {
		name   string
		spoil  func(*world, *person)
		args   func(*world) []string
		want   []string
		reason store.EndReason // "" where no session started
	}{
		{
			name: "expired certificate",
			spoil: func(w *world, p *person) {
				p.cert = w.gate.certify(w.t, p.id, p.signer.PublicKey(), func(c *ssh.Certificate) {
					c.ValidAfter, c.ValidBefore = uint64(time.Now().Add(-8*time.Minute).Unix()), uint64(time.Now().Add(-3*time.Minute).Unix())
				})
			},
			want: []string{"vaultpam: your certificate expired", "hint: run: vaultpam login"},
		},
		{
			name:  "no certificate at all",
			spoil: func(_ *world, p *person) { p.cert = nil },
			want:  []string{"vaultpam: no VaultPAM certificate was offered", "hint: vaultpam login"},
		},
		{
			name: "a certificate of somebody else's CA",
			spoil: func(w *world, p *person) {
				p.cert.ValidPrincipals = []string{"carol"}
				if err := p.cert.SignCert(zeroes{}, newKey(w.t)); err != nil {
					w.t.Fatal(err)
				}
			},
			want: []string{"vaultpam: the certificate that was offered is not a VaultPAM user certificate", "hint: vaultpam login"},
		},
		{
			name: "login that is not granted",
			args: func(*world) []string { return []string{"-l", "nobody", "db1.pam"} },
			want: []string{"vaultpam: carol may not log in as nobody on db1: no grant names that login"},
		},
		{
			name: "target that does not exist",
			args: func(*world) []string { return []string{"db2.pam"} },
			want: []string{"vaultpam: there is no target db2", "hint: run: vaultpam targets"},
		},
		{
			name: "login that is no login",
			args: func(*world) []string { return []string{"-l", "a b", "db1.pam"} },
			want: []string{`vaultpam: login "a b": want 1 to 64`},
		},
		{
			name:  "ledger that can't decide",
			spoil: func(w *world, _ *person) { w.gate.setFail("Start", errors.New("secret of the house")) },
			want:  []string{"vaultpam: the server can't decide at the moment, so nothing was started"},
		},
		{
			name:   "unreachable",
			spoil:  func(w *world, _ *person) { w.change(func(a *relay.Admission) { a.Address = closed }) },
			want:   []string{"vaultpam: db1 (" + closed + ") can't be reached: connection refused"},
			reason: store.EndedUnreachable,
		},
		{
			name: "name that does not resolve",
			spoil: func(w *world, _ *person) {
				w.change(func(a *relay.Admission) { a.Address = "no-such-host.invalid:22" })
			},
			want:   []string{"vaultpam: db1 (no-such-host.invalid:22) can't be reached: "},
			reason: store.EndedUnreachable,
		},
		{
			name:   "source address that the host sees differently",
			spoil:  func(w *world, _ *person) { w.gate.set(func(g *gate) { g.source = "10.0.0.7/32" }) },
			want:   []string{"vaultpam: db1 refused the certificate for ", ": the relay came from 127.0.0.1, the certificate was issued for 10.0.0.7/32", "egress address"},
			reason: store.EndedRefusedByTarget,
		},
		{
			name:   "host that does not trust the CA",
			spoil:  func(w *world, _ *person) { w.gate.set(func(g *gate) { g.target = newKey(w.t) }) },
			want:   []string{"vaultpam: db1 refused the certificate for ", "(the relay came from 127.0.0.1, the certificate was issued for 127.0.0.1/32)", "vaultpamd target setup db1"},
			reason: store.EndedRefusedByTarget,
		},
		{
			name: "kind of host key that is gone",
			spoil: func(w *world, _ *person) {
				w.change(func(a *relay.Admission) { a.HostKeys = []ssh.PublicKey{rsaKey(w.t)} })
			},
			want:   []string{"vaultpam: db1 has no host key of a pinned kind; nothing was sent"},
			reason: store.EndedHostKey,
		},
		{
			name:   "no pinned host key",
			spoil:  func(w *world, _ *person) { w.change(func(a *relay.Admission) { a.HostKeys = nil }) },
			want:   []string{"vaultpam: no usable host key is pinned for db1"},
			reason: store.EndedHostKey,
		},
		{
			name: "recordings that can't be made",
			spoil: func(w *world, _ *person) {
				if err := os.Remove(w.dir); err != nil {
					w.t.Fatal(err)
				}
			},
			want:   []string{"vaultpam: the recording can't go on (no such file or directory); the session was ended"},
			reason: store.EndedByRecorder,
		},
		{
			name: "relay itself",
			args: func(*world) []string { return []string{"relay", "true"} },
			want: []string{"vaultpam: this is the relay itself, not a target"},
		},
		{
			name: "jump to a host that is no target",
			args: func(*world) []string {
				return []string{"-o", "ProxyJump=relay", "-o", "ProxyCommand=none", "example.com"}
			},
			want: []string{`vaultpam: "example.com" port 22 can't be reached through the relay`},
		},
		{
			name: "jump to another port",
			args: func(*world) []string { return []string{"-W", "db1.pam:443", "relay"} },
			want: []string{`vaultpam: "db1.pam" port 443 can't be reached through the relay`},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			carol := w.person("carol", nil)
			if test.spoil != nil {
				test.spoil(w, carol)
				if carol.cert == nil {
					if err := os.Remove(carol.path("id-cert.pub")); err != nil {
						t.Fatal(err)
					}
				} else {
					carol.write()
				}
			}
			args := []string{"db1.pam"}
			if test.args != nil {
				args = test.args(w)
			}
			got := carol.ssh("", args...)
			if got.code == 0 {
				t.Error("ssh succeeded")
			}
			for _, want := range test.want {
				if !strings.Contains(got.stderr, want) {
					t.Errorf("the user does not read %q:\n%s", want, got.stderr)
				}
				if n := strings.Count(got.stderr, want); n > 1 {
					t.Errorf("the user reads %q %d times", want, n)
				}
			}
			if strings.Contains(got.stderr, "secret of the house") {
				t.Error("internal text reached the user")
			}
			w.stop()
			var reason store.EndReason
			for _, e := range w.gate.ended {
				reason = e.Reason
			}
			if reason != test.reason || len(w.gate.ended) > 1 {
				t.Errorf("%d sessions, the last ended by %q, want %q", len(w.gate.ended), reason, test.reason)
			}
		})
	}
}

// change changes what the gate says of db1.
func (w *world) change(f func(*relay.Admission)) {
	w.gate.mu.Lock()
	defer w.gate.mu.Unlock()
	a := w.gate.targets[db1]
	f(&a)
	w.gate.targets[db1] = a
}

// closedPort is an address on which nobody listens.
func closedPort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return l.Addr().String()
}

// TestTargetThatNeverSpeaks holds the deadline of the onward handshake.
func TestTargetThatNeverSpeaks(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w := newWorld(t, func(c *relay.Config, _ *target.SshdConfig) { c.Limits.Connect = 500 * time.Millisecond })
	carol := w.person("carol", nil)
	w.change(func(a *relay.Admission) { a.Address = l.Addr().String() })
	got := carol.ssh("", "db1.pam")
	if want := fmt.Sprintf("vaultpam: db1 (%s) answers but no SSH connection came about", l.Addr()); got.code != 255 || !strings.Contains(got.stderr, want) {
		t.Errorf("the user does not read %q:\n%s", want, got.stderr)
	}
	if reason := w.gate.awaitEnded(t, 1)[0].Reason; reason != store.EndedUnreachable {
		t.Errorf("session ended by %s", reason)
	}
}

func TestNewRefusesNil(t *testing.T) {
	if _, err := relay.New(relay.Config{}); err == nil || !strings.Contains(err.Error(), "no gate was given") {
		t.Errorf("New of nothing: %v", err)
	}
}

// zeroes is a source of no randomness, for nonces that nobody looks at.
type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
