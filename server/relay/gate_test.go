package relay_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/store"
)

// A gate is a ledger in memory: it keeps what it issued, decides by a list of
// grants, and writes down in which order it was called.
type gate struct {
	user, target, host ssh.Signer // the authorities

	mu       sync.Mutex // guards the fields below
	calls    []string
	serial   uint64
	issued   map[uint64][32]byte
	handles  map[store.UserID]store.Handle
	grants   map[string]bool // "handle login@target"
	targets  map[store.TargetName]relay.Admission
	source   string // of target certificates; the target's egress if empty
	fail     map[string]error
	touch    map[store.TargetName]chan error // of targets that want one
	purposes store.Purposes                  // of every session
	started  []relay.StartRequest
	keys     []ssh.PublicKey // that were certified
	sessions map[store.SessionID]*gateSession
	ended    []relay.Ended
	changed  chan struct{} // closed and replaced at every End and Start
}

type gateSession struct {
	identity relay.Identity
	errand   bool // the server's own; there is no identity then
	over     chan store.EndReason
}

var _ relay.Gate = (*gate)(nil)

func newGate(t testing.TB) *gate {
	t.Helper()
	return &gate{
		user: newKey(t), target: newKey(t), host: newKey(t),
		issued:   map[uint64][32]byte{},
		handles:  map[store.UserID]store.Handle{},
		grants:   map[string]bool{},
		targets:  map[store.TargetName]relay.Admission{},
		fail:     map[string]error{},
		touch:    map[store.TargetName]chan error{},
		sessions: map[store.SessionID]*gateSession{},
		purposes: store.DefaultPurposes(),
		changed:  make(chan struct{}),
	}
}

func newKey(t testing.TB) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// call writes a call down and returns the error that it is to have. The mutex
// is held on return.
func (g *gate) call(name string) error {
	g.mu.Lock()
	g.calls = append(g.calls, name)
	return g.fail[name]
}

func refused(message, hint string) error {
	return fmt.Errorf("deciding: %w", &access.Refusal{Kind: access.Forbidden, Message: message, Hint: hint})
}

func (g *gate) Admit(_ context.Context, cert *ssh.Certificate, source netip.Addr) (relay.Identity, error) {
	err := g.call("Admit")
	defer g.mu.Unlock()
	if err != nil {
		return relay.Identity{}, err
	}
	user, err := ca.CheckUser(cert, g.user.PublicKey(), time.Now(), source)
	switch {
	case errors.Is(err, ca.ErrExpired):
		return relay.Identity{}, refused("your certificate expired", "run: vaultpam login")
	case err != nil:
		return relay.Identity{}, refused("your certificate is not valid: "+err.Error(), "run: vaultpam login")
	}
	if hash, ok := g.issued[cert.Serial]; !ok || hash != ca.Hash(cert) {
		return relay.Identity{}, refused("your certificate is not in the ledger", "")
	}
	handle, ok := g.handles[user]
	if !ok {
		return relay.Identity{}, refused("you were removed", "")
	}
	return relay.Identity{User: user, Handle: handle, Certificate: store.Index(cert.Serial), Cert: cert}, nil
}

// AwaitTouch asks for one where the gate is to want it, and waits for it.
func (g *gate) AwaitTouch(ctx context.Context, r relay.StartRequest, ask func(string)) error {
	g.mu.Lock()
	touched := g.touch[r.Target]
	g.mu.Unlock()
	if touched == nil {
		return nil
	}
	ask("https://pam.example/signin/x")
	select {
	case err := <-touched:
		return err
	case <-ctx.Done():
		return nil
	}
}

func (g *gate) Start(_ context.Context, r relay.StartRequest) (*relay.Admission, error) {
	err := g.call("Start")
	defer g.mu.Unlock()
	if err != nil {
		return nil, err
	}
	a, ok := g.targets[r.Target]
	if !ok {
		return nil, refused(fmt.Sprintf("there is no target %s", r.Target), "run: vaultpam targets")
	}
	if !g.grants[fmt.Sprintf("%s %s@%s", r.Identity.Handle, r.Login, r.Target)] {
		return nil, refused(fmt.Sprintf("%s may not log in as %s on %s: no grant names that login", r.Identity.Handle, r.Login, r.Target), "run: vaultpam targets")
	}
	a.Session, a.Login = store.SessionID(uuid.New()), r.Login
	g.started = append(g.started, r)
	g.sessions[a.Session] = &gateSession{identity: r.Identity, over: make(chan store.EndReason, 1)}
	g.wake()
	return &a, nil
}

func (g *gate) Certify(_ context.Context, a *relay.Admission, key ssh.PublicKey) (*ssh.Certificate, error) {
	err := g.call("Certify")
	defer g.mu.Unlock()
	if err != nil {
		return nil, err
	}
	g.keys = append(g.keys, key)
	own, keyID := &ssh.Certificate{}, ca.ErrandKeyID(a.Session)
	if session := g.sessions[a.Session]; !session.errand {
		own, keyID = session.identity.Cert, ca.TargetKeyID(session.identity.Handle, a.Session)
	} else if a.Identity != (relay.Identity{}) {
		return nil, errors.New("an errand with an identity")
	}
	options := maps.Clone(own.CriticalOptions)
	if options == nil {
		options = map[string]string{}
	}
	options["source-address"] = g.source
	if g.source == "" {
		options["source-address"] = a.Egress + "/32"
	}
	now := time.Now()
	g.serial++
	cert := &ssh.Certificate{
		Key: key, Serial: g.serial, CertType: ssh.UserCert,
		KeyId:           keyID.String(),
		ValidPrincipals: []string{string(a.Login) + "@" + string(a.Target)},
		ValidAfter:      uint64(now.Add(-time.Minute).Unix()),
		ValidBefore:     uint64(now.Add(time.Minute).Unix()),
		Permissions:     ssh.Permissions{CriticalOptions: options, Extensions: own.Extensions},
	}
	if err := cert.SignCert(rand.Reader, g.target); err != nil {
		return nil, err
	}
	return cert, nil
}

func (g *gate) Watch(ctx context.Context, a *relay.Admission) (store.EndReason, error) {
	err := g.call("Watch")
	session := g.sessions[a.Session]
	g.mu.Unlock()
	if err != nil {
		return "", err
	}
	select {
	case reason := <-session.over:
		return reason, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (g *gate) Purposes(context.Context, *relay.Admission) (store.Purposes, error) {
	err := g.call("Purposes")
	defer g.mu.Unlock()
	return g.purposes, err
}

func (g *gate) AwaitPurposes(ctx context.Context, _ *relay.Admission, had store.Purposes) (store.Purposes, error) {
	for {
		g.mu.Lock()
		has, changed := g.purposes, g.changed
		g.mu.Unlock()
		if has.String() != had.String() {
			return has, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (g *gate) End(ctx context.Context, e relay.Ended) error {
	err := g.call("End")
	defer g.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	g.ended = append(g.ended, e)
	g.wake()
	return err
}

func (g *gate) HostKey(_ context.Context, name string) (ssh.Signer, error) {
	err := g.call("HostKey")
	defer g.mu.Unlock()
	if err != nil {
		return nil, err
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, err
	}
	cert := &ssh.Certificate{
		Key: key.PublicKey(), CertType: ssh.HostCert, KeyId: "vaultpam:host:" + name,
		ValidPrincipals: []string{name},
		ValidAfter:      uint64(time.Now().Add(-time.Minute).Unix()),
		ValidBefore:     uint64(time.Now().Add(time.Hour).Unix()),
	}
	if err := cert.SignCert(rand.Reader, g.host); err != nil {
		return nil, err
	}
	return ssh.NewCertSigner(cert, key)
}
