package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/api"
)

// governed is a server with some access, which refuses what carol would get.
func governed(t *testing.T) (*fakeServer, *machine) {
	t.Helper()
	s := newFakeServer(t)
	s.set(api.RouteGroups, []api.Group{{Name: "ops", Members: []string{"bob", "dave"}}, {Name: "old", Members: []string{"erin"}}})
	s.set(api.RouteAllTargets, []api.TargetDetail{{Name: "db1", Labels: "env=dev"}, {Name: "db2"}})
	s.set(api.RouteGrants, []api.Grant{
		{ID: 12, Group: "ops", Target: "db1", Logins: []string{"root"}},
		{ID: 13, Group: "ops", Target: "db2", Logins: []string{"root"}},
		{ID: 14, User: "erin", Targets: "env=dev", Logins: []string{"www", "deploy"}, For: "shell", Conditions: api.Conditions{Reason: true}},
		{ID: 15, User: "erin", Target: "db1", Logins: []string{"www"}, Request: 9, Base: 14},
		{ID: 16, Targets: "*", Logins: []string{}, Forbids: true, For: "direct"},
	})
	s.set(api.RouteAccess, func(body []byte) any {
		var q api.ChangesRequest
		if err := json.Unmarshal(body[strings.IndexByte(string(body), '{'):], &q); err != nil {
			return api.NewError(api.KindInvalid, "", "%v", err)
		}
		var r api.ChangesResponse
		for i, c := range q.Changes {
			if c.Handle == "carol" || c.Grant != nil && c.Grant.User == "carol" {
				r.Refused = append(r.Refused, api.RefusedChange{Change: i, Kind: api.KindForbidden, Detail: "not to yourself", Hint: "ask another administrator"})
			}
			if c.Target == "db2" && c.Labels == "env=closed" {
				r.Refused = append(r.Refused, api.RefusedChange{Change: i, Kind: api.KindConflict, Detail: "not db2"})
			}
		}
		r.Done = len(r.Refused) == 0 && !q.DryRun
		return r
	})
	return s, enrolled(t, s)
}

const wantedAccess = `version: 1
manages: [groups, targets, grants, guardrails]
groups:
  ops: [bob, frank, carol]
  dba: [frank]
targets:
  db1: {env: prod}
grants:
- {name: ops, to: "group:ops", targets: [db1], logins: [root], for: [shell, exec, no-tty, sftp=read-write]}
- {name: mine, to: "user:carol", targets: [db1, db2], logins: [root], for: [shell]}
- {to: "group:dba", select: env=prod, logins: [postgres], for: [shell]}
guardrails:
- {name: relay, against: everyone, select: "*", forbid: [direct]}
- {against: "group:dba", select: env=prod, forbid: [agent-forward]}
`

func TestAdminExport(t *testing.T) {
	screens, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	s, m := governed(t)
	r := m.run("admin", "export")
	r.want(t, exitOK)
	golden(t, screens, "export.yaml", r.out)
	m.write(t, "access.yaml", r.out)
	m.run("admin", "apply", filepath.Join(m.dir, "access.yaml"), "--dry-run").want(t, exitOK, "this was a dry run")
	m.run("admin", "apply", filepath.Join(m.dir, "access.yaml")).want(t, exitOK, "nothing to change")
	if got := s.body(api.RouteAccess); got != "" {
		t.Errorf("changed %s", got)
	}
	part := m.run("admin", "export", "--only", "guardrails,groups")
	part.want(t, exitOK, "manages: [groups, guardrails]\n", "guardrails:\n")
	if strings.Contains(part.out, "grants:") || strings.Contains(part.out, "targets:") {
		t.Errorf("more than was asked for:\n%s", part.out)
	}
	m.run("admin", "export", "--only", "users").want(t, exitUsage, "is no section")
	m.run("admin", "export", "x").want(t, exitUsage)
	for _, hostile := range []api.Grant{
		{ID: 3, Target: "db1", Logins: []string{"root"}}, {ID: 3, User: "e\x1b[31m", Target: "db1", Logins: []string{"root"}},
		{ID: 3, User: "erin", Target: "db1", Logins: []string{"-x"}}, {ID: 3, User: "erin", Logins: []string{"root"}},
		{ID: 3, User: "erin", Target: "db1", Logins: []string{"root"}, For: "everything"},
	} {
		s.set(api.RouteGrants, []api.Grant{hostile})
		r := m.run("admin", "export")
		r.want(t, exitOther, "grant 3: ")
		if r.out != "" || strings.Contains(r.stderr, "\x1b") {
			t.Errorf("%q %q", r.out, r.stderr)
		}
	}
}

func TestAdminApply(t *testing.T) {
	screens, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	s, m := governed(t)
	m.write(t, "access.yaml", wantedAccess)
	t.Chdir(m.dir)
	dry := m.run("admin", "apply", "access.yaml", "--dry-run")
	dry.want(t, exitRefused)
	golden(t, screens, "apply.txt", "$ vaultpam admin apply access.yaml --dry-run\n"+dry.out+dry.stderr)
	if got := s.body(api.RouteAccess); !strings.Contains(got, `"dry_run":true`) {
		t.Errorf("asked %s", got)
	}
	m.run("admin", "apply", "access.yaml").want(t, exitOther, "no terminal", "--dry-run to see the plan, then --yes")
	m.typed = []string{"n\n"}
	m.run("admin", "apply", "access.yaml").want(t, exitOther, "nothing was changed")
	if got := s.body(api.RouteAccess); !strings.Contains(got, `"dry_run":true`) {
		t.Errorf("asked %s", got)
	}
	m.typed = []string{"y\n"}
	r := m.run("admin", "apply", "access.yaml")
	r.want(t, exitRefused, "access.yaml: line 10: not to yourself", "access.yaml: line 4: not to yourself", "7 of 10 changes done", "hint: ask another administrator")
	if got := s.body(api.RouteAccess); strings.Contains(got, "carol") || strings.Contains(got, "dry_run") || !strings.Contains(got, `{"do":"remove-grant","id":13}`) ||
		strings.Index(got, "add-grant") > strings.Index(got, "remove-grant") {
		t.Errorf("asked %s", got)
	}
}

// What is refused of the labels holds back what would stand on them, and says so.
func TestAdminApplyWaits(t *testing.T) {
	_, m := governed(t)
	m.write(t, "access.yaml", `version: 1
manages: [targets, grants]
targets: {db2: {env: closed}}
grants: [{to: "user:frank", select: "env=dev", logins: [www], for: [shell]}]
`)
	r := m.run("admin", "apply", filepath.Join(m.dir, "access.yaml"), "--yes", "--json")
	r.want(t, exitRefused, "line 3: not db2")
	var items []applyItem
	if err := json.Unmarshal([]byte(r.out), &items); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range items {
		got = append(got, string(i.Action)+" "+string(i.Section)+" "+i.Outcome)
	}
	want := []string{"remove grants done", "remove grants done", "remove grants done", "change targets refused", "add grants waits"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if items[0].ID == 0 || items[3].Line != 3 || items[4].Line != 4 {
		t.Errorf("%+v", items)
	}
}

func TestAdminApplyReads(t *testing.T) {
	s, m := governed(t)
	apply := func(text string, more ...string) result {
		return m.runWith(strings.NewReader(text), append([]string{"admin", "apply", "-"}, more...)...)
	}
	// What is only less or more, without a refusal.
	apply("version: 1\nmanages: [guardrails]\n", "--dry-run").want(t, exitChanges, "- guardrail everyone as any login on {*} forbids direct  (ID 16)")
	apply("version: 1\nmanages: [guardrails]\n", "--yes").want(t, exitOK, "1 of 1 change done")
	apply("version: 1\nmanages: [grants]\n", "--dry-run").want(t, exitChanges, "(ID 14, with what was requested by it: 15)")
	for text, want := range map[string]string{
		"version: 1\nmanages: [groups]\ngroups:\n  ops: &a [bob]\n":          "-: line 4: anchors and aliases are refused",
		"version: 1\nmanages: [groups]\ngroups:\n  ops: !!binary [bob]\n":    "-: line 4: tags are refused",
		"version: 1\nmanages: [groups]\ngroups:\n  \"\\e[31m\": [bob]\n":     `-: line 4: `,
		"version: 1\nmanages: [groups]\ngroups:\n  Ops: [Bob, dave]\n":       "-: nothing of it is applied",
		"version: 1\nmanages: [targets]\ntargets:\n  db9: {env: prod}\n":     "-: line 4: there is no target db9",
		strings.Repeat("#", 4<<20) + "\n":                                    "want at most 4194304",
		"version: 1\nmanages: [grants]\ngroups:\n  ops: [bob]\ngrants: []\n": "line 4: groups is not in manages",
	} {
		r := apply(text, "--yes")
		r.want(t, exitUsage, want)
		if strings.Contains(r.stderr, "\x1b") {
			t.Errorf("%q", r.stderr)
		}
	}
	m.run("admin", "apply", filepath.Join(m.dir, "nowhere.yaml")).want(t, exitOther, "access file: open ")
	apply("x", "--json").want(t, exitUsage, "--json asks nothing")
	// A server that dies in between has said what it did.
	s.set(api.RouteAccess, func([]byte) any { return api.NewError(api.KindUnavailable, "", "the disk is full") })
	apply("version: 1\nmanages: [guardrails]\n", "--yes").want(t, exitUnavailable, "the disk is full")
	s.set(api.RouteAccess, api.ChangesResponse{Refused: []api.RefusedChange{{Change: 7}}})
	apply("version: 1\nmanages: [guardrails]\n", "--yes").want(t, exitOther, "a refusal of no change")
}

// More than one call is needed for many changes. Each is whole, and what is done
// before one fails is said.
func TestAdminApplyInParts(t *testing.T) {
	s, m := governed(t)
	var text strings.Builder
	text.WriteString("version: 1\nmanages: [groups]\ngroups:\n")
	for i := range api.MaxChanges + 50 {
		text.WriteString("  g" + strings.Repeat("x", i%40) + "-" + string(rune('a'+i/40)) + ": []\n")
	}
	calls := 0
	s.set(api.RouteAccess, func(body []byte) any {
		if calls++; calls > 1 {
			return api.NewError(api.KindUnavailable, "", "the disk is full")
		}
		return api.ChangesResponse{Done: true}
	})
	r := m.runWith(strings.NewReader(text.String()), "admin", "apply", "-", "--yes")
	r.want(t, exitUnavailable, "after 200 of 252 steps: the disk is full", "run it again")
}
