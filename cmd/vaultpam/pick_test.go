package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/client/tui"
	"github.com/vaultpam/vaultpam/server/api"
)

// What ssh is run with: its own configuration where that leads to the relay,
// VaultPAM's where it does not. Names come behind "--".
func TestS35PickRunsSSH(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	choice := tui.Choice{Target: "db1", Login: "svc@corp.example"}
	connect := func() []string {
		t.Helper()
		a := &app{Main: &Main{Env: m.env, Executable: func() (string, error) { return "/usr/bin/vaultpam", nil },
			Exec: func(program string, args, _ []string) (int, error) {
				m.exec = append([]string{program}, args...)
				return 42, nil
			}}}
		defer a.close()
		n, err := a.known()
		if err != nil {
			t.Fatal(err)
		}
		if err := a.connectTo(n, choice); err != nil {
			t.Fatal(err)
		}
		if a.code != 42 {
			t.Errorf("the exit code is %d, want ssh's", a.code)
		}
		return m.exec
	}
	want := []string{"ssh", "-F", filepath.Join(m.home(), "ssh_config"), "--", "svc@corp.example@db1.pam"}
	if diff := cmp.Diff(want, connect()); diff != "" {
		t.Error(diff)
	}
	if got := files(t, m.home()); !slicesHave(got, "ssh_config") || !slicesHave(got, "known_hosts") {
		t.Errorf("the configuration is not there: %v", got)
	}
	m.run("config", "ssh", "--yes").want(t, exitOK)
	if diff := cmp.Diff([]string{"ssh", "--", "svc@corp.example@db1.pam"}, connect()); diff != "" {
		t.Error(diff)
	}
}

func TestChoices(t *testing.T) {
	until := time.Date(2026, 11, 24, 1, 0, 0, 0, time.UTC)
	got := choicesOf([]api.Target{{Name: "db1", Logins: []string{"root", "deploy"}, Until: until}, {Name: "web1"}})
	want := []tui.Choice{{Target: "db1", Login: "root", Until: until}, {Target: "db1", Login: "deploy", Until: until}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
