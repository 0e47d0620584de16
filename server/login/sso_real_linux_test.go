package login_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/store"
)

// A realProvider is the example server of a certified OpenID provider, run as the
// program that it is (.ci/deps).
type realProvider struct{ issuer, password string }

func startProvider(t *testing.T) realProvider {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(cache, "vaultpam-tests", "zitadel-oidc@v3.51.17", "server")
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("no OpenID provider: make deps installs it: %v", err)
	}
	p := realProvider{password: base64.RawURLEncoding.EncodeToString(random(16))}
	users := filepath.Join(t.TempDir(), "users.json")
	data, err := json.Marshal(map[string]any{"id1": map[string]any{"ID": "id1", "Username": "carol", "Password": p.password}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(users, data, 0o600); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	p.issuer = "http://localhost:" + port + "/"
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = []string{"PORT=" + port, "USERS_FILE=" + users, "REDIRECT_URI=https://pam.example.eu/sso/callback"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself, which the test has seen
		_ = cmd.Wait()
	})
	awaitPort(t, "127.0.0.1:"+port)
	return p
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func awaitPort(t *testing.T, address string) {
	t.Helper()
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
			t.Fatalf("the provider does not listen: %v", err)
		}
	}
}

// signIn is carol at the provider's own pages: it follows them from where she was
// sent to where she is sent back.
func (p realProvider) signIn(t *testing.T, location string) login.SSOAnswer {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	back := errors.New("back")
	var landed *url.URL
	c := &http.Client{
		Jar: jar, Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(r *http.Request, _ []*http.Request) error {
			if r.URL.Host == "pam.example.eu" {
				landed = r.URL
				return back
			}
			return nil
		},
	}
	page, err := c.Get(location)
	if err != nil {
		t.Fatal(err)
	}
	_ = page.Body.Close()
	id := page.Request.URL.Query().Get("authRequestID")
	if page.StatusCode != http.StatusOK || id == "" {
		t.Fatalf("the provider's page %s: %s", page.Request.URL, page.Status)
	}
	form := url.Values{"username": {"carol"}, "password": {p.password}, "id": {id}}
	done, err := c.PostForm(strings.TrimSuffix(p.issuer, "/")+page.Request.URL.Path, form)
	if err == nil {
		_ = done.Body.Close()
	}
	if landed == nil {
		t.Fatalf("the provider did not send carol back: %v", err)
	}
	q := landed.Query()
	return login.SSOAnswer{State: q.Get("state"), Code: q.Get("code"), Issuer: q.Get("iss"), Error: q.Get("error")}
}

// TestSSORealProvider signs carol in with a provider that nobody here wrote: her
// handle comes from its user info endpoint, its ID token is signed with RS256.
func TestSSORealProvider(t *testing.T) {
	p := startProvider(t)
	o := found(t)
	o.clock.wait(time.Since(o.clock.Now())) // the provider's clock is the machine's
	d := &desk{office: o}
	d.seed = o.employ("carol")
	d.sso = mapping(p.issuer)
	d.sso.ClientID, d.sso.AMR = "web", []string{"pwd"}
	d.reopen()

	v := d.visit()
	location, err := d.BeginSSO(t.Context(), v.id, v.browser)
	if err != nil {
		t.Fatal(err)
	}
	answer := p.signIn(t, location)
	out, err := v.back(answer)
	if err != nil || out.Second == nil || out.Second.Handle != "carol" {
		t.Fatalf("back from the provider: %+v, %v", out, err)
	}
	d.clock.wait(time.Minute)
	if out, err = d.AnswerCode(t.Context(), v.id, v.browser, d.code(d.seed), home); err != nil {
		t.Fatal(err)
	}
	if s := v.redeem(out.Redirect); s.Kind != store.FactorTOTP || s.User.Handle != "carol" {
		t.Errorf("%s signed in with %s", s.User.Handle, s.Kind)
	}
	// The second time its word is enough, because this company says so.
	v = d.visit()
	if location, err = d.BeginSSO(t.Context(), v.id, v.browser); err != nil {
		t.Fatal(err)
	}
	if out, err = v.back(p.signIn(t, location)); err != nil {
		t.Fatal(err)
	}
	if s := v.redeem(out.Redirect); s.Kind != store.FactorSSO {
		t.Errorf("%s signed in with %s", s.User.Handle, s.Kind)
	}
}
