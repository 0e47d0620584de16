package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/server/api"
)

// localhost is a data directory of a server that calls itself so: looking at its
// addresses leads nowhere else.
func localhost(t *testing.T, more ...string) string {
	t.Helper()
	dir := t.TempDir() + "/data"
	args := []string{"init", "--dir", dir, "--name", "localhost", "--https", freeAddress(t), "--ssh", freeAddress(t)}
	if r := run(t, append(args, more...)...); r.code != exitDone {
		t.Fatalf("%+v", r)
	}
	return dir
}

func TestDoctor(t *testing.T) {
	dir := localhost(t)
	r := run(t, "doctor", "--dir", dir)
	if r.code != exitFailed || !strings.Contains(r.stderr, "vaultpamd: not well: 1 of 9\n") {
		t.Errorf("%+v", r)
	}
	for _, line := range []string{
		"configuration: right\n", "keys: whole, and nobody else can read them\n", "https: not looked at, because the server does not run\n",
		"certificate: self-signed; invitations pin its key, and no client looks at its end\n",
		"passkeys: browsers will refuse them, because the certificate is self-signed: docs/install.md, TLS, has the two ways to one that browsers accept\n",
	} {
		if !strings.Contains(r.out, line) {
			t.Errorf("no line %q:\n%s", line, r.out)
		}
	}
	stop := serving(t, dir)
	r = run(t, "doctor", "--dir", dir, "--json")
	var said struct {
		Well   bool                 `json:"well"`
		Checks []server.Observation `json:"checks"`
	}
	if err := json.Unmarshal([]byte(r.out), &said); err != nil || r.code != exitFailed || said.Well || len(said.Checks) != 9 {
		t.Errorf("%+v: %v", r, err)
	}
	for _, o := range said.Checks {
		if want := server.Well; o.Name != "passkeys" && o.Verdict != want {
			t.Errorf("%+v", o)
		}
	}
	stop()
	if r := run(t, "doctor", "--dir", t.TempDir()); r.code != exitFailed || r.out != "" || !strings.Contains(r.stderr, "is not a data directory") {
		t.Errorf("%+v", r)
	}
}

func TestInitChoosesTheCertificate(t *testing.T) {
	for _, c := range []struct {
		flags []string
		want  string
		pin   bool
	}{
		{nil, "mode: self-signed\n", true},
		{[]string{"--tls-cert", "/o/cert.pem", "--tls-key", "/o/key.pem"}, "mode: file\n    cert: /o/cert.pem\n    key: /o/key.pem\n", false},
		{[]string{"--acme"}, "mode: acme\n    accept_terms: true\n", false},
	} {
		dir := t.TempDir() + "/data"
		args := []string{"init", "--dir", dir, "--name", "pam.example.eu"}
		r := run(t, append(args, c.flags...)...)
		link := between(r.out, "vaultpam enroll '", "'")
		if r.code != exitDone || pinned(t, link) != c.pin {
			t.Errorf("%v: %+v", c.flags, r)
		}
		if text := read(t, dir+"/vaultpam.yaml"); !strings.Contains(text, "tls:\n    "+c.want) {
			t.Errorf("%v: %s", c.flags, text)
		}
	}
	for _, c := range []struct {
		flags []string
		code  int
		want  string
	}{
		{[]string{"--tls-cert", "/o/cert.pem"}, exitUsage, "--tls-cert and --tls-key go together"},
		{[]string{"--tls-key", "/o/key.pem"}, exitUsage, "go together"},
		{[]string{"--acme", "--tls-cert", "/o/cert.pem", "--tls-key", "/o/key.pem"}, exitUsage, "choose one"},
		{[]string{"--acme", "--name", "10.0.0.1"}, exitFailed, "acme needs a host name with a dot in it"},
		{[]string{"--acme", "--name", "pam"}, exitFailed, "acme needs a host name with a dot in it"},
	} {
		args := []string{"init", "--dir", t.TempDir() + "/data", "--name", "pam.example.eu"}
		if r := run(t, append(args, c.flags...)...); r.code != c.code || !strings.Contains(r.stderr, c.want) {
			t.Errorf("%v: %+v", c.flags, r)
		}
	}
}

func pinned(t *testing.T, link string) bool {
	t.Helper()
	inv, err := api.ParseInvitation(link)
	if err != nil {
		t.Errorf("the invitation %q: %v", link, err)
	}
	return len(inv.Pin) != 0
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
