package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/api"
)

// Keys that nobody has the other half of: screens with them stay the same.
const (
	keyOne   = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	keyTwo   = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC"
	keyThree = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMD"
	keyEC    = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBPjR32XKUbh39xTAOsq7Sh9+7bMSQVv4r/oTi/n8jnbY9ubYEJmeMCeAmgeLRj/Ai4cK1AXbECo/3nG/DQosz4c="
)

const importedInventory = `[db]
db1 ansible_host=10.0.0.5 ansible_user=root
db2 ansible_port=2222 ansible_user=postgres
db3 ansible_user=root
db4 ansible_user=root
db5 ansible_user=root
db6
$(x) ansible_user=root
-oProxyCommand=x ansible_user=root
ok ansible_host=$(x) ansible_user=-oProxyCommand=x
[win]
win1 ansible_user=root ansible_connection=winrm
`

const importedKnownHosts = "10.0.0.5 " + keyEC + "\ndb1,db5,db6 " + keyOne + "\n[db2]:2222 " + keyTwo + "\ndb4 " + keyOne +
	"\n@revoked * " + keyTwo + "\n@cert-authority db3 " + keyThree + "\n"

// importer is a machine with both files, whose server has db4 and db5.
func importer(t *testing.T) (*fakeServer, *machine, []string) {
	t.Helper()
	s := newFakeServer(t)
	m := enrolled(t, s)
	s.set(api.RouteAllTargets, []api.TargetDetail{
		{Name: "db4", Address: "10.9.9.9:22", Logins: []string{"deploy"}, HostKeys: []string{keyThree}},
		{Name: "db5", Address: "db5:22", Logins: []string{"root", "deploy"}, HostKeys: []string{keyOne, keyEC}},
	})
	s.set(api.RouteTargetAdd, api.TargetDetail{Name: "db1"})
	m.write(t, "hosts.ini", importedInventory)
	m.write(t, "known_hosts", importedKnownHosts)
	return s, m, []string{"admin", "target", "import", filepath.Join(m.dir, "hosts.ini"), "--known-hosts", filepath.Join(m.dir, "known_hosts")}
}

func (m *machine) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAdminTargetImport(t *testing.T) {
	screens, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	s, m, words := importer(t)
	t.Chdir(m.dir)
	dry := m.run("admin", "target", "import", "hosts.ini", "--known-hosts", "known_hosts", "--dry-run")
	dry.want(t, exitOK)
	golden(t, screens, "import.txt", "$ vaultpam admin target import hosts.ini --known-hosts known_hosts --dry-run\n"+dry.out+dry.stderr)

	m.run(words...).want(t, exitOther, "no terminal", "--dry-run to see the plan, then --yes")
	m.typed = []string{"n\n"}
	m.run(words...).want(t, exitOther, "nothing was registered")
	if !strings.Contains(m.tty.String(), "register 1 target with these host keys and labels? [y/N]") {
		t.Errorf("asked %q", m.tty.String())
	}
	if got := s.body(api.RouteTargetAdd); got != "" {
		t.Fatalf("registered %s", got)
	}
	m.typed = []string{"y\n"}
	m.run(words...).want(t, exitOK, "added db1; users reach it as db1.pam", "db1 has the labels db=yes", "vaultpamd target setup --ansible")
	if got := s.body(api.RouteTargetLabels); got != `/v1/admin/targets/db1/labels {"labels":"db=yes"}` {
		t.Errorf("labelled %s", got)
	}
	if got := s.body(api.RouteTargetAdd); !strings.Contains(got, `{"name":"db1","address":"10.0.0.5:22","logins":["root"],"host_keys":["`+keyEC+`","`+keyOne+`"]}`) {
		t.Errorf("registered %s", got)
	}
	m.run(append(words, "--limit", "db,!db1", "--yes")...).want(t, exitOK, "nothing to register")
	m.run(append(words, "--limit", "db6", "--login", "deploy", "--egress", "192.0.2.1", "--yes")...).want(t, exitOK, "added db6")
	if got := s.body(api.RouteTargetAdd); !strings.Contains(got, `"egress":"192.0.2.1"`) || !strings.Contains(got, `"logins":["deploy"]`) {
		t.Errorf("registered %s", got)
	}
}

func TestAdminTargetImportAsJSON(t *testing.T) {
	_, m, words := importer(t)
	r := m.run(append(words, "--dry-run", "--json")...)
	r.want(t, exitOK)
	var items []importItem
	if err := json.Unmarshal([]byte(r.out), &items); err != nil {
		t.Fatal(err)
	}
	want := importItem{
		Plan: "new", Host: "db1", Line: 2, Name: "db1", Address: "10.0.0.5:22", Logins: []string{"root"}, Groups: []string{"db"}, Labels: "db=yes", Why: []string{},
		HostKeys: []importKey{
			{keyEC, "SHA256:" + fingerprintOf(t, keyEC), filepath.Join(m.dir, "known_hosts:1")},
			{keyOne, "SHA256:" + fingerprintOf(t, keyOne), filepath.Join(m.dir, "known_hosts:2")},
		},
	}
	if diff := cmp.Diff(want, items[0]); diff != "" || len(items) != 10 {
		t.Errorf("%d items; the first (-want +got):\n%s", len(items), diff)
	}
}

func fingerprintOf(t *testing.T, key string) string {
	t.Helper()
	_, sum, ok := strings.Cut(fingerprints([]string{key})[0], "SHA256:")
	if !ok {
		t.Fatal(key)
	}
	return sum
}

// A host that can't be labelled is registered, the others are labelled, and the
// next run says what is missing.
func TestAdminTargetImportLabels(t *testing.T) {
	s, m, words := importer(t)
	m.write(t, "hosts.ini", "[web]\na ansible_user=root\nb ansible_user=root\n")
	m.write(t, "known_hosts", "a "+keyOne+"\nb "+keyOne+"\n")
	var targets []api.TargetDetail
	s.set(api.RouteTargetAdd, func(body []byte) any {
		var q api.AddTargetRequest
		if err := json.Unmarshal(body, &q); err != nil {
			return api.NewError(api.KindInvalid, "", "%v", err)
		}
		targets = append(targets, api.TargetDetail{Name: q.Name, Address: q.Address, Logins: q.Logins, HostKeys: q.HostKeys})
		return targets[len(targets)-1]
	})
	kind := api.KindForbidden
	s.set(api.RouteTargetLabels, func([]byte) any {
		if len(targets) == 1 {
			return api.NewError(kind, "", "not to yourself")
		}
		return api.Empty{}
	})
	m.run(append(words, "--yes")...).want(t, exitRefused, "labelling a: not to yourself", "added b", "b has the labels web=yes", "2 of 2 were registered; the last that went wrong: labelling a")
	targets[1].Labels = "web=yes"
	s.set(api.RouteAllTargets, targets)
	r := m.run(append(words, "--yes")...)
	r.want(t, exitOK, "nothing to register", "  vaultpam admin target label a web=yes\n")
	if strings.Contains(r.stderr, "label b") {
		t.Error(r.stderr)
	}
	targets, kind = nil, api.KindUnavailable
	s.set(api.RouteAllTargets, []api.TargetDetail{})
	m.run(append(words, "--yes")...).want(t, exitUnavailable, "labelling a, after 1 of 2 were registered", "hint: vaultpam admin target label a web=yes")
}

// What one host is refused for keeps no other out, and whatever else goes wrong
// says how far it came.
func TestAdminTargetImportGoesOn(t *testing.T) {
	s, m, words := importer(t)
	m.write(t, "hosts.ini", "a ansible_user=root\nb ansible_user=root\n")
	m.write(t, "known_hosts", "a "+keyOne+"\nb "+keyOne+"\n")
	refuse := func(kind api.Kind) {
		s.set(api.RouteTargetAdd, func(body []byte) any {
			if strings.Contains(string(body), `"name":"a"`) {
				return api.NewError(kind, "", "no route to it")
			}
			return api.TargetDetail{Name: "b"}
		})
	}
	refuse(api.KindInvalid)
	m.run(append(words, "--yes")...).want(t, exitUsage, "registering a: ", "added b", "1 of 2 were registered")
	refuse(api.KindUnavailable)
	r := m.run(append(words, "--yes")...)
	r.want(t, exitUnavailable, "registering a, after 0 of 2")
	if strings.Contains(r.stderr, "added b") {
		t.Errorf("went on: %s", r.stderr)
	}
}

func TestAdminTargetImportReads(t *testing.T) {
	_, m, words := importer(t)
	list := `{"_meta": {"hostvars": {"db1": {"ansible_user": "root"}}}, "all": {"hosts": ["db1"]}}`
	known := words[len(words)-2:]
	m.runWith(strings.NewReader(list), append([]string{"admin", "target", "import", "-", "--dry-run"}, known...)...).want(t, exitOK, "1 host: 1 new, 0 there")
	if err := os.Mkdir(filepath.Join(m.dir, "group_vars"), 0o700); err != nil {
		t.Fatal(err)
	}
	m.run(append(words, "--dry-run")...).want(t, exitOK, "group_vars is not read; ansible-inventory --list -i "+m.dir)
	m.run("admin", "target", "import", words[3], "--dry-run").want(t, exitOK, "there is no "+m.dir+"/.ssh/known_hosts", "0 new")
	m.write(t, "ec2.py", "#!/bin/sh\n")
	m.run("admin", "target", "import", filepath.Join(m.dir, "ec2.py")).want(t, exitOther, "is a program", "ansible-inventory --list -i ")
	m.write(t, "bad.yml", "- x\n")
	m.run("admin", "target", "import", filepath.Join(m.dir, "bad.yml")).want(t, exitOther, "line 1: want a mapping")
	m.write(t, "lines.ini", "a 'b\n")
	m.run("admin", "target", "import", filepath.Join(m.dir, "lines.ini")).want(t, exitOK, "lines.ini: line 1: a quotation has no end", "nothing to register")
	for _, bad := range [][]string{
		{"admin", "target", "import"}, append(words, "--login", "-x"), append(words, "--egress", "x"), append(words, "--login", "a b"),
	} {
		m.run(bad...).want(t, exitUsage)
	}
	for _, bad := range [][]string{
		append(words, "--limit", "nobody"), {"admin", "target", "import", words[3], "--known-hosts", "/nowhere"}, {"admin", "target", "import", m.dir},
	} {
		m.run(bad...).want(t, exitOther)
	}
}

// golden holds a screen to its file, which -update writes.
func golden(t *testing.T, dir, name, got string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-update writes it):\n%s", path, diff)
	}
}
