package server_test

import (
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/target"
	"github.com/vaultpam/vaultpam/store"
)

// A drill is a server with a real host, somebody who may log in there, and a
// client that remembers what it saw.
type drill struct {
	*site
	host  *target.Sshd
	login store.Login
	carol *resident
	home  *client.Home
}

func newDrill(t *testing.T) *drill {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := freshDir(t)
	clock := &hand{at: time.Now()} // sshd has a clock of its own
	begun, err := server.Init(t.Context(), environment(clock), initRequest(dir))
	if err != nil {
		t.Fatal(err)
	}
	d := &drill{site: siteIn(t, dir, begun), login: store.Login(me.Username)}
	d.clock, d.env = clock, environment(clock)
	d.run()
	d.admin = d.enrolled(begun.Invitation.String())
	ca, err := os.ReadFile(filepath.Join(string(dir), "keys", "target-ca.pub"))
	if err != nil {
		t.Fatal(err)
	}
	trusted, _, _, _, err := ssh.ParseAuthorizedKey(ca)
	if err != nil {
		t.Fatal(err)
	}
	d.host, err = target.StartSshd(t.Context(), target.SshdConfig{
		Dir: t.TempDir(), Target: "db1", CAs: []ssh.PublicKey{trusted}, Logins: []store.Login{d.login},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.host.Stop() })
	var keys []string
	for _, k := range d.host.HostKeys() {
		keys = append(keys, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k))))
	}
	must[api.TargetDetail](d.site, d.admin, "POST", api.RouteTargetAdd.Path, api.AddTargetRequest{
		Name: "db1", Address: d.host.Address(), Egress: "127.0.0.1", Logins: []string{me.Username}, HostKeys: keys,
	})
	d.carol = d.added("carol", "engineer")
	must[api.Grant](d.site, d.admin, "POST", api.RouteGrantAdd.Path, api.Grant{User: "carol", Target: "db1", Logins: []string{me.Username}})
	if d.home, err = client.OpenHome(filepath.Join(t.TempDir(), "home"), nil); err != nil {
		t.Fatal(err)
	}
	return d
}

// follow has the client look at the ledger of a server.
func (d *drill) follow(s *site) error {
	d.t.Helper()
	info := must[api.Info](s, nil, "GET", api.RouteInfo.Path, nil)
	c, err := client.New(client.Config{Server: s.https, Pin: s.begun.Invitation.Pin, Timeout: 10 * time.Second, Now: s.clock.now})
	if err != nil {
		d.t.Fatal(err)
	}
	defer c.Close()
	settings, err := client.NewSettings(s.https, s.begun.Invitation.Pin, "carol", info)
	if err != nil {
		d.t.Fatal(err)
	}
	signedIn, err := c.WithSession(client.Session{Token: d.carol.token, Key: residentKey})
	if err != nil {
		d.t.Fatal(err)
	}
	l, err := client.NewLedger(signedIn, d.home, settings)
	if err != nil {
		d.t.Fatal(err)
	}
	_, err = l.Follow(d.t.Context())
	return err
}

// remembered is the largest checkpoint in the client's home.
func (d *drill) remembered() []byte {
	d.t.Helper()
	files, err := filepath.Glob(filepath.Join(d.home.RememberedDir(), "0*"))
	if err != nil || len(files) == 0 {
		d.t.Fatalf("nothing is remembered: %v", err)
	}
	signed, err := os.ReadFile(slices.Max(files))
	if err != nil {
		d.t.Fatal(err)
	}
	return signed
}

// session runs true on the host with a certificate from a server's target CA,
// and returns its serial.
func (d *drill) session(s *site) uint64 {
	d.t.Helper()
	id, err := s.node.Gate().Admit(d.t.Context(), s.certificate(d.carol), here)
	if err != nil {
		d.t.Fatal(err)
	}
	r := startRequest(id, "db1")
	r.Login = d.login
	a, err := s.node.Gate().Start(d.t.Context(), r)
	if err != nil {
		d.t.Fatal(err)
	}
	key := newKey(d.t)
	cert, err := s.node.Gate().Certify(d.t.Context(), a, key.PublicKey())
	if err != nil {
		d.t.Fatal(err)
	}
	signer, err := ssh.NewCertSigner(cert, key)
	if err != nil {
		d.t.Fatal(err)
	}
	c, err := ssh.Dial("tcp", d.host.Address(), &ssh.ClientConfig{
		User: string(d.login), Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: ssh.FixedHostKey(a.HostKeys[0]), HostKeyAlgorithms: []string{a.HostKeys[0].Type()}, Timeout: 10 * time.Second,
	})
	if err != nil {
		d.t.Fatalf("the host: %v\n%s", err, d.host.Log())
	}
	defer c.Close()
	run, err := c.NewSession()
	if err == nil {
		err = run.Run("true")
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return cert.Serial
}
