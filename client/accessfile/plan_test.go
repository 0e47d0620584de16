package accessfile_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/client/accessfile"
	"github.com/vaultpam/vaultpam/server/api"
)

// everythingManaged is the head of what an export would be.
const everythingManaged = "version: 1\nmanages: [groups, targets, grants, guardrails]\n"

const there = everythingManaged + `
groups: {ops: [bob, carol], old: [dana]}
targets: {db1: {env: prod}, db2: {}, web1: {env: dev}}
grants:
- {name: ops, to: "group:ops", targets: [db1], logins: [root], for: [shell]}
- {to: "user:dana", targets: [web1], logins: [www], for: [shell]}
guardrails:
- {name: no-direct, against: everyone, select: "*", forbid: [direct]}
`

func TestPlan(t *testing.T) {
	const all = "version: 1\nmanages: [groups, targets, grants, guardrails]\n"
	tests := []struct{ name, want, plan string }{
		{"the same", there, ""},
		{"the same, of which a part is managed", "version: 1\nmanages: [groups]\ngroups: {old: [dana], ops: [carol, bob]}\n", ""},
		{"other names for the same", "version: 1\nmanages: [guardrails]\nguardrails:\n- {name: other, against: everyone, select: '*', forbid: [direct]}\n", ""},
		{"nothing is left", all, `
- grant group:ops as root on db1 for shell  (ops, line 7)
- grant user:dana as www on web1 for shell  (line 8)
- guardrail everyone as any login on {*} forbids direct  (no-direct, line 10)
- group old: dana  (line 4)
- group ops: bob, carol  (line 4)`},
		{"what is not managed stays", "version: 1\nmanages: [guardrails]\n", "\n- guardrail everyone as any login on {*} forbids direct  (no-direct, line 10)"},
		{"targets that are not named stay", "version: 1\nmanages: [targets]\ntargets: {db2: {env: prod}}\n", `
~ target db2: env=prod, instead of none  (line 3)`},
		{"narrow first, widen last", all + `
groups: {ops: [bob, dana], new: [carol]}
targets: {db1: {env: dev}}
grants:
- {name: ops, to: "group:ops", targets: [db1, db2], logins: [root], for: [shell]}
- {to: "group:new", targets: [web1], logins: [www], for: [shell]}
guardrails:
- {name: frozen, against: "group:new", targets: [db1], forbid: [everything]}
`, `
+ group new: carol  (line 4)
+ guardrail group:new as any login on db1 forbids everything  (frozen, line 10)
- grant user:dana as www on web1 for shell  (line 8)
~ group ops: +dana -carol  (line 4)
~ target db1: env=dev, instead of env=prod  (line 5)
+ grant group:new as www on web1 for shell  (line 8)
+ grant group:ops as root on db2 for shell  (ops, line 7)
- guardrail everyone as any login on {*} forbids direct  (no-direct, line 10)
- group old: dana  (line 4)`},
	}
	for _, tt := range tests {
		plan, err := accessfile.Plan(parse(t, there), parse(t, tt.want))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		var got strings.Builder
		for _, c := range plan {
			got.WriteString("\n" + c.String())
		}
		if diff := cmp.Diff(tt.plan, got.String()); diff != "" {
			t.Errorf("%s:\n%s", tt.name, diff)
		}
	}
	for file, want := range map[string]string{
		"version: 1\nmanages: [targets]\ntargets: {db9: {env: prod}}\n":                                                 "line 3: there is no target db9",
		"version: 1\nmanages: [grants]\ngrants:\n- {to: 'bot:ci', targets: [db1], logins: [root], for: [shell]}\n":      "line 4: there is no bot ci",
		"version: 1\nmanages: [guardrails]\nguardrails:\n- {against: 'bot:ci', targets: [db1], forbid: [everything]}\n": "line 4: there is no bot ci",
	} {
		if plan, err := accessfile.Plan(parse(t, there), parse(t, file)); err == nil || !strings.Contains(err.Error(), want) || plan != nil {
			t.Errorf("%s: %v, want %q", file, err, want)
		}
	}
}

// Bots are spoken of as what they are, so that a file and an export say the same.
func TestPlanOfBots(t *testing.T) {
	have, err := accessfile.FromServer(nil, []api.TargetDetail{{Name: "db1"}}, []api.Grant{{ID: 7, User: "ci", Target: "db1", Logins: []string{"root"}}}, []api.Bot{{Handle: "ci"}})
	if err != nil {
		t.Fatal(err)
	}
	const file = "version: 1\nmanages: [grants]\ngrants:\n- {to: 'SUBJECT', targets: [db1], logins: [root], for: [shell, exec, no-tty, sftp=read-write]}\n"
	for subject, want := range map[string]string{"bot:ci": "", "user:ci": "line 4: ci is a bot: write bot:ci", "bot:carol": "line 4: there is no bot carol"} {
		plan, err := accessfile.Plan(have, parse(t, strings.ReplaceAll(file, "SUBJECT", subject)))
		if want == "" && (err != nil || len(plan) != 0) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, %v", subject, plan, err)
		}
	}
}

// A server may hold two grants that say the same. They stay, or go, together.
func TestPlanOfRepetitions(t *testing.T) {
	f := parse(t, there)
	twice := f
	twice.Grants = append(slices.Clone(f.Grants), f.Grants[1])
	if plan, err := accessfile.Plan(twice, f); err != nil || len(plan) != 0 {
		t.Errorf("%v, %v", plan, err)
	}
	if plan, err := accessfile.Plan(twice, parse(t, "version: 1\nmanages: [grants]\n")); err != nil || len(plan) != 3 {
		t.Errorf("%v, %v", plan, err)
	}
}

// drawFile draws a file of a small world, so that files meet.
func drawFile(t *rapid.T, name string, sections []accessfile.Section, targets func(string) bool) accessfile.File {
	var b strings.Builder
	chance := func(what string) bool { return rapid.Bool().Draw(t, name+" "+what) }
	pick := func(what string, of ...string) string { return rapid.SampledFrom(of).Draw(t, name+" "+what) }
	fmt.Fprintf(&b, "version: 1\nmanages: %v\n", strings.Join(strings.Fields(fmt.Sprint(sections)), ", "))
	managed := func(s accessfile.Section) bool { return slices.Contains(sections, s) }
	if managed(accessfile.SectionGroups) {
		b.WriteString("groups:\n  ops: [" + pick("ops", "", "bob", "bob, carol") + "]\n")
		if chance("dba") {
			b.WriteString("  dba: [" + pick("dba members", "", "dana") + "]\n")
		}
	}
	if managed(accessfile.SectionTargets) {
		b.WriteString("targets:\n")
		for _, target := range []string{"db1", "db2"} {
			if targets(target) {
				fmt.Fprintf(&b, "  %s: {%s}\n", target, pick(target, "", "env: dev", "env: prod, role: db"))
			}
		}
	}
	rule := func(i int) string {
		text := ""
		if i%2 == 0 {
			text = fmt.Sprintf("name: r%d, ", i)
		}
		return text + pick("targets", "targets: [db1]", "targets: [db1, db2]", "select: '*'") + ", logins: [" + pick("login", "root", fmt.Sprintf("l%d", i)) + "]"
	}
	for i := range 3 {
		if i == 0 && managed(accessfile.SectionGrants) {
			b.WriteString("grants:\n")
		}
		if managed(accessfile.SectionGrants) && chance("grant") {
			fmt.Fprintf(&b, "- {%s, to: '%s', for: [%s]}\n", rule(i), pick("to", "group:ops", fmt.Sprintf("user:u%d", i)), pick("for", "shell", "exec"))
		}
	}
	if managed(accessfile.SectionGuardrails) && chance("guardrail") {
		fmt.Fprintf(&b, "guardrails:\n- {%s, against: everyone, forbid: [%s]}\n", rule(0), pick("forbid", "direct", "everything"))
	}
	f, err := accessfile.Parse([]byte(b.String()))
	if err != nil {
		if strings.Contains(err.Error(), "given twice") {
			return drawFile(t, name+" again", sections, targets)
		}
		t.Fatalf("%v\n%s", err, b.String())
	}
	return f
}

// After the plan it is as the file says, what is not managed is as it was, and
// planning again finds nothing to do.
func TestPlanProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		have := drawFile(t, "have", accessfile.Sections(), func(string) bool { return true })
		manages := rapid.SliceOfNDistinct(rapid.SampledFrom(accessfile.Sections()), 1, 4, rapid.ID).Draw(t, "manages")
		want := drawFile(t, "want", manages, func(target string) bool { return rapid.Bool().Draw(t, "want "+target) })
		if !want.IsManaged(accessfile.SectionGrants) && want.IsManaged(accessfile.SectionGroups) {
			have.Grants = nil // whose groups would go: the server refuses that, the plan can't know
		}
		s := serve(t, have)
		had := s.file(t)
		plan, err := accessfile.Plan(had, want)
		if err != nil {
			t.Fatal(err)
		}
		s.take(t, accessfile.Steps(plan))
		after := s.file(t)
		for _, section := range accessfile.Sections() {
			wanted := had
			if want.IsManaged(section) && section != accessfile.SectionTargets {
				wanted = want
			}
			if section == accessfile.SectionTargets {
				wanted = labelled(had, want)
			}
			got, err := accessfile.Export(after, []accessfile.Section{section})
			if err != nil {
				t.Fatal(err)
			}
			as, err := accessfile.Parse(got)
			if err != nil {
				t.Fatal(err)
			}
			// A plan is also how files are compared, whatever their rules are called.
			if diff, err := accessfile.Plan(wanted, as); err != nil || len(diff) > 0 {
				t.Fatalf("%s is not as it should be: %v, %v", section, diff, err)
			}
		}
		if again, err := accessfile.Plan(after, want); err != nil || len(again) > 0 {
			t.Fatalf("a second plan: %v, %v", again, err)
		}
	})
}

// labelled is what a server has, with the labels of the targets that a file names.
func labelled(have, want accessfile.File) accessfile.File {
	have.Targets = slices.Clone(have.Targets)
	for i, target := range have.Targets {
		for _, w := range want.Targets {
			if w.Name == target.Name {
				have.Targets[i] = w
			}
		}
	}
	return have
}
