package accessfile_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/client/accessfile"
	"github.com/vaultpam/vaultpam/store"
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
		{"nothing is left", all, `
- grant user:dana as www on web1 for shell
- grant ops: group:ops as root on db1 for shell
- guardrail no-direct: everyone as any login on {*} forbids direct
- group old: dana
- group ops: bob, carol`},
		{"what is not managed stays", "version: 1\nmanages: [guardrails]\n", "\n- guardrail no-direct: everyone as any login on {*} forbids direct"},
		{"targets that are not named stay", "version: 1\nmanages: [targets]\ntargets: {db2: {env: prod}}\n", `
- target db2: none
+ target db2: env=prod`},
		{"narrow first, widen last", all + `
groups: {ops: [bob, dana], new: [carol]}
targets: {db1: {env: dev}}
grants:
- {name: ops, to: "group:ops", targets: [db1], logins: [root], for: [shell, exec]}
- {to: "group:new", targets: [web1], logins: [www], for: [shell]}
guardrails:
- {name: frozen, against: "group:new", targets: [db1], forbid: [everything]}
`, `
- grant user:dana as www on web1 for shell
+ group new: carol
+ guardrail frozen: group:new as any login on db1 forbids everything
- group ops: bob, carol
+ group ops: bob, dana
- target db1: env=prod
+ target db1: env=dev
- grant ops: group:ops as root on db1 for shell
+ grant ops: group:ops as root on db1 for shell; exec
+ grant group:new as www on web1 for shell
- guardrail no-direct: everyone as any login on {*} forbids direct
- group old: dana`},
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
		// Removals of one kind have no order of their own.
		if diff := cmp.Diff(sortRemovals(tt.plan), sortRemovals(got.String())); diff != "" {
			t.Errorf("%s:\n%s", tt.name, diff)
		}
	}
	_, err := accessfile.Plan(parse(t, there), parse(t, "version: 1\nmanages: [targets]\ntargets: {db9: {env: prod}}\n"))
	if err == nil || !strings.Contains(err.Error(), "there is no target db9") {
		t.Errorf("a target that is not registered: %v", err)
	}
}

// sortRemovals sorts neighbouring lines that remove grants.
func sortRemovals(plan string) string {
	lines := strings.Split(plan, "\n")
	for i := 1; i < len(lines); i++ {
		if strings.HasPrefix(lines[i], "- grant") && strings.HasPrefix(lines[i-1], "- grant") && lines[i] < lines[i-1] {
			lines[i], lines[i-1] = lines[i-1], lines[i]
		}
	}
	return strings.Join(lines, "\n")
}

// A server may hold two grants that say the same; a file says it once.
func TestPlanRemovesRepetitions(t *testing.T) {
	f := parse(t, there)
	twice := f
	twice.Grants = append(slices.Clone(f.Grants), f.Grants[1])
	plan, err := accessfile.Plan(twice, f)
	if err != nil || len(plan) != 1 || plan[0].Action != accessfile.Remove || plan[0].Section() != accessfile.SectionGrants {
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

// carryOut does what a plan says, and fails where a step can't be taken.
func carryOut(t *rapid.T, have accessfile.File, plan []accessfile.Change) accessfile.File {
	for _, c := range plan {
		switch c.Section() {
		case accessfile.SectionGroups:
			have.Groups = step(t, have.Groups, c)
			for _, g := range have.Grants {
				if c.Action == accessfile.Remove && g.Subject.String() == "group:"+string(c.Have.(accessfile.Group).Name) {
					t.Fatalf("%v goes while there is %v", c.Have, g)
				}
			}
		case accessfile.SectionTargets:
			have.Targets = step(t, have.Targets, c)
		case accessfile.SectionGrants:
			have.Grants = step(t, have.Grants, c)
			if c.Action != accessfile.Remove && c.Want.(accessfile.Grant).Subject.Kind == accessfile.SubjectGroup &&
				!slices.ContainsFunc(have.Groups, func(g accessfile.Group) bool { return string(g.Name) == c.Want.(accessfile.Grant).Subject.Name }) {
				t.Fatalf("%v comes before its group", c.Want)
			}
		case accessfile.SectionGuardrails:
			have.Guardrails = step(t, have.Guardrails, c)
		}
	}
	return have
}

// step takes out what was there, which has to be, and puts in what is wanted.
func step[T accessfile.Item](t *rapid.T, have []T, c accessfile.Change) []T {
	next := slices.Clone(have)
	if c.Have != nil {
		i := slices.IndexFunc(next, func(x T) bool { return x.String() == c.Have.String() })
		if i < 0 {
			t.Fatalf("%v is not there", c.Have)
		}
		next = slices.Delete(next, i, i+1)
	}
	if c.Want != nil {
		next = append(next, c.Want.(T))
	}
	return next
}

// lines says all of a section, whatever its order.
func lines[T accessfile.Item](items []T) []string {
	var all []string
	for _, i := range items {
		all = append(all, i.String())
	}
	slices.Sort(all)
	return all
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
		plan, err := accessfile.Plan(have, want)
		if err != nil {
			t.Fatal(err)
		}
		after := carryOut(t, have, plan)
		expect := func(s accessfile.Section, got, had, wanted []string) {
			if !want.IsManaged(s) {
				wanted = had
			}
			if !slices.Equal(got, wanted) {
				t.Fatalf("%s: %q, want %q, by %v", s, got, wanted, plan)
			}
		}
		expect(accessfile.SectionGroups, lines(after.Groups), lines(have.Groups), lines(want.Groups))
		expect(accessfile.SectionGrants, lines(after.Grants), lines(have.Grants), lines(want.Grants))
		expect(accessfile.SectionGuardrails, lines(after.Guardrails), lines(have.Guardrails), lines(want.Guardrails))
		labels := map[store.TargetName]string{}
		for _, target := range append(slices.Clone(have.Targets), want.Targets...) {
			labels[target.Name] = target.String()
		}
		for _, target := range after.Targets {
			if target.String() != labels[target.Name] {
				t.Fatalf("%v, want %s", target, labels[target.Name])
			}
		}
		if again, err := accessfile.Plan(after, want); err != nil || len(again) > 0 {
			t.Fatalf("a second plan: %v, %v", again, err)
		}
	})
}
