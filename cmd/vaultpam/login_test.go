package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/api"
)

// Somebody else answers where the server was.
func TestAnotherServerIsRefused(t *testing.T) {
	s, other := newFakeServer(t), newFakeServer(t)
	m := enrolled(t, s)
	config := filepath.Join(m.home(), "config.json")
	data, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	// All httptest servers have one key, so it is the pin that is changed.
	var settings map[string]any
	if err := json.Unmarshal(data, &settings); err != nil {
		t.Fatal(err)
	}
	settings["pin"] = make([]byte, 32)
	if data, err = json.Marshal(settings); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, data, 0o600); err != nil {
		t.Fatal(err)
	}
	m.run("status").want(t, exitIdentity, "the server's key is not the pinned one\nhint: ")

	// The same name with another ledger: login and enrolment refuse.
	m = enrolled(t, s)
	info := other.answers[api.RouteInfo.Pattern()]
	s.set(api.RouteInfo, info)
	m.runWith(strings.NewReader(goodCode+"\n"), "login", "--code-stdin").want(t, exitLedger, "shows another ledger than it did before")
	m.runWith(strings.NewReader(goodCode+"\n"), "enroll", s.invitation(), "--code-stdin").want(t, exitLedger, "another ledger")
	if body := s.body(api.RouteSignIn); body != "" {
		t.Errorf("a code was sent to it: %s", body)
	}
}

func TestEnrollAndLogin(t *testing.T) {
	s := newFakeServer(t)
	m := newMachine(t)
	// A wrong code is asked for again, on the terminal.
	m.typed = []string{"000000\n", "nonsense\n", "123 456\n"}
	r := m.run("enroll", s.invitation())
	r.want(t, exitOK, "the code was not accepted", "that is not a code\nhint: type the 6 digits", "enrolled as carol at pam.example.eu")
	if r.out != "" {
		t.Errorf("standard output: %q", r.out)
	}
	tty := m.tty.String()
	if !strings.Contains(tty, "or type it in: NVCV6YTCEHTE7E4CVSLCBUV7AABC3TB7") || !strings.Contains(tty, "█") {
		t.Errorf("the terminal shows no QR code or no secret:\n%s", tty)
	}
	m.run("status").want(t, exitOK, "as carol until 2026-11-24 01:00:00 UTC", "5 entries")
	m.run("logout").want(t, exitOK, "signed out of pam.example.eu")
	m.run("status").want(t, exitNotSignedIn, "hint: vaultpam login")
	m.run("logout").want(t, exitOK, "nobody was signed in")
	m.runWith(strings.NewReader("123456"), "login", "--code-stdin").want(t, exitOK, "signed in to pam.example.eu as carol")
	m.run("status", "--json").want(t, exitOK, `"handle": "carol"`)
	if diff := cmp.Diff([]string{
		"checkpoints/00000000000000000005", "config.json", "device", "id_ed25519", "id_ed25519-cert.pub", "id_ed25519.pub", "session",
	}, withoutLocks(files(t, m.home()))); diff != "" {
		t.Error(diff)
	}
}

// Somebody who enrolled reads what somebody with their roles does first.
func TestNextStep(t *testing.T) {
	for roles, want := range map[string]string{
		"engineer": "vaultpam config ssh", "administrator engineer": "vaultpam config ssh",
		"administrator auditor": "vaultpam admin user add HANDLE, and vaultpam admin target add NAME",
		"auditor":               "vaultpam audit ls", "approver": "vaultpam status", "": "vaultpam status",
	} {
		s := newFakeServer(t)
		m := newMachine(t)
		s.set(api.RouteEnrollFinish, api.SignInResponse{
			Token: testToken, Handle: "carol", Roles: strings.Fields(roles), Expires: time.Now().Add(time.Hour),
		})
		m.runWith(strings.NewReader(goodCode+"\n"), "enroll", s.invitation(), "--code-stdin").want(t, exitOK, "\nnext: "+want+"\n")
	}
}

func withoutLocks(names []string) []string {
	var kept []string
	for _, n := range names {
		if !strings.Contains(n, "lock") {
			kept = append(kept, n)
		}
	}
	return kept
}

// S12: the secret, the code and the token are on the terminal or in the 0600
// file, and in nothing that a command prints.
func TestS12SecretsAreNotPrinted(t *testing.T) {
	s := newFakeServer(t)
	m := newMachine(t)
	m.typed = []string{goodCode + "\n"}
	all := ""
	for _, args := range []string{
		"enroll " + s.invitation(), "status --json", "targets", "cert", "audit ls --json", "audit verify --json", "config ssh --yes", "logout",
	} {
		r := m.run(strings.Fields(args)...)
		r.want(t, exitOK)
		all += r.out + r.stderr
	}
	for _, secret := range []string{testCodes[0], testCodes[1], "ZmVkY2JhOTg3NjU0", "NVCV6YTCEHTE", goodCode, "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY", string(testToken), "PRIVATE KEY"} {
		if strings.Contains(all, secret) {
			t.Errorf("%q was printed", secret)
		}
	}
}

func TestLoginOnAnotherMachine(t *testing.T) {
	s := newFakeServer(t)
	m := newMachine(t)
	server := s.Listener.Addr().String()
	m.runWith(strings.NewReader(goodCode), "login", "--code-stdin", "--server", server, "--pin", pinText(s.pin())).
		want(t, exitUsage, "who signs in?")
	m.runWith(strings.NewReader(goodCode), "login", "--code-stdin", "--server", server, "--handle", "carol").
		want(t, exitIdentity, "does not verify")
	m.runWith(strings.NewReader("000000"), "login", "--code-stdin", "--server", server, "--pin", pinText(s.pin()), "--handle", "carol").
		want(t, exitNotSignedIn, "the code was not accepted")
	if got := files(t, m.home()); slicesHave(got, "config.json") || slicesHave(got, "session") {
		t.Errorf("a sign-in that failed left %v behind", got)
	}
	m.runWith(strings.NewReader(goodCode), "login", "--code-stdin", "--server", server, "--pin", pinText(s.pin()), "--handle", "carol").
		want(t, exitOK, "signed in to pam.example.eu as carol")
}

func TestQuestionsNeedATerminal(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	s.set(api.RouteScan, api.ScanResponse{HostKeys: []string{hostKey(s)}, Egress: "10.0.0.1"})
	for args, hint := range map[string]string{
		"login":                    "--code-stdin",
		"enroll " + s.invitation(): "--code-stdin",
		"config ssh":               "--yes",
		"admin target add db1 --address db1:22 --login root": "--yes",
	} {
		m.run(strings.Fields(args)...).want(t, exitOther, "vaultpam: there is no terminal to ask on\nhint: in a script: ", hint)
	}
	if _, err := os.Stat(filepath.Join(m.dir, ".ssh", "config")); err == nil {
		t.Error("the user's configuration was written without asking")
	}
	if s.body(api.RouteTargetAdd) != "" {
		t.Error("a key was pinned without asking")
	}
}
