package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/store"
)

func contextWithCancel(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithCancel(t.Context())
}

func grantPath(g api.Grant) string { return "/v1/admin/grants/" + strconv.FormatUint(g.ID, 10) }

func TestRunEndsCleanly(t *testing.T) {
	s := populated(t)
	if data := s.read(s.dir.Pid()); strings.TrimSpace(string(data)) != strconv.Itoa(os.Getpid()) {
		t.Errorf("held by %q", data)
	}
	resp, err := s.dir.Ask(t.Context(), server.RouteLocalStatus, "", nil)
	if err != nil {
		t.Fatalf("the local socket: %v", err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.stop(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	for _, path := range []string{s.dir.Pid(), s.dir.Socket()} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there", path)
		}
	}
	for _, address := range []string{s.https, s.ssh} {
		var d net.Dialer
		if c, err := d.DialContext(t.Context(), "tcp", address); err == nil {
			t.Errorf("%s still listens", address)
			_ = c.Close() // it should not be
		}
	}
	// Everything is let go: the next one runs, with what was written.
	s.run()
	must[api.StatusResponse](s, s.admin, "GET", api.RouteStatus.Path, nil)
}

func TestTheLocalSocketAnswersInItsWay(t *testing.T) {
	s := populated(t)
	for _, path := range []string{"/", "/v1/info", "/v1/local/setup/", "/v1/local/setup/a/b", "//v1/local/status", "/v1/local/setup/../status"} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://localhost"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		c := server.LocalClient(s.dir)
		c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusNotFound || resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %s %s", path, resp.Status, resp.Header.Get("Content-Type"))
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A request that is under way when the server has to stop is answered.
func TestRunAnswersWhatIsUnderWay(t *testing.T) {
	s := populated(t)
	d := tls.Dialer{Config: s.pinned()}
	c, err := d.DialContext(t.Context(), "tcp", s.https)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const body = `{"handle":"carol"}`
	proof := s.request("POST", api.RouteUserAdd.Path, s.admin.token, body).Header.Get(api.ProofHeader)
	if _, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n%s: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		api.RouteUserAdd.Path, siteName, tokenText(s.admin.token), api.ProofHeader, proof, len(body)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	// The handler asks for the body: from here on the request is under way.
	if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.stop() }() // ends with the server
	if _, err := c.Write([]byte(body)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", resp, err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestASecondServerIsToldWhoHoldsTheDirectory(t *testing.T) {
	s := newSite(t).run()
	_, err := server.Open(t.Context(), s.options())
	var held *server.HeldError
	want := fmt.Sprintf("%s is held by vaultpamd with process ID %d", s.dir, os.Getpid())
	if !errors.As(err, &held) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	// Its failure must not take the first one's marks away.
	for _, path := range []string{s.dir.Pid(), s.dir.Socket()} {
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
	must[api.Info](s, nil, "GET", api.RouteInfo.Path, nil)
	for _, pid := range []string{"", "-1", "x\nforged", "99999999999999999999"} {
		if err := os.WriteFile(s.dir.Pid(), []byte(pid), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := server.Open(t.Context(), s.options()); err == nil || !strings.HasSuffix(err.Error(), "is held by another process") {
			t.Errorf("with %q: %v", pid, err)
		}
	}
}

func TestRunWhereThePortIsTaken(t *testing.T) {
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, door := range []string{"HTTPS", "SSH"} {
		s := newSite(t)
		s.env.Getenv = func(name string) string {
			if name == "VAULTPAMD_LISTEN_"+door {
				return l.Addr().String()
			}
			return ""
		}
		n := s.open()
		if err := n.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "listening for "+door) {
			t.Errorf("%s: %v", door, err)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenWhatIsNoDataDirectory(t *testing.T) {
	s := newSite(t)
	dir := s.dir
	s.dir = freshDir(t)
	if why := s.opens(); why != string(s.dir)+" is not a data directory: run vaultpamd init" {
		t.Errorf("it says %q", why)
	}
	s.dir = server.Dir(string(dir) + "/vaultpam.yaml") // a file
	if why := s.opens(); !strings.HasPrefix(why, "looking for a data directory: ") {
		t.Errorf("it says %q", why)
	}
}

// A doubtful backend does not know, from some moment on, what became of an
// append.
type doubtful struct {
	store.Backend
	from   *atomic.Bool
	before *atomic.Bool // it fails before it writes, and else after
}

func (d *doubtful) Append(ctx context.Context, b store.Batch) error {
	if !d.from.Load() {
		return d.Backend.Append(ctx, b)
	}
	if d.before.Load() {
		return store.ErrUncertain
	}
	return errors.Join(d.Backend.Append(ctx, b), store.ErrUncertain)
}

// R4: a writer that doesn't know what is durable stops the server within a
// second, and no certificate is handed out any more.
func TestR4UncertainAppendStopsTheServer(t *testing.T) {
	for _, before := range []bool{true, false} {
		t.Run(fmt.Sprintf("before=%v", before), func(t *testing.T) {
			s := newSite(t)
			var from, first atomic.Bool
			first.Store(before)
			open := s.env.OpenBackend
			s.env.OpenBackend = func(path string) (store.Backend, error) {
				b, err := open(path)
				if err != nil {
					return nil, err
				}
				return &doubtful{b, &from, &first}, nil
			}
			s.run()
			s.admin = s.enrolled(s.begun.Invitation.String())
			request := api.CertificateRequest{PublicKey: publicLine(newKey(t))}
			must[api.CertificateResponse](s, s.admin, "POST", api.RouteCertificate.Path, request)
			from.Store(true)
			e := s.refused(s.ask("POST", api.RouteCertificate.Path, s.admin.token, request), http.StatusServiceUnavailable)
			if e.Kind != api.KindUnavailable || !strings.Contains(e.Detail, "nothing is allowed") {
				t.Errorf("%+v", e)
			}
			if _, _, err := s.node.Ledger().Issue(t.Context(), access.IssueUserCertificate{}); !errors.Is(err, ledger.ErrStopped) {
				t.Errorf("after it: %v", err)
			}
			within(t, promptly, s.ended, "the end of the server")
			if err := s.stop(); !errors.Is(err, store.ErrUncertain) {
				t.Errorf("it ended with %v", err)
			}
			// It comes back by the way that every start takes.
			from.Store(false)
			s.run()
			must[api.CertificateResponse](s, s.admin, "POST", api.RouteCertificate.Path, request)
		})
	}
}

// A full disk refuses, and the server lives on.
func TestR5FullDiskRefusesAndRecovers(t *testing.T) {
	s := newSite(t)
	var full atomic.Bool
	open := s.env.OpenBackend
	s.env.OpenBackend = func(path string) (store.Backend, error) {
		b, err := open(path)
		return &fullBackend{b, &full}, err
	}
	s.run()
	s.admin = s.enrolled(s.begun.Invitation.String())
	full.Store(true)
	e := s.refused(s.ask("POST", api.RouteUserAdd.Path, s.admin.token, api.AddUserRequest{Handle: "carol"}), http.StatusServiceUnavailable)
	if !strings.Contains(e.Detail, "no room left") || e.Hint == "" {
		t.Errorf("%+v", e)
	}
	must[api.StatusResponse](s, s.admin, "GET", api.RouteStatus.Path, nil)
	full.Store(false)
	must[api.AddUserResponse](s, s.admin, "POST", api.RouteUserAdd.Path, api.AddUserRequest{Handle: "carol"})
}

type fullBackend struct {
	store.Backend
	full *atomic.Bool
}

func (f *fullBackend) Append(ctx context.Context, b store.Batch) error {
	if f.full.Load() {
		return store.ErrFull
	}
	return f.Backend.Append(ctx, b)
}
