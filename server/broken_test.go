package server_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// A brokenBackend fails with text that is nobody's business outside.
type brokenBackend struct {
	store.Backend
	broken func() bool
}

const internalText = "SECRET-PATH /var/lib/vaultpam/ledger.db: page 7 is damaged"

func (b *brokenBackend) fail() error {
	if b.broken() {
		return errors.New(internalText)
	}
	return nil
}

func (b *brokenBackend) Find(ctx context.Context, q store.Query) ([]store.Index, error) {
	if err := b.fail(); err != nil {
		return nil, err
	}
	return b.Backend.Find(ctx, q)
}

func (b *brokenBackend) Records(ctx context.Context, from store.Index, limit int) ([][]byte, error) {
	if err := b.fail(); err != nil {
		return nil, err
	}
	return b.Backend.Records(ctx, from, limit)
}

func (b *brokenBackend) Side(ctx context.Context, t store.SideTable, key []byte) ([]byte, error) {
	if err := b.fail(); err != nil {
		return nil, err
	}
	return b.Backend.Side(ctx, t, key)
}

func (b *brokenBackend) ReadHashes(ctx context.Context, indexes []int64) ([]store.Hash, error) {
	if err := b.fail(); err != nil {
		return nil, err
	}
	return b.Backend.ReadHashes(ctx, indexes)
}

func (b *brokenBackend) Append(ctx context.Context, batch store.Batch) error {
	if err := b.fail(); err != nil {
		return err
	}
	return b.Backend.Append(ctx, batch)
}

func TestInternalTextGoesToTheLogAlone(t *testing.T) {
	s := newSite(t)
	broken := make(chan struct{})
	open := s.env.OpenBackend
	s.env.OpenBackend = func(path string) (store.Backend, error) {
		b, err := open(path)
		return &brokenBackend{Backend: b, broken: func() bool {
			select {
			case <-broken:
				return true
			default:
				return false
			}
		}}, err
	}
	s.run()
	s.admin = s.enrolled(s.begun.Invitation.String())
	dana := s.added("dana", "auditor")
	close(broken)
	// Writing comes last: it stops the server.
	for _, r := range []struct {
		method, path string
		body         any
		status       int
	}{
		{"GET", "/v1/entries", nil, 500}, {"GET", "/v1/entries/0", nil, 500}, {"GET", "/v1/raw", nil, 500},
		{"GET", "/v1/sessions", nil, 500}, {"GET", "/v1/checkpoint?since=1", nil, 500}, {"GET", "/v1/entries?user=nobody", nil, 500},
		{"POST", "/v1/signin", api.SignInRequest{Handle: "ada", Code: "000000"}, 500},
		{"POST", "/v1/signout", nil, 503},
	} {
		a := s.ask(r.method, r.path, dana.token, r.body)
		e := s.refused(a, r.status)
		if strings.Contains(string(a.body), "SECRET") || strings.Contains(string(a.body), "page 7") || e.Hint == "" {
			t.Errorf("%s %s: %s", r.method, r.path, a.body)
		}
	}
	if err := s.stop(); err == nil || !strings.Contains(err.Error(), internalText) {
		t.Errorf("the server ended with: %v", err)
	}
	if got := strings.Count(s.log.String(), internalText); got < 8 {
		t.Errorf("the log tells %d times what happened:\n%s", got, s.log)
	}
}

// S29: what comes in a request can't make a line of the log.
func TestS29NothingBreaksALogLine(t *testing.T) {
	s := populated(t)
	const evil = "x\nlevel=ERROR msg=forged\r\x1b[2J\u2028\u0085y"
	send := func(method, path string, body any) { s.ask(method, path, s.admin.token, body) }
	send("POST", api.RouteUserAdd.Path, api.AddUserRequest{Handle: evil, Roles: []string{evil}})
	send("POST", api.RouteSignIn.Path, api.SignInRequest{Handle: evil, Code: evil})
	send("POST", api.RouteTargetAdd.Path, api.AddTargetRequest{Name: evil, Address: evil, Egress: evil, Logins: []string{evil}, HostKeys: []string{evil}})
	send("POST", api.RouteScan.Path, api.ScanRequest{Address: evil})
	send("POST", api.RouteGrantAdd.Path, api.Grant{User: evil, Target: evil, Logins: []string{evil}})
	send("POST", api.RouteCertificate.Path, api.CertificateRequest{PublicKey: evil})
	escaped := strings.NewReplacer("\n", "%0A", "\r", "%0D", "\x1b", "%1B", " ", "%20").Replace(evil)
	for _, path := range []string{
		"/v1/entries?user=" + escaped, "/v1/entries?type=" + escaped, "/v1/entries?user=u:" + escaped, "/v1/entries?since=" + escaped,
		"/v1/entries/" + escaped, "/v1/sessions/" + escaped + "/recording", "/v1/" + escaped,
	} {
		send("GET", path, nil)
	}
	send("DELETE", "/v1/admin/users/"+escaped, nil)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSuffix(s.log.String(), "\n"), "\n") {
		if !strings.HasPrefix(line, "time=") || strings.ContainsAny(line, "\r\x1b\u2028\u0085") {
			t.Errorf("line %d: %q", i, line)
		}
	}
}

func tokenText(token []byte) string { return base64.RawURLEncoding.EncodeToString(token) }
