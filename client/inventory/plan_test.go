package inventory_test

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/client/inventory"
	"github.com/vaultpam/vaultpam/store"
)

// planned reads an inventory and a known_hosts file and returns the plan by host.
func planned(t *testing.T, hosts, known string, have ...inventory.Registered) map[string]inventory.Proposal {
	t.Helper()
	targets, problems, err := inventory.ReadAnsible("hosts.ini", []byte(hosts))
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	readKnown(t, known).Attach(targets)
	all := map[string]inventory.Proposal{}
	for _, p := range inventory.Plan(targets, have) {
		all[p.Origin] = p
	}
	return all
}

func TestPlan(t *testing.T) {
	k1, line1 := newKey(t)
	k2, line2 := newKey(t)
	r1, rsa1 := newRSA(t)
	known := "10.0.0.1,10.0.0.2,same,narrow,moved,account " + line1 + "\nother,twin1,twin2 " + line2 + "\nrsa " + rsa1 + "\n"
	have := func(name, address string, keys ...ssh.PublicKey) inventory.Registered {
		return inventory.Registered{Name: store.TargetName(name), Address: address, Logins: []store.Login{"root", "deploy"}, HostKeys: keys}
	}
	got := planned(t, `[all:vars]
ansible_user=root
[db]
new ansible_host=10.0.0.1
unknown
same
narrow
moved ansible_port=2222
account ansible_user=other
other
rsa
shared ansible_host=10.0.0.2
twin1
TWIN1.example ansible_host=twin1
win ansible_connection=winrm
`, known+"[moved]:2222 "+line1+"\n",
		have("same", "SAME:22", k1, r1), have("narrow", "narrow:22", k1), have("moved", "moved:22", k1), have("account", "account:22", k1),
		have("other", "other:22", k1), have("rsa", "rsa:22", k2), have("first", "10.0.0.2:22", k1))
	for host, want := range map[string]struct {
		verdict inventory.Verdict
		why     string
	}{
		"new":           {inventory.New, ""},
		"unknown":       {inventory.Skipped, "no host key of it is known"},
		"same":          {inventory.There, ""},
		"narrow":        {inventory.There, ""},
		"moved":         {inventory.Differs, "it is registered at moved:22"},
		"account":       {inventory.Differs, "the login other is not registered"},
		"other":         {inventory.Differs, "the ssh-ed25519 key " + ssh.FingerprintSHA256(k2) + " is not pinned"},
		"rsa":           {inventory.Differs, "the ssh-rsa key " + ssh.FingerprintSHA256(r1) + " is not pinned"},
		"shared":        {inventory.Skipped, "10.0.0.2:22 is the target first already"},
		"twin1":         {inventory.New, ""},
		"TWIN1.example": {inventory.Skipped, "twin1:22 is the target twin1 already"},
		"win":           {inventory.Skipped, `ansible reaches it by "winrm" and not by ssh`},
	} {
		if p := got[host]; p.Verdict != want.verdict || strings.Join(p.Why, "; ") != want.why {
			t.Errorf("%s is %s, %q; want %s, %q", host, p.Verdict, p.Why, want.verdict, want.why)
		}
	}
	if p := got["new"]; p.Line != 4 || p.Labels.String() != "db=yes" || len(p.KeyLines) != 1 || p.KeyLines[0] != 1 {
		t.Errorf("%+v", p)
	}
}

// Nothing with a name, an address or an account that could reach a command line
// as something else is ever new, and each says in which line it stands.
func TestS35InventoryIsHostile(t *testing.T) {
	_, line := newKey(t)
	for _, text := range []string{
		"$(x)", "-oProxyCommand=x", "`x`", "a;b", "a|b", "../a", "a%h", "a,b", "a@b", "ä", "a_b",
		`ok ansible_host=$(x)`, `ok ansible_host=-oProxyCommand=x`, `ok ansible_host="a b"`, `ok ansible_port=22x`, `ok ansible_port=-1`,
		`ok ansible_user=-oProxyCommand=x`, `ok ansible_user=$(x)`, `ok ansible_user="a b"`, `ok ansible_user='{{ x }}'`, "ok ansible_user=a,b",
	} {
		hosts := text
		if !strings.Contains(text, "ansible_user") {
			hosts += " ansible_user=root"
		}
		targets, problems, err := inventory.ReadAnsible("hosts.ini", []byte("# first\n\n"+hosts+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		inventory.DefaultLogins(targets, []store.Login{"root"})
		readKnown(t, "* "+line+"\n").Attach(targets)
		plan := inventory.Plan(targets, nil)
		if len(plan) == 0 && (len(problems) == 0 || !strings.HasPrefix(problems[0], "line 3: ")) {
			t.Errorf("%s: %q", text, problems)
		}
		for _, p := range plan {
			if p.Verdict != inventory.Skipped || p.Line != 3 || len(p.Why) == 0 {
				t.Errorf("%s: %+v", text, p)
			}
			for _, w := range p.Why {
				checkProblem(t, w)
			}
		}
	}
	targets, _, err := inventory.ReadAnsible("hosts.yml", []byte("all:\n  hosts:\n    \"db1\\nroot\": {ansible_user: root}\n    ok: {ansible_host: \"x\\ny\", ansible_user: root}\n"))
	if err != nil {
		t.Fatal(err)
	}
	readKnown(t, "* "+line+"\n").Attach(targets)
	for i, p := range inventory.Plan(targets, nil) {
		if p.Verdict != inventory.Skipped || p.Line != 3+i {
			t.Errorf("%+v", p)
		}
	}
}

// A key that known_hosts calls revoked is pinned nowhere, and an authority is no
// key.
func TestS34KnownHostsRevokes(t *testing.T) {
	lost, lostLine := newKey(t)
	kept, keptLine := newRSA(t)
	_, caLine := newKey(t)
	got := planned(t, "[all:vars]\nansible_user=root\n[all]\na\nb\nc.corp\n",
		"a,b "+lostLine+"\nb "+keptLine+"\n@revoked elsewhere "+lostLine+"\n@cert-authority *.corp "+caLine+"\n")
	if p := got["a"]; p.Verdict != inventory.Skipped || !strings.Contains(p.Why[0], ssh.FingerprintSHA256(lost)+" is revoked (known_hosts, line 3)") {
		t.Errorf("%+v", p)
	}
	if p := got["b"]; p.Verdict != inventory.New || fingerprints(p.HostKeys) != ssh.FingerprintSHA256(kept) || !strings.Contains(p.Why[0], "is revoked") {
		t.Errorf("%+v", p)
	}
	if p := got["c.corp"]; p.Verdict != inventory.Skipped || !strings.Contains(p.Why[0], "an authority for it (line 4)") {
		t.Errorf("%+v", p)
	}
}

func TestLimit(t *testing.T) {
	targets, _, err := inventory.ReadAnsible("hosts", []byte("[web]\nweb1\nweb2\n[db]\ndb1\nweb2\n"))
	if err != nil {
		t.Fatal(err)
	}
	for pattern, want := range map[string]string{
		"all": "web1 web2 db1", "*": "web1 web2 db1", "web": "web1 web2", "web,!db": "web1", "!db1": "web1 web2", "web,&db": "web2",
		"web1, db1": "web1 db1", "web?": "web1 web2", "d*": "web2 db1",
		"wbe": "!is called", "web,!x": "!is called", "": "!want hosts", "web,": "!want hosts", "!!a": "!want hosts", "!": "!want hosts",
	} {
		kept, err := inventory.Limit(targets, pattern)
		if part, refused := strings.CutPrefix(want, "!"); refused {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%q: %v", pattern, err)
			}
			continue
		}
		var names []string
		for _, k := range kept {
			names = append(names, k.Origin)
		}
		if err != nil || strings.Join(names, " ") != want {
			t.Errorf("%q: %q, %v; want %s", pattern, names, err, want)
		}
	}
}

func TestReadAnsibleFormats(t *testing.T) {
	for name, text := range map[string]string{
		"hosts.ini": "db1 ansible_user=root\n", "hosts": "db1 ansible_user=root\n", "HOSTS.YML": "all: {hosts: {db1: {ansible_user: root}}}",
		"hosts.json": `{"_meta": {"hostvars": {"db1": {"ansible_user": "root"}}}, "all": {"hosts": ["db1"]}}`,
		"-":          `{"_meta": {"hostvars": {"db1": {"ansible_user": "root"}}}, "all": {"hosts": ["db1"]}}`,
	} {
		targets, problems, err := inventory.ReadAnsible(name, []byte(text))
		if err != nil || len(problems) > 0 || len(targets) != 1 || targets[0].Name != "db1" || len(targets[0].Logins) != 1 || targets[0].Line != 1 {
			t.Errorf("%s: %+v, %q, %v", name, targets, problems, err)
		}
	}
	if _, _, err := inventory.ReadAnsible("ec2.py", []byte("#!/usr/bin/python3\n")); !errors.Is(err, inventory.ErrProgram) {
		t.Errorf("a program: %v", err)
	}
}
