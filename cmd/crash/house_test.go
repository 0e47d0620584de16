//go:build linux

package crash_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/target"
	"github.com/vaultpam/vaultpam/store"
)

// issuers is how many ask for certificates at once.
const issuers = 8

// A house is a data directory with the people and the host of a small company,
// and everything that they were given so far.
type house struct {
	dir     string
	https   string
	ssh     string
	userCA  []byte // wire form
	login   string // the account on the host
	host    *target.Builtin
	ada     *person // the administrator
	carol   *person // opens sessions
	dana    *person // the auditor
	issuers []*person
	ledger  *client.Ledger // as dana's machine remembers it
	audit   audit
	serves  *process
}

var invitationText = regexp.MustCompile(`https://\S+/enroll#[^']+`)

// newHouse makes a data directory in dir as `vaultpamd init` is typed, prepares
// it, serves it and has everybody enrol.
func newHouse(t *testing.T, dir string, prepare ...func(*house)) *house {
	t.Helper()
	h := &house{dir: dir, https: freeAddress(t), ssh: freeAddress(t)}
	out, err := exec.Command(program("vaultpamd"), h.initArgs()...).CombinedOutput()
	if err != nil {
		t.Fatalf("vaultpamd init: %v\n%s", err, out)
	}
	for _, p := range prepare {
		p(h)
	}
	h.begin(t, string(invitationText.Find(out)))
	return h
}

func (h *house) initArgs() []string {
	return []string{"init", "--dir", h.dir, "--name", "localhost", "--administrator", "ada", "--https", h.https, "--ssh", h.ssh}
}

// begin serves a new data directory, and brings in the people and the host.
func (h *house) begin(t *testing.T, invitation string) {
	t.Helper()
	h.userCA = h.key(t, "user-ca.pub").Marshal()
	h.audit = newAudit(t)
	h.serve(t)
	h.ada = enrol(t, invitation)
	h.carol = h.hire(t, "carol", store.RoleEngineer)
	h.dana = h.hire(t, "dana", store.RoleAuditor)
	for i := range issuers {
		h.issuers = append(h.issuers, h.hire(t, fmt.Sprintf("user%d", i), store.RoleEngineer))
	}
	info, err := h.dana.client.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	settings, err := client.NewSettings(h.dana.client.Server(), h.dana.pin, "dana", info)
	if err != nil {
		t.Fatal(err)
	}
	home, err := client.OpenHome(filepath.Join(t.TempDir(), "dana"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if h.ledger, err = client.NewLedger(h.dana.client, home, settings); err != nil {
		t.Fatal(err)
	}
	h.addHost(t)
}

// addHost starts a host that sessions go to, and lets carol in.
func (h *house) addHost(t *testing.T) {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	h.login = me.Username
	h.host, err = target.StartBuiltin(t.Context(), target.BuiltinConfig{
		Dir: t.TempDir(), Target: "db1", CAs: []ssh.PublicKey{h.key(t, "target-ca.pub")},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.host.Stop(); err != nil {
			t.Error(err)
		}
	})
	add := api.AddTargetRequest{Name: "db1", Address: h.host.Address(), Logins: []string{h.login}}
	for _, k := range h.host.HostKeys() {
		add.HostKeys = append(add.HostKeys, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k))))
	}
	if _, err := h.ada.client.AddTarget(t.Context(), add); err != nil {
		t.Fatal(err)
	}
	if _, err := h.ada.client.AddGrant(t.Context(), api.Grant{User: "carol", Target: "db1", Logins: []string{h.login}}); err != nil {
		t.Fatal(err)
	}
}

func (h *house) path(name string) string { return filepath.Join(h.dir, name) }

func (h *house) key(t *testing.T, name string) ssh.PublicKey {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(h.dir, "keys", name))
	if err != nil {
		t.Fatal(err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(data)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// start starts the server, behind a wrapper if one is given, and does not wait.
func (h *house) start(t *testing.T, program string, env []string, wrapper ...string) *process {
	t.Helper()
	h.serves = start(t, env, append(wrapper, program, "serve", "--dir", h.dir)...)
	return h.serves
}

// serve starts the server as it is released, and waits until it serves. It has
// to do so without help, whatever happened before.
func (h *house) serve(t *testing.T, wrapper ...string) *process {
	t.Helper()
	p := h.start(t, program("vaultpamd"), nil, wrapper...)
	if !p.serving(t) {
		t.Fatalf("vaultpamd does not start: %v\n%s", p.cmd.ProcessState, p.log.text())
	}
	return p
}

// freeAddress is a port of loopback that nobody listens on. It is not one of
// those that outgoing connections get, or a client could hold it while the
// server starts again.
func freeAddress(t *testing.T) string {
	t.Helper()
	for {
		address := fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(20000))
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return address
	}
}
