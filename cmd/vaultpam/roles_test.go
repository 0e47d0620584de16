package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/api"
)

// An errand is a way to type a command, and what its words need to be about.
type errand struct {
	line  string // after "vaultpam"; in quotes what holds a space
	how   string // which of several ways of the command it is; empty for the only one
	stdin string
	code  int                         // that it ends with on a server where there is little to be found
	as    string                      // the command whose routes it calls, where it can't be run here
	ready func(*fakeServer, *machine) // what a fake server answers, and the machine has of it
	write func(*machine)              // the files that it reads
}

// errands type every command at least once. TestEveryCommandHasItsRoles fails for a
// command that is missing here, and for one that ends otherwise than it says.
func errands() map[string][]errand {
	const session = "0d5c0c1e-6f0a-4c3b-9d8e-2a1b3c4d5e6f"
	touch := func(s *fakeServer, m *machine) {
		page := api.BrowserResponse{ID: "abc", URL: page, Expires: time.Now().Add(time.Minute)}
		for _, r := range []api.Route{api.RouteConfirm, api.RouteRequestApprove} {
			s.set(r, api.ConfirmResponse{Needed: true, BrowserResponse: page})
		}
		s.set(api.RouteConfirmWait, api.WaitResponse{})
		m.browser = func(string) {}
	}
	recorded := func(s *fakeServer, _ *machine) { s.set(api.RouteRecording, api.RecordingResponse{Session: session}) }
	past := func(s *fakeServer, _ *machine) { s.set(api.RouteDirect, s.direct(hostKey(s))) }
	locks := func(s *fakeServer, _ *machine) {
		s.set(api.RouteLock, func(body []byte) any {
			var q api.LockRequest
			_ = json.Unmarshal(body, &q)
			return api.Lock{ID: 7, Kind: q.Kind, Name: q.Name}
		})
	}
	relay := func(s *fakeServer, m *machine) { // hangs up once the touch was asked for
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			m.t.Fatal(err)
		}
		m.t.Cleanup(func() { _ = l.Close() })
		asked := make(chan struct{})
		s.set(api.RouteConfirm, func([]byte) any {
			close(asked)
			return api.ConfirmResponse{}
		})
		go func() { // ends with the one connection, or with the test
			conn, err := l.Accept()
			if err != nil {
				return
			}
			select {
			case <-asked:
			case <-m.t.Context().Done():
			}
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}()
		home := filepath.Join(m.home(), "config.json")
		data, err := os.ReadFile(home)
		if err == nil {
			err = os.WriteFile(home, []byte(strings.ReplaceAll(string(data), "pam.example.eu:2222", l.Addr().String())), 0o600)
		}
		if err != nil {
			m.t.Fatal(err)
		}
	}
	emergency := func(m *machine) {
		public, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			m.t.Fatal(err)
		}
		signer, err := ssh.NewSignerFromKey(key)
		if err != nil {
			m.t.Fatal(err)
		}
		subject, err := ssh.NewPublicKey(public)
		if err != nil {
			m.t.Fatal(err)
		}
		cert := &ssh.Certificate{Key: subject, CertType: ssh.UserCert, ValidPrincipals: []string{"root@db1"}, ValidBefore: ssh.CertTimeInfinity}
		if err := cert.SignCert(rand.Reader, signer); err != nil {
			m.t.Fatal(err)
		}
		block, err := ssh.MarshalPrivateKey(key, "")
		if err != nil {
			m.t.Fatal(err)
		}
		for name, data := range map[string][]byte{"emergency": pem.EncodeToMemory(block), "emergency-cert.pub": ssh.MarshalAuthorizedKey(cert)} {
			if err := os.WriteFile(filepath.Join(m.dir, name), data, 0o600); err != nil {
				m.t.Fatal(err)
			}
		}
	}
	file := func(name, text string) func(*machine) {
		return func(m *machine) {
			if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o600); err != nil {
				m.t.Fatal(err)
			}
		}
	}
	return map[string][]errand{
		"vaultpam":                        {{code: exitUsage, as: "vaultpam targets"}}, // the picker needs a terminal
		"vaultpam admin apply":            {{line: "admin apply DIR/access.yaml --yes", write: file("access.yaml", "version: 1\nmanages: [groups]\ngroups:\n  ops: []\n")}},
		"vaultpam admin bot add":          {{line: "admin bot add ci"}},
		"vaultpam admin bot key add":      {{line: "admin bot key add ci DIR/key.pub"}},
		"vaultpam admin bot key rm":       {{line: "admin bot key rm ci 7"}},
		"vaultpam admin bot ls":           {{line: "admin bot ls"}},
		"vaultpam admin bot rm":           {{line: "admin bot rm ci"}},
		"vaultpam admin bot token":        {{line: "admin bot token ci"}},
		"vaultpam admin export":           {{line: "admin export"}},
		"vaultpam admin grant add":        {{line: "admin grant add carol db1 --login root"}},
		"vaultpam admin grant forbid":     {{line: "admin grant forbid --everybody db1"}},
		"vaultpam admin grant ls":         {{line: "admin grant ls"}},
		"vaultpam admin grant rm":         {{line: "admin grant rm 7"}},
		"vaultpam admin group add":        {{line: "admin group add ops"}},
		"vaultpam admin group add-member": {{line: "admin group add-member ops carol"}},
		"vaultpam admin group ls":         {{line: "admin group ls"}},
		"vaultpam admin group rename":     {{line: "admin group rename ops opers"}},
		"vaultpam admin group rm":         {{line: "admin group rm ops"}},
		"vaultpam admin group rm-member":  {{line: "admin group rm-member ops carol"}},
		"vaultpam admin recovery show":    {{line: "admin recovery show"}},
		"vaultpam admin recovery stop":    {{line: "admin recovery stop"}},
		"vaultpam admin target add":       {{line: "admin target add db1 --address db1:22 --login root --yes"}},
		"vaultpam admin target check":     {{line: "admin target check db1", how: "NAME"}, {line: "admin target check db1 --last", how: "NAME --last"}},
		"vaultpam admin target close":     {{line: "admin target close db1 --undo", how: "--undo"}, {line: "admin target close db1 --emergency-key DIR/emergency --yes", how: "--emergency-key", code: exitOther, write: emergency}},
		"vaultpam admin target import":    {{line: "admin target import DIR/hosts.ini --known-hosts DIR/known_hosts --yes", write: file("hosts.ini", "[db]\ndb9 ansible_host=192.0.2.9 ansible_user=root\n")}},
		"vaultpam admin target label":     {{line: "admin target label db1 env=prod"}},
		"vaultpam admin target ls":        {{line: "admin target ls"}},
		"vaultpam admin target rename":    {{line: "admin target rename db1 db2"}},
		"vaultpam admin target rm":        {{line: "admin target rm db1"}},
		"vaultpam admin user add":         {{line: "admin user add dave"}},
		"vaultpam admin user email":       {{line: "admin user email SELF carol@example.eu", how: "of oneself; of others, administrator"}},
		"vaultpam admin user erase":       {{line: "admin user erase dave --yes"}},
		"vaultpam admin user invite":      {{line: "admin user invite dave"}},
		"vaultpam admin user ls":          {{line: "admin user ls"}},
		"vaultpam admin user rm":          {{line: "admin user rm dave"}},
		"vaultpam admin user sso":         {{line: "admin user sso dave --subject 1"}},
		"vaultpam approve":                {{line: "approve 7", ready: touch}, {line: "approve 7 --code-stdin", how: "--totp", stdin: goodCode}},
		"vaultpam audit changes":          {{line: "audit changes --target db1"}},
		"vaultpam audit findings":         {{line: "audit findings"}},
		"vaultpam audit ls":               {{line: "audit ls"}},
		"vaultpam audit show":             {{line: "audit show 2"}},
		"vaultpam audit verify":           {{line: "audit verify", how: ""}, {line: "audit verify 2", how: "INDEX", code: exitOther}},
		"vaultpam audit who-could":        {{line: "audit who-could --target db1"}},
		"vaultpam bot join":               {{line: "bot join BOTTOKEN"}},
		"vaultpam cert":                   {{line: "cert", how: "of a person"}, {line: "cert --bot", how: "--bot"}, {line: "cert --direct root@db1", how: "--direct", ready: past}},
		"vaultpam config ssh":             {{line: "config ssh --print"}},
		"vaultpam confirm":                {{line: "confirm", ready: touch}, {line: "confirm --code-stdin", how: "--totp", stdin: goodCode}},
		"vaultpam deny":                   {{line: "deny 7 --comment no"}},
		"vaultpam enroll":                 {{line: "enroll INVITATION --code-stdin", stdin: goodCode}},
		"vaultpam explain":                {{line: "explain root@db1", how: "LOGIN@TARGET"}, {line: "explain carol root@db1", how: "HANDLE LOGIN@TARGET"}},
		"vaultpam factor add":             {{line: "factor add", ready: touch}},
		"vaultpam factor ls":              {{line: "factor ls"}},
		"vaultpam factor name":            {{line: "factor name 7 blue"}},
		"vaultpam factor rm":              {{line: "factor rm 7"}},
		"vaultpam help":                   {{line: "help"}},
		"vaultpam lock ls":                {{line: "lock ls"}},
		"vaultpam lock serial":            {{line: "lock serial 7 --why x", ready: locks}},
		"vaultpam lock session":           {{line: "lock session " + session + " --why x", ready: locks}},
		"vaultpam lock target":            {{line: "lock target db1 --why x", ready: locks}},
		"vaultpam lock user":              {{line: "lock user dave --why x", ready: locks}},
		"vaultpam login":                  {{line: "login --code-stdin", stdin: goodCode}},
		"vaultpam logout":                 {{line: "logout"}},
		"vaultpam play":                   {{line: "play " + session, ready: recorded}},
		"vaultpam proxy":                  {{line: "proxy -- db1.pam 22", ready: relay}},
		"vaultpam recovery enroll":        {{line: "recovery enroll --code-stdin", stdin: goodCode}},
		"vaultpam recovery new":           {{line: "recovery new --code-stdin", stdin: goodCode}},
		"vaultpam request":                {{line: "request db1 --login root --for 1h", how: ""}, {line: "request db1 --login root --for 1h --wait", how: "--wait"}},
		"vaultpam requests":               {{line: "requests"}},
		"vaultpam review answer":          {{line: "review answer 7", code: exitUsage, as: "vaultpam review keep"}}, // it needs a terminal
		"vaultpam review end":             {{line: "review end 7"}},
		"vaultpam review keep":            {{line: "review keep 7 11"}},
		"vaultpam review ls":              {{line: "review ls"}},
		"vaultpam review revoke":          {{line: "review revoke 7 11"}},
		"vaultpam review show":            {{line: "review show 7"}},
		"vaultpam review start":           {{line: "review start --owner dana --due 30d"}},
		"vaultpam status":                 {{line: "status"}},
		"vaultpam targets":                {{line: "targets"}},
		"vaultpam unlock serial":          {{line: "unlock serial 7 --why x"}},
		"vaultpam unlock session":         {{line: "unlock session " + session + " --why x"}},
		"vaultpam unlock target":          {{line: "unlock target db1 --why x"}},
		"vaultpam unlock user":            {{line: "unlock user dave --why x"}},
		"vaultpam version":                {{line: "version"}},
		"vaultpam withdraw":               {{line: "withdraw 7"}},
	}
}

// obliging is a server on which everything is there.
func obliging(t testing.TB) *fakeServer {
	s := newFakeServer(t)
	link := api.JoinLink{Host: s.Listener.Addr().String(), Token: [32]byte(testToken), Pin: s.pin()}.String()
	waits := api.AccessRequest{ID: 7, State: "approved", User: "carol", Target: "db1", Login: "root"}
	for r, v := range map[api.Route]any{
		api.RouteFactors: []api.Factor{}, api.RouteSignIns: []api.OpenSignIn{}, api.RouteRequests: []api.AccessRequest{}, api.RouteLocks: []api.Lock{},
		api.RouteSessions: []api.Session{}, api.RouteChanges: []api.ReachChange{}, api.RouteGroups: []api.Group{}, api.RouteRequest: waits,
		api.RouteRequestMake: api.AccessRequest{ID: 7, State: "waits", User: "carol", Target: "db1", Login: "root"}, api.RouteRequestWait: waits,
		api.RouteGrantAdd: api.AddedGrant{Grant: api.Grant{ID: 7, User: "carol", Target: "db1", Logins: []string{"root"}}},
		api.RouteUserAdd:  api.AddUserResponse{User: api.User{Handle: "dave"}, Invitation: s.invitation()}, api.RouteUserInvite: api.AddUserResponse{User: api.User{Handle: "dave"}, Invitation: s.invitation()},
		api.RouteScan: api.ScanResponse{HostKeys: []string{hostKey(s)}, Egress: "10.0.0.1"}, api.RouteTargetAdd: api.TargetDetail{Name: "db1"},
		api.RouteCheck: api.Check{Target: "db1"}, api.RouteLastCheck: api.Check{Target: "db1"}, api.RouteReopen: api.Check{Target: "db1"},
		api.RouteAccess: func(body []byte) any {
			return api.ChangesResponse{Done: !strings.Contains(string(body), `"dry_run":true`)}
		},
		api.RouteBotAdd: api.BotResponse{Token: link}, api.RouteBotToken: api.BotResponse{Token: link}, api.RouteRenew: api.RenewResponse{Invitation: s.invitation()},
		api.RouteBotChallenge: api.BotChallengeResponse{Challenge: []byte("a challenge")},
		api.RouteBotSignIn:    api.SignInResponse{Token: testToken, Handle: "ci", Factor: "key", Expires: time.Now().Add(time.Hour)},
		api.RouteBotJoin:      api.BotJoinResponse{Handle: "ci"}, api.RouteWhoCould: api.WhoCould{Target: "db1"}, api.RouteExplain: api.Explanation{Sentence: "yes"}, api.RouteExplainFor: api.Explanation{Sentence: "yes"},
		api.RouteReviews: []api.Review{}, api.RouteReview: api.ReviewDetail{Review: api.Review{ID: 7}}, api.RouteReviewStart: api.Review{ID: 7, Owner: "dana"},
	} {
		s.set(r, v)
	}
	for _, r := range api.Routes() {
		switch r {
		case api.RouteCheckpoint, api.RouteEntry, api.RouteRaw, api.RouteEntries, api.RouteCertificate:
			continue
		}
		if s.answers[r.Pattern()] == nil {
			s.set(r, api.Empty{})
		}
	}
	return s
}

// called runs an errand and returns the routes that it called.
func (e errand) called(t *testing.T, path string) []api.Route {
	t.Helper()
	s := obliging(t)
	m := enrolled(t, s)
	if e.ready != nil {
		e.ready(s, m)
	}
	e.files(m, hostKey(s))
	s.mu.Lock()
	s.called = nil
	s.mu.Unlock()
	link := api.JoinLink{Host: s.Listener.Addr().String(), Token: [32]byte(testToken), Pin: s.pin()}.String()
	words := strings.Fields(strings.NewReplacer("DIR", m.dir, "SELF", "carol", "INVITATION", s.invitation(), "BOTTOKEN", link).Replace(e.line))
	if strings.Contains(e.line, "bot join") || strings.Contains(e.line, "--bot") {
		m = aRunner(t, s)
	}
	if r := m.runWith(strings.NewReader(e.stdin), words...); r.code != e.code {
		t.Errorf("%s (%s) ends with %d: %s%s", path, e.line, r.code, r.out, r.stderr)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.called
}

// files are what errands read.
func (e errand) files(m *machine, key string) {
	if e.write != nil {
		e.write(m)
	}
	for name, text := range map[string]string{"key.pub": key, "known_hosts": "db9,192.0.2.9 " + key} {
		if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o600); err != nil {
			m.t.Fatal(err)
		}
	}
}

// everybody are the kinds of callers that a row can admit.
var everybody = []string{"nobody", "bot", "engineer", "approver", "auditor", "administrator"}

// admits are those whom a row of the routes' table lets in.
func admits(t *testing.T, who api.Who) []string {
	t.Helper()
	switch who {
	case api.WhoAnybody:
		return everybody
	case api.WhoAlsoBots:
		return everybody[1:]
	case api.WhoSignedIn:
		return everybody[2:]
	}
	var all []string
	for role := range strings.SplitSeq(string(who), ", ") {
		if !slices.Contains(everybody, role) {
			t.Fatalf("a row admits %q", who)
		}
		all = append(all, role)
	}
	return all
}

// whoMay is who gets through all of the routes. Whoever opens a session on the way is
// signed in from there on.
func whoMay(t *testing.T, routes []api.Route) []string {
	t.Helper()
	opens := []api.Route{api.RouteSignIn, api.RouteEnrollFinish, api.RouteRedeem, api.RouteBotSignIn}
	all, opened := slices.Clone(everybody), false
	for _, r := range routes {
		in := admits(t, r.Who)
		if !opened || r.Who != api.WhoAlsoBots && r.Who != api.WhoSignedIn {
			all = slices.DeleteFunc(all, func(who string) bool { return !slices.Contains(in, who) })
		}
		opened = opened || slices.Contains(opens, r)
	}
	return all
}

// concurrent are commands that ask several things at the same time.
var concurrent = []string{"vaultpam admin apply", "vaultpam admin export"}

// whoText is a row's word for some callers.
func whoText(all []string) string {
	for _, who := range []api.Who{api.WhoAnybody, api.WhoAlsoBots, api.WhoSignedIn} {
		if n := map[api.Who]int{api.WhoAnybody: 0, api.WhoAlsoBots: 1, api.WhoSignedIn: 2}[who]; slices.Equal(all, everybody[n:]) {
			return string(who)
		}
	}
	return strings.Join(all, ", ")
}

// A row is a way to type a command, and who gets through the routes that it calls.
type row struct {
	errand
	path   string
	routes []api.Route
	who    []string
}

// rows runs every errand, and returns them in the order of the commands.
func rows(t *testing.T) []row {
	t.Helper()
	all := errands()
	for path := range all {
		if !slices.Contains(commandPaths(), path) {
			t.Errorf("there is no command %q", path)
		}
	}
	var table []row
	for _, path := range commandPaths() {
		if len(all[path]) == 0 {
			t.Errorf("%s has no errand, and so no row in the table of roles", path)
		}
		for _, e := range all[path] {
			from := e
			if e.as != "" {
				from = all[e.as][0]
			}
			routes := from.called(t, path)
			table = append(table, row{errand: e, path: path, routes: routes, who: whoMay(t, routes)})
		}
	}
	return table
}

// commandPaths are all commands that do something, in their order.
func commandPaths() []string {
	var all []string
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Runnable() && (!c.HasSubCommands() || !c.HasParent()) {
			all = append(all, c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	root := (&app{Main: &Main{}}).root()
	root.InitDefaultHelpCmd()
	walk(root)
	return all
}

// TestEveryCommandHasItsRoles: each command is run, and its row in docs/roles.md is
// what the routes that it called admit. -update writes the page.
func TestEveryCommandHasItsRoles(t *testing.T) {
	const path = "../../docs/roles.md"
	var b strings.Builder
	b.WriteString("# Who may run which command\n\n")
	b.WriteString("Written from the program by `go test ./cmd/vaultpam -run TestEveryCommandHasItsRoles -update`: each command is run, and its row is who gets\n")
	b.WriteString("through every route that it called. The server holds callers to the [routes](api.md#routes), whatever program they use.\n")
	b.WriteString("`signed-in` is every person who is, `anybody` needs nothing; of several roles one suffices. A role that a command needs for other\n")
	b.WriteString("people's things, or beyond the route, stands in its help and in the refusal. `vaultpamd` runs on the server's own machine, for whoever may use its\n")
	b.WriteString("[socket and files](architecture.md#4-trust).\n\n| command | who | calls |\n|---|---|---|\n")
	for _, r := range rows(t) {
		name := "`" + r.path + "`"
		if r.how != "" {
			name += " " + r.how
		}
		var calls []string
		for _, route := range r.routes {
			if call := "`" + route.Pattern() + "`"; !slices.Contains(calls, call) {
				calls = append(calls, call)
			}
		}
		if slices.Contains(concurrent, r.path) {
			slices.Sort(calls)
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name, whoText(r.who), strings.Join(calls, ", "))
		if len(r.who) == 0 {
			t.Errorf("%s %s: nobody may run it", r.path, r.how)
		}
	}
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("docs/roles.md is not what the commands do (-update writes it):\n%s", diff)
	}
}

// TestS38CommandsAsEachRole runs every command as each role against a real server:
// whom its row does not admit is refused for their role, and whom it does is not.
func TestS38CommandsAsEachRole(t *testing.T) {
	h := newHouse(t)
	people := h.people()
	refusals := 0
	for _, r := range rows(t) {
		if len(r.who) == len(everybody) || slices.Contains([]string{"vaultpam", "vaultpam logout", "vaultpam proxy"}, r.path) {
			continue // needs no role; or needs a terminal; or would end what the others need; or talks to the relay first
		}
		for _, role := range []string{"nobody", "engineer", "approver", "auditor", "administrator"} { // who changes something comes last
			m := people[role]
			r.files(m, h.hostKey)
			got := m.soon(r.stdin, strings.Fields(strings.NewReplacer("DIR", m.dir, "SELF", handles[role]).Replace(r.line)))
			forRole := got.code == exitRefused && strings.Contains(got.stderr, "this takes the role")
			switch in := slices.Contains(r.who, role); {
			case role == "nobody" && got.code != exitNotSignedIn:
				t.Errorf("%s, by nobody: %+v", r.line, got)
			case role != "nobody" && !in && !forRole:
				t.Errorf("%s is not for who is %s, and is not refused for that: %+v", r.line, role, got)
			case in && (forRole || got.code == exitNotSignedIn && !strings.Contains(got.stderr, "that code doesn't fit")):
				t.Errorf("%s is for who is %s, and is refused: %+v", r.line, role, got)
			}
			if forRole {
				refusals++
			}
		}
	}
	t.Logf("%d commands were refused for the role of who ran them", refusals)
}
