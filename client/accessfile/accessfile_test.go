package accessfile_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vaultpam/vaultpam/client/accessfile"
)

var update = flag.Bool("update", false, "write the golden files")

// same compares files by their values, wherever they stand, an empty list being none.
func same() cmp.Options {
	return cmp.Options{cmpopts.EquateEmpty(), cmpopts.IgnoreTypes(accessfile.Place{}), cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == "._" }, cmp.Ignore())}
}

// What a person writes, with everything that there is.
const written = `
version: 1
manages: [guardrails, groups, targets, grants]
groups:
  ops: [carol, bob, "no", null]
  leads:
    - dana
targets:
  web1: {env: dev}
  db1: {role: db, env: prod}
  db2:
grants:
  - to: user:carol
    targets: [db2, db1]
    logins: [root, deploy]
    for: [shell, exec=rsync  --server *, sftp=read-only]
  - name: contractor
    to: group:ops
    select: role in (db,cache), env=prod
    logins: [root]
    for: [vscode, local-forward=10.0.0.5/32:5432]
    from: 2026-08-01T16:00:00+02:00
    until: 2026-12-31T23:59:59.5Z
    hours: mon-fri 08:00-18:00 Europe/Berlin
    conditions:
      reason: true
      ticket: INC-[0-9]+
      approval: {count: 2, of: leads}
      passkey: 15m
      longest: 1h30m
guardrails:
  - against: everyone
    select: "*"
    forbid: [direct, sftp=read-write]
  - name: frozen
    against: bot:ci
    targets: [db1]
    logins: [root]
    forbid: [everything]
`

func parse(t testing.TB, text string) accessfile.File {
	t.Helper()
	f, err := accessfile.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestWrite(t *testing.T) {
	f := parse(t, written)
	got, err := accessfile.Write(f)
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/access.yaml"
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("run with -update and look at the difference:\n%s", diff)
	}
	again := parse(t, string(got))
	if diff := cmp.Diff(f, again, same()); diff != "" {
		t.Errorf("what was written reads differently:\n%s", diff)
	}
	twice, err := accessfile.Write(again)
	if err != nil || string(twice) != string(got) {
		t.Errorf("written again it is %v\n%s", err, cmp.Diff(string(got), string(twice)))
	}
}

// Sections that are managed and empty are written: they say that nothing is left.
func TestWriteEmpty(t *testing.T) {
	f := accessfile.File{Manages: []accessfile.Section{accessfile.SectionGrants, accessfile.SectionGroups}}
	got, err := accessfile.Write(f)
	if err != nil {
		t.Fatal(err)
	}
	if again := parse(t, string(got)); len(again.Manages) != 2 || len(again.Groups)+len(again.Grants) != 0 {
		t.Errorf("%s\nreads as %+v", got, again)
	}
	if _, err := accessfile.Write(accessfile.File{}); err == nil {
		t.Error("a file that manages nothing is written")
	}
	if _, err := accessfile.Write(accessfile.File{Manages: f.Manages, Grants: []accessfile.Grant{{}}}); err == nil {
		t.Error("a grant of nothing is written")
	}
}

// Nothing that is given to Write is sorted in place.
func TestWriteLeavesItsFileAlone(t *testing.T) {
	f := parse(t, written)
	f.Groups[0], f.Groups[1] = f.Groups[1], f.Groups[0]
	f.Grants[1].Targets[0], f.Grants[1].Targets[1] = f.Grants[1].Targets[1], f.Grants[1].Targets[0]
	first, target := f.Groups[0].Name, f.Grants[1].Targets[0]
	if _, err := accessfile.Write(f); err != nil {
		t.Fatal(err)
	}
	if f.Groups[0].Name != first || f.Grants[1].Targets[0] != target {
		t.Error("the file was sorted")
	}
}

func TestParseRefusals(t *testing.T) {
	const head = "version: 1\nmanages: [groups, targets, grants, guardrails]\n"
	const grant = head + "grants:\n- to: user:carol\n  targets: [db1]\n  logins: [root]\n  for: [shell]\n"
	tests := []struct{ text, want string }{
		{"", "the file is empty"},
		{"# nothing", "the file is empty"},
		{"--- {}\n--- {}", "more than one YAML document"},
		{"[]", "line 1: want sections here"},
		{"a: [", "not YAML"},
		{"version: 2\nmanages: [groups]", `line 1: version "2": want version: 1`},
		{"manages: [groups]", "want version: 1"},
		{"version: 1", "want manages"},
		{"version: 1\nmanages: [users]", `line 2: section "users"`},
		{"version: 1\nmanages: [groups, groups]", "line 2: groups: given twice"},
		{"version: 1\nmanages: groups", "line 2: want a list here"},
		{"version: 1\nmanages: [groups]\ngrants:\n- to: user:carol\n  targets: [db1]\n  logins: [root]\n  for: [shell]\n", "line 4: grants is not in manages"},
		{head + "users: {}", `line 3: there is no field "users" here`},
		{grant + "  login: root", `line 8: there is no field "login" here`},
		{head + "grants: {}", "line 3: want a list here"},
		{head + "grants:\n- shell", "line 4: want fields"},
		{head + "groups: [ops]", "line 3: want names here"},
		{head + "groups:\n  Ops: [carol]", "line 4: group name"},
		{head + "groups:\n  ops: carol", "line 4: want a list here"},
		{head + "groups:\n  ops: [Carol]", "line 4: handle"},
		{head + "groups:\n  ops: [carol]\n  ops: [dana]", "ops: given twice"},
		{head + "groups:\n  ops: [~]", `handle "~"`},
		{head + "groups:\n  ops: [{a: b}]", "line 4: want one text here"},
		{head + "targets:\n  db1: {Env: prod}", `line 4: label key "Env"`},
		{head + "targets:\n  db1: {env: prod, env: dev}", "given twice"},
		{head + "targets:\n  db1: {env: }", "line 4: label value"},
		{head + "targets:\n  db1: [env]", "line 4: want names here"},
		{head + "grants:\n- to: carol\n  targets: [db1]\n  logins: [root]\n  for: [shell]\n", "line 4: subject"},
		{head + "grants:\n- to: everyone\n  targets: [db1]\n  logins: [root]\n  for: [shell]\n", "line 4: a grant is to a user"},
		{head + "grants:\n- to: group:ops\n  targets: [db1]\n  logins: [root]\n  for: [shell]\n", "line 4: group ops is not in groups"},
		{head + "grants:\n- to: user:carol\n  logins: [root]\n  for: [shell]\n", "line 4: want targets or select"},
		{grant + "  select: env=prod", "line 4: want targets or select, one of the two"},
		{head + "grants:\n- to: user:carol\n  targets: [db1]\n  for: [shell]\n", "line 4: want logins"},
		{head + "grants:\n- to: user:carol\n  targets: [db1]\n  logins: [root]\n", "line 4: no purpose"},
		{head + "grants:\n- to: user:carol\n  targets: [db1]\n  logins: [root]\n  for: [sftp]\n", "line 4: sftp: say"},
		{head + "grants:\n- to: user:carol\n  targets: [db1]\n  logins: [root]\n  for: [exec=ls;id]\n", "line 7: purpose \"exec=ls;id\": want one for each"},
		{head + "grants:\n- to: user:carol\n  targets: [db1]\n  logins: ['-x']\n  for: [shell]\n", "line 6: login"},
		{grant + "  select: ''", "line 8: selector is empty"},
		{grant + "  hours: Mon 08:00-18:00", "line 8: hours"},
		{grant + "  until: 2026-12-31", "line 8: moment"},
		{grant + "  from: 2026-12-31T00:00:00Z\n  until: 2026-12-30T00:00:00Z", "line 4: ends at"},
		{grant + "  name: Contractor", "line 8: name"},
		{grant + "  conditions: {passkey: 90s}", "line 8: time"},
		{grant + "  conditions: {reason: yes}", `line 8: "yes": want true or false`},
		{grant + "  conditions: {ticket: '('}", "line 8: ticket pattern"},
		{grant + "  conditions: {approval: {count: 2}}", "line 4: want a group of approvers"},
		{grant + "  conditions: {approval: {count: 2, of: leads}}", "line 4: group leads is not in groups"},
		{grant + "  conditions: {longest: 1000h}", "line 4: want a longest session"},
		{grant + "- to: user:carol\n  targets: [db1]\n  logins: [root]\n  for: [shell]\n", "line 8: grant user:carol as root on db1 for shell: given twice"},
		{head + "guardrails:\n- against: everyone\n  select: '*'\n", "line 4: want forbid"},
		{head + "guardrails:\n- against: everyone\n  select: '*'\n  forbid: [exec=ls]\n", "line 4: exec=ls: a guardrail forbids exec as a whole"},
		{head + "guardrails:\n- against: everyone\n  select: '*'\n  forbid: [everything, exec]\n", "line 6: purpose \"everything\""},
		{head + "groups:\n  ops: &a [carol]", "line 4: anchors and aliases are refused"},
		{head + "groups:\n  ops: [*a]", "not YAML"},
		{head + "groups:\n  ops: &a [carol]\n  dba: *a", "line 4: anchors"},
		{head + "groups:\n  <<: {ops: [carol]}", "merge keys are refused"},
		{head + "groups:\n  ops: !!binary [carol]", "line 4: tags are refused"},
		{head + "groups:\n  ops: " + strings.Repeat("[", 20) + strings.Repeat("]", 20), "levels deep"},
		{strings.Repeat(" ", 4<<20) + " ", "4194305 bytes"},
	}
	for _, tt := range tests {
		f, err := accessfile.Parse([]byte(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) || len(f.Manages) != 0 {
			t.Errorf("%.200s\nwant a refusal with %q, got %v", tt.text, tt.want, err)
		}
	}
}

// All that is wrong is said at once, up to a bound.
func TestParseSaysEverything(t *testing.T) {
	_, err := accessfile.Parse([]byte("version: 1\nmanages: [groups]\ngroups:\n  Ops: [Carol, Dana]\n  x y: [bob]\n"))
	if err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("%v, want four lines", err)
	}
	_, err = accessfile.Parse([]byte("version: 1\nmanages: [groups]\ngroups:\n  ops: [" + strings.Repeat("X,", 100) + "]\n"))
	if err == nil || !strings.HasSuffix(err.Error(), "and 80 more") {
		t.Errorf("%v, want twenty lines and what is left", err)
	}
}

// A billion laughs is nine lines.
func TestParseExpandsNothing(t *testing.T) {
	text := "version: 1\nmanages: [groups]\na0: &a0 [x,x,x,x,x,x,x,x,x]\n"
	for i := range 9 {
		n := string(rune('0' + i))
		m := string(rune('1' + i))
		text += "a" + m + ": &a" + m + " [" + strings.TrimSuffix(strings.Repeat("*a"+n+",", 9), ",") + "]\n"
	}
	if _, err := accessfile.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), "line 3: anchors") {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(written))
	f.Add([]byte("version: 1\nmanages: [groups]\ngroups: {ops: []}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := accessfile.Parse(data)
		if err != nil {
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' && r != '\n' || 0x7f <= r && r < 0xa0 || r == 0x2028 }) {
				t.Fatalf("the refusal %q holds what a terminal acts on", err)
			}
			return
		}
		text, err := accessfile.Write(file)
		if err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		again, err := accessfile.Parse(text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if diff := cmp.Diff(file, again, same()); diff != "" {
			t.Fatalf("%s\n%s", diff, text)
		}
		if plan, err := accessfile.Plan(file, again); err != nil || len(plan) > 0 {
			t.Fatalf("a plan of nothing: %v, %v", plan, err)
		}
	})
}

// The example of the documentation is a file, and says no more than it shows.
func TestDocumentationExample(t *testing.T) {
	page, err := os.ReadFile("../../docs/access.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(page), "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	f := parse(t, example)
	if len(f.Groups) != 1 || len(f.Targets) != 1 || len(f.Grants) != 2 || len(f.Guardrails) != 1 {
		t.Errorf("%+v", f)
	}
}
