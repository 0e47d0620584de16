package relay_test

import (
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/store"
)

// wake tells those who wait for a change. g.mu is held.
func (g *gate) wake() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// addUser adds a person and returns their ID.
func (g *gate) addUser(handle store.Handle) store.UserID {
	g.mu.Lock()
	defer g.mu.Unlock()
	id := store.UserID(uuid.New())
	g.handles[id] = handle
	return id
}

func (g *gate) grant(handle, login, target string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.grants[handle+" "+login+"@"+target] = true
}

// certify issues a user certificate as the CA does, after change has spoilt it.
func (g *gate) certify(t testing.TB, user store.UserID, key ssh.PublicKey, change func(*ssh.Certificate)) *ssh.Certificate {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.serial++
	now := time.Now()
	cert := &ssh.Certificate{
		Key: key, Serial: g.serial, CertType: ssh.UserCert,
		KeyId:           ca.UserKeyID(g.handles[user], 7).String(),
		ValidPrincipals: []string{user.String()},
		ValidAfter:      uint64(now.Add(-time.Minute).Unix()),
		ValidBefore:     uint64(now.Add(5 * time.Minute).Unix()),
		Permissions: ssh.Permissions{Extensions: map[string]string{
			"permit-pty": "", "permit-port-forwarding": "", "permit-agent-forwarding": "", "permit-X11-forwarding": "",
		}},
	}
	if change != nil {
		change(cert)
	}
	if err := cert.SignCert(rand.Reader, g.user); err != nil {
		t.Fatal(err)
	}
	g.issued[cert.Serial] = ca.Hash(cert)
	return cert
}

// set changes what the gate holds.
func (g *gate) set(f func(*gate)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f(g)
}

// allow makes what every session may do be something else.
func (g *gate) allow(t testing.TB, text string) {
	t.Helper()
	purposes, err := store.ParsePurposes(text)
	if err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.purposes = purposes
	g.wake()
}

func (g *gate) setFail(name string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fail[name] = err
}

// endAll makes Watch say that every session must end.
func (g *gate) endAll(reason store.EndReason) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.sessions {
		select {
		case s.over <- reason:
		default:
		}
	}
}

func (g *gate) order() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.calls)
}

func (g *gate) requests() []relay.StartRequest {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.started)
}

// awaitEnded waits until n sessions have ended.
func (g *gate) awaitEnded(t testing.TB, n int) []relay.Ended {
	t.Helper()
	for {
		g.mu.Lock()
		ended, changed := slices.Clone(g.ended), g.changed
		g.mu.Unlock()
		if len(ended) >= n {
			return ended
		}
		select {
		case <-changed:
		case <-time.After(20 * time.Second):
			t.Fatalf("%d sessions have ended, want %d", len(ended), n)
		}
	}
}
