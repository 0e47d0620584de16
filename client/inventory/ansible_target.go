package inventory

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/vaultpam/vaultpam/store"
)

// noLogin is the problem of a host that DefaultLogins can mend.
const noLogin = "no login: ansible_user is not set"

// DefaultLogins gives logins to the hosts for which the inventory names none. One
// that names what is no login, or what only ansible can read, stays without.
func DefaultLogins(targets []Target, logins []store.Login) {
	for i := range targets {
		t := &targets[i]
		if at := slices.Index(t.Problems, noLogin); at >= 0 && len(logins) > 0 {
			t.Logins, t.Problems = slices.Clone(logins), slices.Delete(t.Problems, at, at+1)
		}
	}
}

// target proposes one host.
func (a *ansible) target(host string, in []*group) Target {
	vars := map[string]string{}
	for _, g := range in {
		for name, value := range g.vars {
			vars[name] = value
		}
	}
	for name, value := range a.hostVars[host] {
		vars[name] = value
	}
	t := Target{Origin: host, Line: a.lines[host]}
	read := func(name string) string { return t.either(vars, "ansible_"+name, "ansible_ssh_"+name) }
	t.setName(host)
	address, port := cmp.Or(read("host"), host), cmp.Or(read("port"), strconv.Itoa(defaultPort))
	if !t.unread("ansible_host", address) && !t.unread("ansible_port", port) {
		t.setAddress(strings.Trim(address, "[]"), port)
	}
	switch login := read("user"); {
	case login == "":
		t.problem(noLogin)
	case !t.unread("ansible_user", login):
		l, err := store.ParseLogin(login)
		if err != nil {
			t.problem("%v", err)
		} else {
			t.Logins = []store.Login{l}
		}
	}
	switch c := strings.TrimPrefix(vars["ansible_connection"], "ansible.builtin."); c {
	case "", "ssh", "smart", "paramiko", "paramiko_ssh":
	default:
		t.Elsewhere = true
		t.problem("ansible reaches it by %.80q and not by ssh", c)
	}
	for _, g := range in {
		if g.name != groupAll && g.name != groupUngrouped {
			t.Groups = append(t.Groups, g.name)
		}
	}
	slices.Sort(t.Groups)
	t.label()
	return t
}

// either returns a variable that has a newer and an older name. Which of the two
// wins has changed from one version of ansible to the next.
func (t *Target) either(vars map[string]string, newer, older string) string {
	if vars[newer] != "" && vars[older] != "" && vars[newer] != vars[older] {
		t.problem("%s says %.80q and %s %.80q: the first is taken", newer, vars[newer], older, vars[older])
	}
	return cmp.Or(vars[newer], vars[older])
}

// unread says of a value that only ansible itself can read.
func (t *Target) unread(name, value string) bool {
	switch {
	case strings.Contains(value, "{{") || strings.Contains(value, "{%"):
		t.problem("%s is a template, which only ansible can fill in", name)
	case value == inVault:
		t.problem("%s is in a vault", name)
	default:
		return false
	}
	return true
}

// label makes labels of groups.
func (t *Target) label() {
	var labels []store.TargetLabel
	for _, name := range t.Groups {
		label, err := store.ParseTargetLabel(strings.ToLower(name) + "=yes")
		if err != nil {
			t.problem("group %.80q becomes no label: %v", name, err)
			continue
		}
		labels = append(labels, label)
	}
	all, err := store.NewTargetLabels(labels...)
	if err != nil {
		t.problem("no labels: %v", err)
	}
	t.Labels = all
}
