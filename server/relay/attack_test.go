package relay_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/store"
)

// A mute offers a key and does not sign.
type mute struct{ ssh.Signer }

func (mute) Sign(io.Reader, []byte) (*ssh.Signature, error) { return nil, errors.New("no") }

// TestS4IdentityIsTheOneThatSigned offers alice's and bob's certificates without
// a signature, and signs with carol's (CVE-2024-45337).
func TestS4IdentityIsTheOneThatSigned(t *testing.T) {
	w := newWorld(t)
	alice, bob, carol := w.person("alice", nil), w.person("bob", nil), w.person("carol", nil)
	offers := []ssh.AuthMethod{
		ssh.PublicKeys(mute{alice.certified()}), ssh.PublicKeys(mute{bob.certified()}), ssh.PublicKeys(carol.certified()),
	}
	_, banner, err := w.dialCallback(func(*ssh.ClientAuthContext) (ssh.AuthMethod, error) {
		if len(offers) == 0 {
			return nil, errors.New("no more")
		}
		next := offers[0]
		offers = offers[1:]
		return next, nil
	})
	if err != nil {
		t.Fatalf("%v, %s", err, banner)
	}
	requests := w.gate.requests()
	if len(requests) != 1 || requests[0].Identity.Handle != "carol" || requests[0].Identity.User != carol.id {
		t.Errorf("sessions were started for %+v", requests)
	}
	if order := w.gate.order(); slices.Index(order, "Admit") != slices.Index(order, "Start")-1 {
		t.Errorf("an offer was judged as a proof: %v", order)
	}
}

// TestS4SignatureOfAnotherKey shows carol's certificate and signs with another
// key.
func TestS4SignatureOfAnotherKey(t *testing.T) {
	w := newWorld(t)
	carol := w.person("carol", nil)
	if _, _, err := carol.dial(nestedSigner{carol.cert, newKey(t)}); err == nil {
		t.Error("the relay let it in")
	}
	if slices.Contains(w.gate.order(), "Admit") {
		t.Error("the gate was asked about a certificate whose key was not proved")
	}
}

// TestS5OfferWithoutSignature offers a good certificate, does not sign, and goes
// on with the other methods.
func TestS5OfferWithoutSignature(t *testing.T) {
	w := newWorld(t)
	carol := w.person("carol", nil)
	for name, method := range map[string]ssh.AuthMethod{
		"keyboard-interactive": ssh.KeyboardInteractive(noAnswers),
		"password":             ssh.Password("x"),
	} {
		t.Run(name, func(t *testing.T) {
			offers := []ssh.AuthMethod{ssh.PublicKeys(mute{carol.certified()}), method}
			_, _, err := w.dialCallback(func(*ssh.ClientAuthContext) (ssh.AuthMethod, error) {
				if len(offers) == 0 {
					return nil, errors.New("no more")
				}
				next := offers[0]
				offers = offers[1:]
				return next, nil
			})
			if err == nil {
				t.Error("the relay let it in")
			}
			if slices.Contains(w.gate.order(), "Admit") {
				t.Error("the gate was asked about a key that was not proved")
			}
		})
	}
}

// TestS6CertificateRestrictions holds the relay itself to the restrictions of
// the user's certificate, with a target that would allow everything.
func TestS6CertificateRestrictions(t *testing.T) {
	w := newWorld(t, withoutSshd)
	s, seen := transcript(t, func(c ssh.Channel) {
		c.SendRequest("exit-status", false, []byte{0, 0, 0, 0})
		c.Close()
	})
	s.behind(w)
	dave := w.person("dave", func(c *ssh.Certificate) { c.Extensions = nil })
	client, _, err := dave.dial(dave.certified())
	if err != nil {
		t.Fatal(err)
	}
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.RequestPty("xterm", 24, 80, nil); err == nil {
		t.Error("a terminal was given without permit-pty")
	}
	if err := session.Run("true"); err != nil {
		t.Error(err)
	}
	erin := w.person("erin", func(c *ssh.Certificate) {
		c.CriticalOptions = map[string]string{"force-command": "only this"}
	})
	client, _, err = erin.dial(erin.certified())
	if err != nil {
		t.Fatal(err)
	}
	for _, ask := range []func(*ssh.Session) error{
		func(s *ssh.Session) error { return s.Run("anything") },
		func(s *ssh.Session) error { return errors.Join(s.Shell(), s.Wait()) },
		func(s *ssh.Session) error { return s.RequestSubsystem("sftp") },
	} {
		session, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if err := ask(session); err != nil {
			t.Error(err)
		}
	}
	only := string(ssh.Marshal(struct{ S string }{"only this"}))
	for i, r := range seen()[1:] {
		if r.Type != "exec" || r.Payload != only {
			t.Errorf("request %d of a forced command reached the target as %+v", i, r)
		}
	}
	if n := len(seen()); n != 4 {
		t.Errorf("%d requests reached the target, want 4: %+v", n, seen())
	}
}

// TestS6ForcedCommandOnSshd is the same on a real host.
func TestS6ForcedCommandOnSshd(t *testing.T) {
	w := newWorld(t)
	erin := w.person("erin", func(c *ssh.Certificate) {
		c.CriticalOptions = map[string]string{"force-command": "echo forced", "source-address": "127.0.0.0/8"}
	})
	if got := erin.ssh("", "db1.pam", "echo free"); got.stdout != "forced\n" || got.code != 0 {
		t.Errorf("got %+v", got)
	}
	log := w.recorded(0)
	if !strings.Contains(log["1.cast"], "echo forced") || !strings.Contains(log["session.jsonl"], "exec echo free") {
		t.Errorf("the recording does not tell both commands:\n%s\n%s", log["session.jsonl"], log["1.cast"])
	}
}

// TestS7EachSessionHasAKeyOfItsOwn also holds the onward key apart from the
// user's.
func TestS7EachSessionHasAKeyOfItsOwn(t *testing.T) {
	w := newWorld(t, withoutSshd)
	s, _ := transcript(t, func(c ssh.Channel) { c.Close() })
	s.behind(w)
	carol := w.person("carol", nil)
	for range 3 {
		client, _, err := carol.dial(carol.certified())
		if err != nil {
			t.Fatal(err)
		}
		client.Close()
	}
	w.gate.awaitEnded(t, 3)
	keys := map[string]bool{string(carol.signer.PublicKey().Marshal()): true}
	for _, cert := range s.issued() {
		if cert.ValidPrincipals[0] != w.login+"@db1" || cert.CriticalOptions["source-address"] != "127.0.0.1/32" {
			t.Errorf("certificate at the target: %v, %v", cert.ValidPrincipals, cert.CriticalOptions)
		}
		keys[string(cert.Key.Marshal())] = true
	}
	if len(keys) != 4 {
		t.Errorf("three sessions and the user have %d keys, want 4", len(keys))
	}
}

// TestS34SwappedTarget lets another machine answer at the target's address.
func TestS34SwappedTarget(t *testing.T) {
	w := newWorld(t)
	s, _ := transcript(t, func(c ssh.Channel) { c.Close() })
	pinned := w.sshd.HostKeys()[:1]
	s.behind(w)
	w.change(func(a *relay.Admission) { a.HostKeys = pinned })
	carol := w.person("carol", nil)
	got := carol.ssh("", "db1.pam", "true")
	want := "vaultpam: db1 shows a host key that is not the pinned one (" + ssh.FingerprintSHA256(pinned[0]) +
		" pinned, " + ssh.FingerprintSHA256(s.key.PublicKey()) + " shown); nothing was sent"
	if got.code != 255 || !strings.Contains(got.stderr, want) {
		t.Errorf("the user does not read %q:\n%s", want, got.stderr)
	}
	if len(s.issued()) != 0 || slices.Contains(w.gate.order(), "Certify") {
		t.Error("a certificate was issued for a machine that is not the target")
	}
	if reason := w.gate.awaitEnded(t, 1)[0].Reason; reason != store.EndedHostKey {
		t.Errorf("session ended by %s", reason)
	}
}
