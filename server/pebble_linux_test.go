package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/server/api"
)

// A pebble is Let's Encrypt's own test server, which checks names as the real one
// does, but on loopback.
type pebble struct {
	t                *testing.T
	directory, roots string // its URLs, and the file with the root of its own certificate
	management       string
	client           *http.Client
	log              *scroll
}

// pebbleProgram is where .ci/deps puts it.
func pebbleProgram(t *testing.T) string {
	t.Helper()
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		cache = filepath.Join(os.Getenv("HOME"), ".cache")
	}
	path := filepath.Join(cache, "vaultpam-tests", "pebble@v2.10.1", "pebble")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the ACME server that this test runs is missing, .ci/deps installs it: %v", err)
	}
	return path
}

// newPebble runs one that looks for siteName on a port of 127.0.0.1, and issues
// certificates for so long.
func newPebble(t *testing.T, port string, life time.Duration) *pebble {
	t.Helper()
	ca := newWebCA(t, time.Now())
	own := newPair(t, ca.issue("127.0.0.1", around(time.Now())))
	listen, management := freeAddress(t), freeAddress(t)
	tlsPort, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	config := map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": management,
		"certificate": own.cert, "privateKey": own.key, "httpPort": 1, "tlsPort": tlsPort,
		"retryAfter": map[string]int{"authz": 1, "order": 1}, "keyAlgorithm": "ecdsa",
		"profiles": map[string]any{"default": map[string]any{"description": "a test's", "validityPeriod": int(life / time.Second)}},
	}}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	p := &pebble{
		t: t, directory: "https://" + listen + "/dir", management: "https://" + management, log: &scroll{},
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: ca.pool()}}, Timeout: 30 * time.Second},
		roots:  filepath.Join(t.TempDir(), "root.pem"),
	}
	t.Cleanup(p.client.CloseIdleConnections)
	replace(t, p.roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.root.Raw}), 0o600)
	file := filepath.Join(t.TempDir(), "pebble.json")
	replace(t, file, text, 0o600)
	cmd := exec.CommandContext(t.Context(), pebbleProgram(t), "-strict", "-config", file, "-dnsserver", loopbackDNS(t))
	cmd.Env = []string{"PEBBLE_VA_NOSLEEP=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself, which the test has seen
		_ = cmd.Wait()
	})
	p.await(listen)
	p.await(management)
	return p
}

// await waits until a port is open.
func (p *pebble) await(address string) {
	p.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-tick.C:
		case <-late:
			p.t.Fatalf("pebble does not listen: %v\n%s", err, p.log)
		}
	}
}

// issuing are the roots of the certificates that it issues, made at its start.
func (p *pebble) issuing() *x509.CertPool {
	p.t.Helper()
	res, err := p.client.Get(p.management + "/roots/0")
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(text) {
		p.t.Fatalf("pebble's root: %v: %s", err, text)
	}
	return pool
}

// loopbackDNS answers that every name has the address 127.0.0.1.
func loopbackDNS(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() { // ends when the listener is closed
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go answerDNS(c) // ends with the connection
		}
	}()
	return l.Addr().String()
}

// answerDNS answers one question (RFC 1035, 4.2.2: two bytes of length before each
// message).
func answerDNS(c net.Conn) {
	defer c.Close()
	length := make([]byte, 2)
	if _, err := io.ReadFull(c, length); err != nil {
		return
	}
	data := make([]byte, int(length[0])<<8|int(length[1]))
	if _, err := io.ReadFull(c, data); err != nil {
		return
	}
	var m dnsmessage.Message
	if err := m.Unpack(data); err != nil || len(m.Questions) != 1 {
		return
	}
	answer := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true}, Questions: m.Questions}
	if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
		answer.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1},
			Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
		}}
	}
	packed, err := answer.Pack()
	if err != nil {
		return
	}
	_, _ = c.Write(append([]byte{byte(len(packed) >> 8), byte(len(packed))}, packed...)) // pebble says what it missed
}

// byACME is a site that gets its certificate from a pebble, by the clock on the
// wall: autocert knows no other.
func byACME(t *testing.T, p *pebble, address string) *site {
	t.Helper()
	env := environment(newHand())
	env.Now = time.Now
	dir := freshDir(t)
	begun, err := server.Init(t.Context(), env, initRequest(dir))
	if err != nil {
		t.Fatal(err)
	}
	s := siteIn(t, dir, begun).with(map[string]string{
		"VAULTPAMD_TLS_MODE": "acme", "VAULTPAMD_TLS_ACCEPT_TERMS": "true", "VAULTPAMD_TLS_EMAIL": "ada@example.eu",
		"VAULTPAMD_TLS_DIRECTORY": p.directory, "VAULTPAMD_TLS_DIRECTORY_CA": p.roots,
		"VAULTPAMD_LISTEN_HTTPS": address,
	})
	s.env.Now = time.Now
	s.clock.turn(time.Since(s.clock.now())) // authenticators go by it
	return s
}

func (s *site) fetched() {
	s.t.Helper()
	if !s.log.says("the TLS certificate is there", time.Minute) {
		s.t.Fatalf("no certificate:\n%s", s.log)
	}
}

func TestACME(t *testing.T) {
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	p := newPebble(t, port, 90*24*time.Hour)
	s := byACME(t, p, address).trusting(p.issuing()).run()
	s.fetched()
	// A client of TLS 1.3 that knows the roots is content, and so is a person.
	s.admin = s.enrolled(s.begun.Invitation.String())
	chain := s.shown()
	leaf := chain[0]
	if leaf.VerifyHostname(siteName) != nil || leaf.PublicKeyAlgorithm != x509.ECDSA || len(chain) != 2 {
		t.Errorf("%d certificates, the first of %v with a key of %v", len(chain), leaf.DNSNames, leaf.PublicKeyAlgorithm)
	}
	added := must[api.AddUserResponse](s, s.admin, "POST", api.RouteUserAdd.Path, api.AddUserRequest{Handle: "carol", Roles: []string{"engineer"}})
	if inv, err := api.ParseInvitation(added.Invitation); err != nil || len(inv.Pin) != 0 {
		t.Errorf("the invitation %q: %v", added.Invitation, err)
	}
	for name, mode := range s.modes() {
		want := fs.FileMode(0o600)
		if name == "acme" {
			want = 0o700
		}
		if strings.HasPrefix(name, "acme") && mode != want {
			t.Errorf("%s has the mode %04o", name, mode)
		}
	}
	// One certificate, whoever asks for whatever.
	for _, name := range []string{"other.example.eu", "", "127.0.0.1"} {
		// Which certificate comes is what is asked, so none is refused here.
		c, err := tls.Dial("tcp", s.https, &tls.Config{MinVersion: tls.VersionTLS13, ServerName: name, InsecureSkipVerify: true})
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if !c.ConnectionState().PeerCertificates[0].Equal(leaf) {
			t.Errorf("%q gets another certificate", name)
		}
		_ = c.Close()
	}
	// Nobody gets the answer to a challenge when there is none, or to another name.
	for _, name := range []string{siteName, "other.example.eu"} {
		// The answer to a challenge is self-signed (RFC 8737): it is the server that has to refuse.
		c, err := tls.Dial("tcp", s.https, &tls.Config{MinVersion: tls.VersionTLS13, ServerName: name, NextProtos: []string{"acme-tls/1"}, InsecureSkipVerify: true})
		if err == nil {
			_ = c.Close()
			t.Errorf("a challenge for %s is answered", name)
		}
	}
	if n := strings.Count(p.log.String(), "Issued certificate serial"); n != 1 {
		t.Errorf("%d certificates were issued:\n%s", n, p.log)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s.startsAgain(p, leaf)
}

// startsAgain: the next start serves what the last one had, without asking, but
// not what others could have read.
func (s *site) startsAgain(p *pebble, leaf *x509.Certificate) {
	s.t.Helper()
	s.run()
	if got := s.shown()[0]; !got.Equal(leaf) {
		s.t.Errorf("another certificate after a start: serial %v", got.SerialNumber)
	}
	if n := strings.Count(p.log.String(), "Issued certificate serial"); n != 1 {
		s.t.Errorf("%d certificates were issued", n)
	}
	if err := s.stop(); err != nil {
		s.t.Fatal(err)
	}
	kept := filepath.Join(string(s.dir), "acme", siteName)
	if err := os.Chmod(kept, 0o644); err != nil {
		s.t.Fatal(err)
	}
	s.run()
	if !s.log.says("others may read it: chmod 600 "+kept, promptly) {
		s.t.Error(s.log)
	}
	if s.node.Served() != nil {
		s.t.Error("what others may have read is served")
	}
}

// A name that the authority can't reach here: its reason is in the log, which
// autocert keeps to itself.
func TestACMEThatCannotReachTheServer(t *testing.T) {
	_, closed, _ := net.SplitHostPort(freeAddress(t))
	p := newPebble(t, closed, 90*24*time.Hour)
	s := byACME(t, p, "127.0.0.1:0").run()
	if !s.log.says("nobody can connect", time.Minute) {
		t.Fatal(s.log)
	}
	if !strings.Contains(s.log.String(), "the certificate authority refuses") || !strings.Contains(s.log.String(), siteName+":"+closed) && !strings.Contains(s.log.String(), "127.0.0.1:"+closed) {
		t.Error(s.log)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// A certificate is renewed while the server runs, and connections stay.
func TestACMERenews(t *testing.T) {
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	const life = 12 * time.Second // renewed after eight
	p := newPebble(t, port, life)
	s := byACME(t, p, address).trusting(p.issuing()).run()
	s.fetched()
	first := s.shown()[0]
	s.get()
	if !p.log.says("Issued certificate serial", time.Minute) {
		t.Fatal(p.log)
	}
	deadline := time.After(time.Minute)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for s.shown()[0].Equal(first) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("it was not renewed:\n%s\n%s", s.log, p.log)
		}
	}
	if over := time.Now().After(first.NotAfter); over {
		t.Error("it was renewed after its end")
	}
	if reused := s.get(); !reused {
		t.Error("the connection from before was closed")
	}
	if err := s.stop(); err != nil && !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}
