package server_test

import (
	"crypto/tls"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vaultpam/vaultpam/server"
)

func TestWhatAnACMEServerRefuses(t *testing.T) {
	const problem, data = "application/problem+json", "application/json"
	for _, c := range []struct{ kind, body, want string }{
		{problem, `{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many","status":429}`, "too many"},
		{problem, `{"type":"urn:ietf:params:acme:error:badNonce","detail":"an old nonce","status":400}`, ""},
		{problem, `{"type":"x","detail":"two\nlines\u2028and \u001b[31mred","status":400}`, "two lines and  [31mred"},
		{problem, `{"type":"x","detail":["not a text"]}`, ""},
		{problem, `not JSON`, ""},
		{"text/html", `{"detail":"too many"}`, ""},
		{data, `{"status":"valid","challenges":[{"type":"tls-alpn-01","error":{"detail":"of an earlier try"}}]}`, ""},
		{data, `{"status":"invalid","challenges":[{"type":"http-01"},{"type":"tls-alpn-01","error":{"detail":"connection refused"}}]}`, "connection refused"},
		{data, `{"status":"invalid","error":{"detail":"the order is over"}}`, "the order is over"},
		{data, `{"status":"pending"}`, ""},
		{data, `[]`, ""},
	} {
		if got := server.RefusalOf(c.kind, []byte(c.body)); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.kind, c.body, got, c.want)
		}
	}
}

// An authority is asked for nothing before the server runs: not by init, not by a
// check, and not by opening the directory.
func TestACMEIsNotAskedBeforeTheServerRuns(t *testing.T) {
	asked := make(chan struct{}, 1)
	directory, roots := fakeDirectory(t, asked)
	dir := freshDir(t)
	r := initRequest(dir)
	r.Config.TLS = server.TLSConfig{Mode: server.TLSACME, AcceptTerms: true, Directory: directory, DirectoryCA: roots}
	begun, err := server.Init(t.Context(), environment(newHand()), r)
	if err != nil {
		t.Fatal(err)
	}
	if len(begun.Invitation.Pin) != 0 {
		t.Error("the invitation pins a key that will not be served")
	}
	s := siteIn(t, dir, begun)
	if why := s.opens(); why != "" {
		t.Fatal(why)
	}
	// A stranger's handshake is refused, and orders nothing.
	n := s.open()
	hello := &tls.ClientHelloInfo{ServerName: siteName, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}
	if _, err := n.BeginTLS().GetCertificate(hello); err == nil || !strings.Contains(err.Error(), "there is no certificate yet") {
		t.Errorf("a handshake: %v", err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if len(asked) != 0 {
		t.Fatal("the directory was asked before the server ran")
	}
	s.run()
	<-asked
	if !s.log.says("nobody can connect", promptly) {
		t.Error(s.log)
	}
	s.logged(1, "getting a TLS certificate", "name="+siteName)
	if s.node.Served() != nil {
		t.Error("there is a certificate")
	}
	if c, err := dialTLS(s.https); err == nil {
		_ = c.Close()
		t.Error("somebody is served without a certificate")
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// Stopping does not wait for an authority that does not answer.
func TestACMEThatHangs(t *testing.T) {
	asked := make(chan struct{}, 1)
	directory, roots := hangingDirectory(t, asked)
	s := newSite(t).with(map[string]string{
		"VAULTPAMD_TLS_MODE": "acme", "VAULTPAMD_TLS_ACCEPT_TERMS": "true",
		"VAULTPAMD_TLS_DIRECTORY": directory, "VAULTPAMD_TLS_DIRECTORY_CA": roots,
	}).run()
	<-asked
	ended := make(chan struct{})
	go func() { // ends when the server has stopped
		defer close(ended)
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	}()
	within(t, promptly, ended, "stopping while an authority is asked")
}

// fakeDirectory is a directory that refuses, and says on a channel that it was
// asked. It returns its URL and the file with its root.
func fakeDirectory(t *testing.T, asked chan<- struct{}) (directory, roots string) {
	return directoryThat(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		select {
		case asked <- struct{}{}:
		default: // once is enough
		}
	})
}

// hangingDirectory answers nobody.
func hangingDirectory(t *testing.T, asked chan<- struct{}) (directory, roots string) {
	return directoryThat(t, func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	})
}

func directoryThat(t *testing.T, h http.HandlerFunc) (directory, roots string) {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	roots = filepath.Join(t.TempDir(), "root.pem")
	replace(t, roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600)
	return s.URL + "/directory", roots
}

// dialTLS takes whatever certificate comes: there is none yet, and that is what is
// looked at.
func dialTLS(address string) (*tls.Conn, error) {
	return tls.Dial("tcp", address, &tls.Config{MinVersion: tls.VersionTLS13, ServerName: siteName, InsecureSkipVerify: true})
}
