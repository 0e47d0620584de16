package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/api"
)

// direct answers every question for a direct certificate.
func (s *fakeServer) direct(hostKey string) func([]byte) any {
	return func(body []byte) any {
		var q api.DirectRequest
		if err := json.Unmarshal(body, &q); err != nil {
			return api.NewError(api.KindInvalid, "", "%v", err)
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(q.PublicKey))
		if err != nil {
			return api.NewError(api.KindInvalid, "", "%v", err)
		}
		now := uint64(time.Now().Unix())
		cert := &ssh.Certificate{
			Key: key, CertType: ssh.UserCert, Serial: 7, ValidPrincipals: []string{q.Login + "@" + q.Target}, ValidAfter: now - 60, ValidBefore: now + 300,
		}
		if err := cert.SignCert(rand.Reader, s.userCA); err != nil {
			return api.NewError(api.KindInternal, "", "%v", err)
		}
		r := api.DirectResponse{Address: "192.0.2.9:22", HostKeys: []string{hostKey}}
		r.Certificate, r.Serial = string(ssh.MarshalAuthorizedKey(cert)), 7
		return r
	}
}

// TestDirectInParallel: any number of ssh at once, to one host and to many, get what
// each needs, and every host's keys are pinned.
func TestDirectInParallel(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	key := hostKey(s)
	s.set(api.RouteDirect, s.direct(key))
	m.run("config", "ssh", "--yes").want(t, exitOK)
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			// As ssh calls it, with the name in upper case as it was typed.
			if r := m.run("cert", "--ensure", "--quiet", "--direct", "--", fmt.Sprintf("root@DB%d.direct.pam", i%8)); r != (result{}) {
				t.Errorf("%+v", r)
			}
		})
	}
	wg.Wait()
	known, err := os.ReadFile(filepath.Join(m.home(), "known_hosts"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		name := fmt.Sprintf("db%d.direct.pam", i)
		if !strings.Contains(string(known), fmt.Sprintf("\n%s,[%s]:* %s\n", name, name, strings.TrimSpace(key))) {
			t.Errorf("%s is not pinned:\n%s", name, known)
		}
		if _, err := os.Stat(filepath.Join(m.home(), "direct", "root@"+name, "id_ed25519-cert.pub")); err != nil {
			t.Error(err)
		}
	}
	m.run("config", "ssh").want(t, exitOK, "nothing to change")
	// A good one needs no server; another login does.
	s.set(api.RouteDirect, api.NewError(api.KindForbidden, "go through the relay", "carol may not"))
	m.run("cert", "--ensure", "--quiet", "--direct", "root@db1").want(t, exitOK)
	m.run("cert", "--direct", "deploy@db1").want(t, exitRefused, "carol may not", "hint: go through the relay")
	m.run("logout").want(t, exitOK)
	if _, err := os.Stat(filepath.Join(m.home(), "direct")); !os.IsNotExist(err) {
		t.Errorf("after signing out: %v", err)
	}
}

// TestDirectGrantIsExplained: who grants direct reads what it takes besides.
func TestDirectGrantIsExplained(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	for purposes, want := range map[string]string{
		"direct": "it takes shell; exec; no-tty; sftp=read-write there", "shell; exec; no-tty; sftp=read-write; direct": "", "shell": "",
	} {
		s.set(api.RouteGrantAdd, api.Grant{ID: 9, User: "carol", Target: "db1", Logins: []string{"root"}, For: purposes})
		r := m.run("admin", "grant", "add", "carol", "db1", "--login", "root", "--for", purposes)
		r.want(t, exitOK, want)
		if strings.Contains(r.stderr, "note: ") != (want != "") {
			t.Errorf("%s: %s", purposes, r.stderr)
		}
	}
	s.set(api.RouteGrantAdd, api.Grant{ID: 9, User: "carol", Target: "db1", Logins: []string{"root"}, For: "direct", Conditions: api.Conditions{Longest: 60}})
	m.run("admin", "grant", "add", "carol", "db1", "--login", "root", "--for", "direct", "--longest", "1h").want(t, exitOK, "opens no way past it")
}

// TestDirectPlaces: what stands for a login of a target, and what does not.
func TestDirectPlaces(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	s.set(api.RouteDirect, s.direct(hostKey(s)))
	for _, good := range []string{"root@db1", "root@db1.direct.pam", "carol@corp.example@db1.prod.direct.pam", "svc$@DB1"} {
		m.run("cert", "--direct", good).want(t, exitOK, "past the relay: nothing is recorded there", "next: vaultpam config ssh, then: ssh ")
	}
	for _, bad := range []string{"db1", "@db1", "root@", "root@-db1", "-oProxyCommand=x@db1", "root@db1;id", "ro ot@db1", "root@$(id).direct.pam", "root@db1\n"} {
		m.run("cert", "--direct", "--", bad).want(t, exitUsage, "want")
	}
	m.run("cert", "--direct").want(t, exitUsage, "--direct and LOGIN@TARGET go together")
	m.run("cert", "root@db1").want(t, exitUsage, "--direct and LOGIN@TARGET go together")
}
