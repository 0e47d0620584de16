package client_test

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

func line(key ssh.PublicKey) string { return string(ssh.MarshalAuthorizedKey(key)) }

// TestS35DirectIsHeldToTheQuestion: a certificate is for the login and target that
// were asked for, and what ssh is to believe and connect to is held to its grammar.
func TestS35DirectIsHeldToTheQuestion(t *testing.T) {
	ca, own, other, host := newSigner(t), newSigner(t), newSigner(t), newSigner(t)
	now := uint64(time.Now().Unix())
	for name, spoil := range map[string]func(*ssh.Certificate, *api.DirectResponse){
		"good":           nil,
		"another login":  func(c *ssh.Certificate, _ *api.DirectResponse) { c.ValidPrincipals = []string{"deploy@db1"} },
		"another target": func(c *ssh.Certificate, _ *api.DirectResponse) { c.ValidPrincipals = []string{"root@db2"} },
		"both":           func(c *ssh.Certificate, _ *api.DirectResponse) { c.ValidPrincipals = []string{"root@db1", "root@db2"} },
		"everybody":      func(c *ssh.Certificate, _ *api.DirectResponse) { c.ValidPrincipals = nil },
		"a user's": func(c *ssh.Certificate, _ *api.DirectResponse) {
			c.ValidPrincipals = []string{store.UserID{1}.String()}
		},
		"another key":       func(c *ssh.Certificate, _ *api.DirectResponse) { c.Key = other.PublicKey() },
		"a host's":          func(c *ssh.Certificate, _ *api.DirectResponse) { c.CertType = ssh.HostCert },
		"for an hour":       func(c *ssh.Certificate, _ *api.DirectResponse) { c.ValidBefore = now + 3600 },
		"another serial":    func(_ *ssh.Certificate, r *api.DirectResponse) { r.Serial = 8 },
		"no address":        func(_ *ssh.Certificate, r *api.DirectResponse) { r.Address = "" },
		"no port":           func(_ *ssh.Certificate, r *api.DirectResponse) { r.Address = "192.0.2.9" },
		"an option":         func(_ *ssh.Certificate, r *api.DirectResponse) { r.Address = "-oProxyCommand=id:22" },
		"a shell's":         func(_ *ssh.Certificate, r *api.DirectResponse) { r.Address = "$(id):22" },
		"a line of its own": func(_ *ssh.Certificate, r *api.DirectResponse) { r.Address = "192.0.2.9:22\n" },
		"no host key":       func(_ *ssh.Certificate, r *api.DirectResponse) { r.HostKeys = nil },
		"a CA for every host": func(_ *ssh.Certificate, r *api.DirectResponse) {
			r.HostKeys = []string{"@cert-authority * " + line(ca.PublicKey())}
		},
		"a host key of options": func(_ *ssh.Certificate, r *api.DirectResponse) {
			r.HostKeys = []string{`command="id" ` + line(host.PublicKey())}
		},
		"two in one": func(_ *ssh.Certificate, r *api.DirectResponse) {
			r.HostKeys = []string{line(host.PublicKey()) + "* " + line(ca.PublicKey())}
		},
	} {
		t.Run(name, func(t *testing.T) {
			cert := &ssh.Certificate{
				Key: own.PublicKey(), CertType: ssh.UserCert, Serial: 7, KeyId: "7",
				ValidPrincipals: []string{"root@db1"}, ValidAfter: now - 60, ValidBefore: now + 300,
			}
			resp := api.DirectResponse{Address: "192.0.2.9:22", HostKeys: []string{line(host.PublicKey())}}
			resp.Serial = 7
			if spoil != nil {
				spoil(cert, &resp)
			}
			if err := cert.SignCert(rand.Reader, ca); err != nil {
				t.Fatal(err)
			}
			resp.Certificate = line(cert)
			f := newFake(t)
			f.handle(api.RouteDirect, func(w http.ResponseWriter, _ *http.Request) { answer(w, resp) })
			got, at, err := f.signedIn(t).DirectCertificate(t.Context(), own.PublicKey(), "db1", "root")
			if spoil == nil && (err != nil || got.Serial != 7 || at.Address != "192.0.2.9:22" || at.Target != "db1" || len(at.HostKeys) != 1) {
				t.Errorf("got %v, %+v (%v)", got, at, err)
			}
			if spoil != nil && (!errors.Is(err, client.ErrAnswer) || got != nil) {
				t.Errorf("got %v (%v), want ErrAnswer", got, err)
			}
		})
	}
}

// TestDirectHosts: what was kept comes back, by name; what somebody damaged does not.
func TestDirectHosts(t *testing.T) {
	home, err := client.OpenHome(filepath.Join(t.TempDir(), "home"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if all, err := home.DirectHosts(); err != nil || len(all) != 0 {
		t.Errorf("at first %v, %v", all, err)
	}
	if _, err := home.DirectHost("db1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nobody asked: %v", err)
	}
	a, b := newSigner(t).PublicKey(), newSigner(t).PublicKey()
	for _, d := range []client.DirectHost{{"web1", "[2001:db8::5]:2222", []ssh.PublicKey{a, b}}, {"db1", "db1.example:22", []ssh.PublicKey{a}}, {"db1", "192.0.2.9:22", []ssh.PublicKey{b}}} {
		if err := home.SaveDirectHost(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(home.DirectIdentity("db1", "db2.json", "pam"), 0o700); err != nil { // a login may be called so
		t.Fatal(err)
	}
	all, err := home.DirectHosts()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range all {
		got = append(got, string(d.Target)+" "+d.Address)
		for _, k := range d.HostKeys {
			got = append(got, line(k))
		}
	}
	if diff := cmp.Diff([]string{"db1 192.0.2.9:22", line(b), "web1 [2001:db8::5]:2222", line(a), line(b)}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	file := filepath.Join(home.DirectLock(), "web1.json")
	for _, spoiled := range []string{"", "{}", `{"target":"db1","address":"192.0.2.9:22","host_keys":["` + line(a)[:80] + `"]}`, "null"} {
		if err := os.WriteFile(file, []byte(spoiled), 0o600); err != nil {
			t.Fatal(err)
		}
		if d, err := home.DirectHost("web1"); err == nil {
			t.Errorf("%q: %+v", spoiled, d)
		}
	}
	if err := home.ForgetDirect(); err != nil {
		t.Fatal(err)
	}
	if all, err := home.DirectHosts(); err != nil || len(all) != 0 {
		t.Errorf("in the end %v, %v", all, err)
	}
}

// TestDirectNames: what is typed to go past the relay, both ways.
func TestDirectNames(t *testing.T) {
	for host, want := range map[string]store.TargetName{"db1.direct.pam": "db1", "DB1.Direct.pam": "db1", "db1.prod.direct.pam": "db1.prod", "db1.pam": "", "direct.pam": "", "direct.direct.pam": "direct"} {
		name, err := client.ParseHost(host, "pam")
		if err != nil {
			t.Fatal(err)
		}
		got, ok := client.Direct(name)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%s is %q, %v; want %q", host, got, ok, want)
		}
	}
	if got := client.DirectName("db1", "corp.pam"); got != "db1.direct.corp.pam" {
		t.Errorf("%q", got)
	}
}
