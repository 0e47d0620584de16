package relay_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/server/target"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

const (
	relayName = "pam.example.eu"
	db1       = store.TargetName("db1")
)

// TestMain lets the test's own program be the ProxyCommand, as vaultpam proxy is.
func TestMain(m *testing.M) {
	if address := os.Getenv("RELAY_TEST_PROXY"); address != "" {
		if err := proxy(address, os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func proxy(address, name string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(conn, api.FormatPreamble(name)); err != nil {
		return err
	}
	go func() {
		io.Copy(conn, os.Stdin)
		conn.(*net.TCPConn).CloseWrite()
	}()
	_, err = io.Copy(os.Stdout, conn)
	return err
}

// A world is a relay with a real sshd behind it.
type world struct {
	t          testing.TB
	gate       *gate
	dir        string // of recordings
	recordings *recording.Store
	relay      *relay.Relay
	address    string
	sshd       *target.Sshd
	login      string
	log        *bytes.Buffer // read it when the relay has stopped
	stop       func()        // stops the relay; may be called again
}

type option func(*relay.Config, *target.SshdConfig)

func newWorld(t testing.TB, options ...option) *world {
	t.Helper()
	account, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, gate: newGate(t), dir: filepath.Join(t.TempDir(), "recordings"), login: account.Username, log: new(bytes.Buffer)}
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	config := relay.Config{Gate: w.gate, Name: relayName, Suffix: "pam", Log: log, Now: time.Now, Rand: rand.Reader}
	host := target.SshdConfig{
		Dir: t.TempDir(), Target: db1, CAs: []ssh.PublicKey{w.gate.target.PublicKey()},
		Logins: []store.Login{store.Login(w.login)},
		// A bash that believes to be inside of another reads no .bashrc: what the
		// tester's says or takes has no place here.
		ExtraConfig: []string{"SetEnv SHLVL=2"},
	}
	for _, o := range options {
		o(&config, &host)
	}
	if w.recordings, err = recording.Open(w.dir, recording.Options{Now: time.Now, Log: log}); err != nil {
		t.Fatal(err)
	}
	config.Recordings = w.recordings
	if host.Target != "" {
		w.startSshd(host)
	}
	if w.relay, err = relay.New(config); err != nil {
		t.Fatal(err)
	}
	w.serve()
	return w
}

// withoutSshd is for tests that put a stub behind the relay.
func withoutSshd(_ *relay.Config, host *target.SshdConfig) { host.Target = "" }

func (w *world) startSshd(host target.SshdConfig) {
	w.t.Helper()
	var err error
	if w.sshd, err = target.StartSshd(w.t.Context(), host); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := w.sshd.Stop(); err != nil {
			w.t.Error(err)
		}
	})
	w.gate.targets[db1] = relay.Admission{Target: db1, Address: w.sshd.Address(), HostKeys: w.sshd.HostKeys(), Egress: "127.0.0.1"}
}

// withGate puts a gate in front of the world's own.
func withGate(wrap func(*gate) relay.Gate) option {
	return func(c *relay.Config, _ *target.SshdConfig) { c.Gate = wrap(c.Gate.(*gate)) }
}

// serve runs the relay until the test ends.
func (w *world) serve() {
	w.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.address = listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- w.relay.Serve(ctx, listener) }()
	stopped := false
	w.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-served:
			if err != nil {
				w.t.Errorf("Serve: %v", err)
			}
		case <-time.After(15 * time.Second):
			w.t.Error("Serve did not return within 15 s")
		}
		w.recordings.Close()
		w.checkPairs()
	}
	w.t.Cleanup(w.stop)
}

// checkPairs holds every session that started to exactly one end.
func (w *world) checkPairs() {
	w.gate.mu.Lock()
	defer w.gate.mu.Unlock()
	ends := map[store.SessionID]int{}
	for _, e := range w.gate.ended {
		ends[e.Admission.Session]++
	}
	for id := range w.gate.sessions {
		if ends[id] != 1 {
			w.t.Errorf("session %v started and has %d ends, want 1", id, ends[id])
		}
	}
	if len(ends) != len(w.gate.sessions) {
		w.t.Errorf("%d sessions ended, %d started", len(ends), len(w.gate.sessions))
	}
}

// dial connects to db1 by the first way and returns the banners too.
func (w *world) dial(user string, auth ...ssh.AuthMethod) (*ssh.Client, string, error) {
	w.t.Helper()
	return w.connect(&ssh.ClientConfig{User: user, Auth: auth})
}

// dialCallback does with methods that are chosen one after the other.
func (w *world) dialCallback(next ssh.ClientAuthCallback) (*ssh.Client, string, error) {
	w.t.Helper()
	return w.connect(&ssh.ClientConfig{User: w.login, AuthCallback: next})
}

func (w *world) connect(config *ssh.ClientConfig) (*ssh.Client, string, error) {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.address)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := io.WriteString(conn, api.FormatPreamble("db1")); err != nil {
		w.t.Fatal(err)
	}
	var banner strings.Builder
	config.HostKeyCallback = w.checkHost().CheckHostKey
	config.BannerCallback = func(s string) error {
		banner.WriteString(s)
		return nil
	}
	c, channels, requests, err := ssh.NewClientConn(conn, "db1.pam:22", config)
	if err != nil {
		return nil, banner.String(), err
	}
	client := ssh.NewClient(c, channels, requests)
	w.t.Cleanup(func() { client.Close() })
	return client, banner.String(), nil
}

func (w *world) checkHost() *ssh.CertChecker {
	return &ssh.CertChecker{IsHostAuthority: func(auth ssh.PublicKey, _ string) bool {
		return bytes.Equal(auth.Marshal(), w.gate.host.PublicKey().Marshal())
	}}
}

// recorded returns the text of all files of the n-th session that ended.
func (w *world) recorded(n int) map[string]string {
	w.t.Helper()
	ended := w.gate.awaitEnded(w.t, n+1)[n]
	texts := map[string]string{}
	dir := filepath.Join(w.dir, ended.Admission.Session.String())
	entries, err := os.ReadDir(dir)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			w.t.Fatal(err)
		}
		texts[e.Name()] = string(text)
	}
	return texts
}

func rsaKey(t testing.TB) ssh.PublicKey {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
