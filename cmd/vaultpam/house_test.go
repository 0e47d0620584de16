package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/bolt"
)

// A house is a real server in this process, and its first administrator's machine.
type house struct {
	t       *testing.T
	https   string
	admin   *machine
	hostKey string // of a host that is not there
}

func newHouse(t *testing.T) *house {
	t.Helper()
	env := server.Environment{
		CreateBackend: func(path string) (store.Backend, error) { return bolt.Create(path) },
		OpenBackend:   func(path string) (store.Backend, error) { return bolt.Open(path) },
		Now:           time.Now, Random: rand.Reader,
	}
	dir := server.Dir(filepath.Join(t.TempDir(), "vaultpam"))
	begun, err := server.Init(t.Context(), env, server.InitRequest{
		Dir: dir, Administrator: "ada", SelfGrant: store.SelfGrantRefused,
		Config: server.Config{
			Name: "pam.example.eu", Suffix: "pam",
			Listen: server.ListenConfig{HTTPS: "127.0.0.1:0", SSH: "127.0.0.1:0"},
			Public: server.PublicConfig{HTTPS: "pam.example.eu:443", SSH: "pam.example.eu:2222"},
			TLS:    server.TLSConfig{Mode: server.TLSSelfSigned}, Log: server.LogConfig{Level: "error"}, CheckTargets: "off",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ready, ended := make(chan string, 1), make(chan error, 1)
	node, err := server.Open(t.Context(), server.Options{
		Environment: env, Dir: dir, Version: "v0", Log: slog.New(slog.DiscardHandler),
		Ready: func(https, _ net.Addr) { ready <- https.String() },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	go func() { ended <- node.Run(ctx) }() // ended by the clean-up
	h := &house{t: t}
	select {
	case h.https = <-ready:
	case err := <-ended:
		t.Fatalf("the server did not serve: %v", errors.Join(err, node.Close()))
	}
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, node.Close()); err != nil {
			t.Error(err)
		}
	})
	key, err := ca.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h.hostKey = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey())))
	h.admin = h.enrolled(begun.Invitation.String())
	return h
}

// handles are who holds which role.
var handles = map[string]string{"administrator": "ada", "engineer": "carol", "approver": "alan", "auditor": "dana", "nobody": "ned"}

// people are the machines of one person of each role, and nobody's.
func (h *house) people() map[string]*machine {
	h.t.Helper()
	all := map[string]*machine{"administrator": h.admin}
	for role, handle := range handles {
		if role == "administrator" {
			continue
		}
		as := role
		if role == "nobody" {
			as = "engineer"
		}
		r := h.admin.run("admin", "user", "add", handle, "--role", as)
		r.want(h.t, exitOK)
		all[role] = h.enrolled(strings.TrimSpace(r.out))
	}
	all["nobody"].run("logout").want(h.t, exitOK)
	return all
}

// enrolled is a machine of somebody who has just enrolled.
func (h *house) enrolled(invitation string) *machine {
	h.t.Helper()
	inv, err := api.ParseInvitation(invitation)
	if err != nil {
		h.t.Fatal(err)
	}
	inv.Host = h.https
	m := newMachine(h.t)
	var said bytes.Buffer
	app := &authenticator{t: h.t, shown: &said}
	main := m.main(app, &said, &said)
	if code := main.Run(h.t.Context(), []string{"enroll", "--code-stdin", inv.String()}); code != exitOK {
		h.t.Fatalf("enrolling ends with %d: %s", code, said.String())
	}
	return m
}

// An authenticator types the code of the secret that was shown.
type authenticator struct {
	t     *testing.T
	shown *bytes.Buffer
	code  io.Reader
}

var secretShown = regexp.MustCompile(`secret=([A-Z2-7]+)`)

func (a *authenticator) Read(p []byte) (int, error) {
	if a.code == nil {
		found := secretShown.FindSubmatch(a.shown.Bytes())
		if found == nil {
			return 0, errors.New("no secret was shown")
		}
		code, err := totp.GenerateCode(string(found[1]), time.Now())
		if err != nil {
			return 0, err
		}
		a.code = strings.NewReader(code + "\n")
	}
	return a.code.Read(p)
}

// soon runs a command that may wait for a person, and does not: what gets so far was
// not refused.
func (m *machine) soon(stdin string, args []string) result {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), 3*time.Second)
	defer cancel()
	return m.runContext(ctx, strings.NewReader(stdin), args...)
}
