package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/api"
)

func TestUsage(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	for _, tt := range []struct {
		args string
		says string
		hint string
	}{
		{"frob", `unknown command "frob"`, "vaultpam help"},
		{"help frob", `no help about "frob"`, "vaultpam help"},
		{"audit", "which one? ls, show, verify", "vaultpam help audit"},
		{"admin user frob", `unknown command "frob" for "vaultpam admin user"`, "vaultpam help admin user"},
		{"status extra", `"extra" is one word too many`, "vaultpam help status"},
		{"enroll", "missing INVITATION", "vaultpam help enroll"},
		{"enroll https://x/enroll", "not an invitation", "vaultpam help enroll"},
		{"login --frob", "unknown flag: --frob", "vaultpam help login"},
		{"login --handle Carol", `handle "Carol"`, "vaultpam help login"},
		{"login --server pam.example.eu --pin xyz", "the pin is not one", "vaultpam help login"},
		{"audit show one", `index "one"`, "vaultpam help audit show"},
		{"audit show -1", "unknown shorthand flag", "vaultpam help audit show"},
		{"audit ls --since yesterday", "--since:", "vaultpam help audit ls"},
		{"audit ls --limit -1", "--limit -1", "vaultpam help audit ls"},
		{"audit ls --json --csv", "want one of them", "vaultpam help audit ls"},
		{"audit ls --user $(x)", `handle "$(x)"`, "vaultpam help audit ls"},
		{"play nothing", "neither a session's ID nor an index", "vaultpam audit ls --type session.ended"},
		{"play 3 --speed 0", "--speed", "vaultpam help play"},
		{"proxy -- db1.pam ssh", `port "ssh"`, "vaultpam help proxy"},
		{"proxy -- $(x).pam 22", `host "$(x).pam"`, "vaultpam targets"},
		{"proxy -- -oProxyCommand=x 22", "want NAME.pam", "vaultpam targets"},
		{"admin user add Carol", `handle "Carol"`, "vaultpam help admin user add"},
		{"admin user add dave --role root", `role "root"`, "vaultpam help admin user add"},
		{"admin target add db1 --login root", "--address", "vaultpam help admin target add"},
		{"admin target add db1 --address db1", "want HOST:PORT", "vaultpam help admin target add"},
		{"admin target add db1 --address db1:22", "--login", "vaultpam help admin target add"},
		{"admin target add db1 --address db1:22 --login -x", `login "-x"`, "vaultpam help admin target add"},
		{"admin target add db1 --address db1:22 --login root --egress host", "--egress", "vaultpam help admin target add"},
		{"admin target add db1 --address db1:22 --login root --host-key /dev/null", "--host-key", "vaultpam help admin target add"},
		{"admin grant add carol db1", "--login", "vaultpam help admin grant add"},
		{"admin grant add carol db1 --login root --for 2h --until 2027-01-01", "want one of them", "vaultpam help admin grant add"},
		{"admin grant add carol db1 --login root --for ever", `purpose "ever": want one of shell`, "vaultpam help admin grant add"},
		{"admin grant add carol db1 db2", `"db2" is one word too many`, "vaultpam help admin grant add"},
		{"admin group add-member dba", "missing HANDLE…", "vaultpam help admin group add-member"},
		{"admin target label", "missing NAME", "vaultpam help admin target label"},
		{"explain", "missing LOGIN@TARGET", "vaultpam help explain"},
		{"explain carol root@db1 db2", `"db2" is one word too many`, "vaultpam help explain"},
		{"cert --handle ci", "go with --bot", "vaultpam help cert"},
		{"bot", "which one? join", "vaultpam help bot"},
		{"bot join", "missing TOKEN, or $VAULTPAM_BOT_TOKEN", "vaultpam help bot join"},
		{"bot join https://pam.example.eu/enroll#canary", "not a join token", "vaultpam help bot join"},
		{"bot join a b", `"b" is one word too many`, "vaultpam help bot join"},
		{"admin bot add Ci", `handle "Ci"`, "vaultpam help admin bot add"},
		{"admin bot add ci --name runner", "--name takes --key FILE", "vaultpam help admin bot add"},
		{"admin bot key rm ci x", `index "x"`, "vaultpam help admin bot key rm"},
		{"admin bot token ci --valid ever", "--valid", "vaultpam help admin bot token"},
		{"admin grant rm x", `index "x"`, "vaultpam help admin grant rm"},
		{"", "the picker needs a terminal", "vaultpam help"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			r := m.run(strings.Fields(tt.args)...)
			r.want(t, exitUsage, "vaultpam: ", tt.says, "\nhint: "+tt.hint+"\n")
			if r.out != "" {
				t.Errorf("standard output: %q", r.out)
			}
		})
	}
}

// Where nothing is known yet every command says what comes first, and leaves
// nothing behind.
func TestBeforeEnrolment(t *testing.T) {
	m := newMachine(t)
	for _, args := range []string{
		"status", "targets", "cert", "cert --ensure", "audit ls", "audit verify", "login", "logout", "config ssh --yes", "proxy -- db1.pam 22",
	} {
		m.run(strings.Fields(args)...).want(t, exitNotSignedIn, "vaultpam: this machine knows no server yet\nhint: vaultpam enroll")
	}
	if got := files(t, m.dir); len(got) > 0 {
		t.Errorf("files were left behind: %v", got)
	}
}

func TestErrorsOfTheServer(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	for _, tt := range []struct {
		kind api.Kind
		hint string
		code int
		says string
	}{
		{api.KindInvalid, "", exitUsage, "vaultpam: no\n"},
		{api.KindUnauthenticated, "", exitNotSignedIn, "vaultpam: no\nhint: vaultpam login\n"},
		{api.KindForbidden, "ask an approver", exitRefused, "vaultpam: no\nhint: ask an approver\n"},
		{api.KindNotFound, "", exitNotFound, "vaultpam: no\n"},
		{api.KindConflict, "", exitRefused, "vaultpam: no\n"},
		{api.KindLimited, "", exitRefused, "vaultpam: no\nhint: try again in 9 seconds\n"},
		{api.KindUnavailable, "", exitUnavailable, "vaultpam: no\n"},
		{api.KindInternal, "", exitOther, "vaultpam: no\n"},
	} {
		e := api.NewError(tt.kind, tt.hint, "no")
		if tt.kind == api.KindLimited {
			e.RetryAfter = 9
		}
		s.set(api.RouteTargets, e)
		r := m.run("targets")
		r.want(t, tt.code, tt.says)
		if r.stderr != tt.says || r.out != "" {
			t.Errorf("%s: stdout %q, stderr %q", tt.kind, r.out, r.stderr)
		}
	}
}

func TestUnreachable(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	address := s.Listener.Addr().String()
	s.Close()
	m.run("status").want(t, exitUnavailable, "vaultpam: cannot reach "+address+": connection refused\nhint: ")
	r := m.run("logout")
	r.want(t, exitUnavailable, "hint: signed out on this machine")
	if got := files(t, m.home()); slicesHave(got, "session") || slicesHave(got, "id_ed25519") {
		t.Errorf("after logout there is %v", got)
	}
}

func slicesHave(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

func hostKey(s *fakeServer) string {
	return s.answers[api.RouteInfo.Pattern()].(api.Info).HostCA
}

func TestTables(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	s.set(api.RouteUsers, []api.User{{ID: "u:x", Handle: "carol", Roles: []string{"engineer", "auditor"}, Enrolled: true, Email: "carol@example.eu"}, {ID: "u:y", Handle: "dave\x1b[31m"}})
	for args, want := range map[string]string{
		"targets": "target         logins       until\n" +
			"db1.pam        root,deploy  2026-11-24 01:00:00 UTC\n" +
			"web1.prod.pam  deploy       -\n",
		"admin user ls": "handle        roles             enrolled  id   e-mail\n" +
			"carol         engineer,auditor  yes       u:x  carol@example.eu\n" +
			`dave\x1b[31m  -                 no        u:y  -` + "\n",
		"admin grant ls":         "id  who  targets  logins  for  from  until  conditions\n",
		"admin grant ls --json":  "[]\n",
		"admin target ls --json": "[]\n",
		"version":                "vaultpam v0.0.0-test " + systemWords() + "\n",
	} {
		r := m.run(strings.Fields(args)...)
		r.want(t, exitOK)
		if diff := cmp.Diff(want, r.out); diff != "" {
			t.Errorf("%s: %s", args, diff)
		}
	}
}

func TestAdmin(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	s.set(api.RouteUserAdd, api.AddUserResponse{User: api.User{Handle: "dave"}, Invitation: s.invitation()})
	r := m.run("admin", "user", "add", "dave", "--role", "engineer,auditor")
	r.want(t, exitOK, "invitation for dave")
	if r.out != s.invitation()+"\n" || !strings.Contains(s.body(api.RouteUserAdd), `{"handle":"dave","roles":["engineer","auditor"]}`) {
		t.Errorf("stdout %q after %s", r.out, s.body(api.RouteUserAdd))
	}
	s.set(api.RouteGrantAdd, api.Grant{ID: 12, User: "dave", Target: "db1", Logins: []string{"root"}})
	m.run("admin", "grant", "add", "dave", "db1", "--login", "root", "--from", "2026-12-01", "--for", "2h").want(t, exitOK, "grant 12: dave may reach db1 as root")
	if got := s.body(api.RouteGrantAdd); !strings.Contains(got, `"from":"2026-12-01T00:00:00Z","until":"2026-12-01T02:00:00Z"`) {
		t.Errorf("sent %s", got)
	}
	s.set(api.RouteGrantAdd, api.Grant{ID: 13, User: "dave", Target: "db1", Logins: []string{"root"}, Conditions: api.Conditions{Passkey: 15}})
	m.run("admin", "grant", "add", "dave", "db1", "--login", "root", "--touch", "15m").want(t, exitOK, "grant 13: dave may reach db1 as root", "with a touch in the 15 minutes before")
	if got := s.body(api.RouteGrantAdd); !strings.Contains(got, `"passkey":15`) {
		t.Errorf("sent %s", got)
	}
	for _, bad := range []string{"90s", "-1m", "soon"} {
		m.run("admin", "grant", "add", "dave", "db1", "--login", "root", "--touch", bad).want(t, exitUsage)
	}
	m.run("admin", "grant", "rm", "12").want(t, exitOK, "removed grant 12")
	m.run("admin", "user", "rm", "dave").want(t, exitOK, "removed dave")
	m.run("admin", "target", "rm", "db1").want(t, exitOK, "removed db1")
	if got := s.body(api.RouteUserRemove); !strings.HasPrefix(got, "/v1/admin/users/dave ") {
		t.Errorf("asked %s", got)
	}
}

func TestTargetAdd(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	key := hostKey(s)
	s.set(api.RouteScan, api.ScanResponse{HostKeys: []string{key}, Egress: "10.0.0.1"})
	s.set(api.RouteTargetAdd, api.TargetDetail{Name: "db1"})
	add := func(more ...string) result {
		return m.run(append([]string{"admin", "target", "add", "db1", "--address", "db1:22", "--login", "root"}, more...)...)
	}
	m.typed = []string{"n\n"}
	add().want(t, exitOther, "ssh-ed25519 SHA256:", "nothing was pinned")
	if s.body(api.RouteTargetAdd) != "" {
		t.Fatal("the target was added all the same")
	}
	m.typed = []string{"yes\n"}
	add().want(t, exitOK, "users reach it as db1.pam", "vaultpamd target setup db1")
	add("--yes").want(t, exitOK)
	file := filepath.Join(m.dir, "host.pub")
	if err := os.WriteFile(file, []byte(key), 0o644); err != nil {
		t.Fatal(err)
	}
	s.set(api.RouteScan, api.NewError(api.KindInternal, "", "nobody asks"))
	add("--host-key", file, "--egress", "10.0.0.9").want(t, exitOK)
	add("--host-key", strings.TrimSpace(key)+" root@db1").want(t, exitOK)
	if got := s.body(api.RouteTargetAdd); !strings.Contains(got, strings.TrimSpace(key)) {
		t.Errorf("sent %s", got)
	}
	add("--host-key", key+key).want(t, exitUsage, "is not a public key")
}

// Fifty ssh at once ask for one certificate.
func TestEnsureInParallel(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	before := s.certificates()
	for _, name := range []string{"id_ed25519", "id_ed25519.pub", "id_ed25519-cert.pub"} {
		if err := os.Remove(filepath.Join(m.home(), name)); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if r := m.run("cert", "--ensure", "--quiet"); r != (result{}) {
				t.Errorf("%+v", r)
			}
		})
	}
	wg.Wait()
	if n := s.certificates() - before; n != 1 {
		t.Errorf("%d certificates were issued, want 1", n)
	}
	m.run("cert").want(t, exitOK, "no ssh-agent is running; ssh reads the files\ncertificate 3 until")
	// One that is good needs no server.
	s.Close()
	m.run("cert", "--ensure", "--quiet").want(t, exitOK)
	m.run("cert").want(t, exitUnavailable)
}

func TestConfigSSH(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	config := filepath.Join(m.dir, ".ssh", "config")
	r := m.run("config", "ssh", "--print")
	r.want(t, exitOK, "Match ")
	m.typed = []string{"n\n"}
	m.run("config", "ssh").want(t, exitOther, "+++ "+config, "nothing was changed")
	if _, err := os.Stat(config); err == nil {
		t.Fatal("it was changed all the same")
	}
	m.typed = []string{"y\n"}
	m.run("config", "ssh").want(t, exitOK, "next: vaultpam targets")
	m.run("config", "ssh").want(t, exitOK, "nothing to change")
	m.run("config", "ssh", "--remove", "--yes").want(t, exitOK, "everything was taken back")
	m.run("config", "ssh", "--remove", "--yes").want(t, exitOK, "nothing to change")
}

func TestInterrupted(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m.runContext(ctx, strings.NewReader(""), "status").want(t, exitInterrupted, "vaultpam: interrupted")
}
