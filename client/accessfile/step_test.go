package accessfile_test

import (
	"flag"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/client/accessfile"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// A served company is what a server would have, step by step. It refuses a step
// that a server would refuse.
type served struct {
	groups  []api.Group
	targets []api.TargetDetail
	grants  []api.Grant
	next    uint64
}

// serve is a server on which it is as a file says.
func serve(t *rapid.T, f accessfile.File) *served {
	s := &served{next: 1}
	for _, target := range []string{"db1", "db2"} {
		s.targets = append(s.targets, api.TargetDetail{Name: target})
	}
	plan, err := accessfile.Plan(s.file(t), f)
	if err != nil {
		t.Fatal(err)
	}
	s.take(t, accessfile.Steps(plan))
	return s
}

func (s *served) file(t *rapid.T) accessfile.File {
	f, err := accessfile.FromServer(s.groups, s.targets, s.grants, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (s *served) take(t *rapid.T, steps []accessfile.Step) {
	for _, step := range steps {
		if why := s.step(step.Do); why != "" {
			t.Fatalf("%+v: %s", step.Do, why)
		}
	}
}

func (s *served) step(do api.AccessChange) (refused string) {
	group := slices.IndexFunc(s.groups, func(g api.Group) bool { return g.Name == do.Group })
	named := func(g api.Grant) bool { return g.Group == do.Group || g.Conditions.Approvers == do.Group }
	if do.Group != "" && group < 0 && do.Do != api.VerbAddGroup {
		return "no such group"
	}
	switch do.Do {
	case api.VerbAddGroup:
		s.groups = append(s.groups, api.Group{Name: do.Group})
	case api.VerbRemoveGroup:
		if slices.ContainsFunc(s.grants, named) {
			return "the group is named by grants"
		}
		s.groups = slices.Delete(s.groups, group, group+1)
	case api.VerbAddMember:
		s.groups[group].Members = append(slices.Clone(s.groups[group].Members), do.Handle)
	case api.VerbRemoveMember:
		s.groups[group].Members = slices.DeleteFunc(slices.Clone(s.groups[group].Members), func(m string) bool { return m == do.Handle })
	case api.VerbLabel:
		for i := range s.targets {
			if s.targets[i].Name == do.Target {
				s.targets[i].Labels = do.Labels
			}
		}
	case api.VerbAddGrant:
		if do.Grant.Group != "" && !slices.ContainsFunc(s.groups, func(g api.Group) bool { return g.Name == do.Grant.Group }) {
			return "no such group"
		}
		g := *do.Grant
		g.ID, s.next = s.next, s.next+1
		s.grants = append(s.grants, g)
	case api.VerbRemoveGrant:
		before := len(s.grants)
		if s.grants = slices.DeleteFunc(slices.Clone(s.grants), func(g api.Grant) bool { return g.ID == do.ID }); len(s.grants) == before {
			return "no such grant"
		}
	}
	return ""
}

// reach says slowly who may do what: user, target, login and purpose.
func (s *served) reach(t *rapid.T) map[string]bool {
	all := map[string]bool{}
	for _, user := range []string{"bob", "carol", "dana", "u0", "u1"} {
		for _, target := range s.targets {
			for _, login := range []string{"root", "l0", "l1", "l2"} {
				for _, purpose := range []string{"shell", "exec", "direct"} {
					if s.covered(t, user, target, login, purpose, false) && !s.covered(t, user, target, login, purpose, true) {
						all[strings.Join([]string{user, target.Name, login, purpose}, " ")] = true
					}
				}
			}
		}
	}
	return all
}

func (s *served) covered(t *rapid.T, user string, target api.TargetDetail, login, purpose string, forbids bool) bool {
	return slices.ContainsFunc(s.grants, func(g api.Grant) bool {
		whom := g.User == user || g.User == "" && g.Group == "" || slices.ContainsFunc(s.groups, func(x api.Group) bool {
			return x.Name == g.Group && slices.Contains(x.Members, user)
		})
		where := g.Target == target.Name
		if g.Targets != "" {
			selector, err := store.ParseSelector(g.Targets)
			if err != nil {
				t.Fatal(err)
			}
			var labels store.TargetLabels
			if target.Labels != "" {
				if labels, err = store.ParseTargetLabels(target.Labels); err != nil {
					t.Fatal(err)
				}
			}
			where = selector.Allows(labels)
			if forbids {
				where = selector.Forbids(labels)
			}
		}
		as := slices.Contains(g.Logins, login) || forbids && len(g.Logins) == 0
		what := g.For == "" || slices.Contains(strings.Split(g.For, "; "), purpose)
		return g.Forbids == forbids && whom && where && as && what
	})
}

// Wherever a run ends, between any two steps, nobody reaches what they could not
// reach before and will not in the end; and another run ends where this one would
// have. Groups are such that grants are about or guardrails, and not both.
func TestStepsOpenNothingInBetween(t *testing.T) {
	check(t, 200, 100_000, func(t *rapid.T) {
		s := serve(t, drawCompany(t, "have"))
		want := drawCompany(t, "want")
		before := s.reach(t)
		plan, err := accessfile.Plan(s.file(t), want)
		if err != nil {
			t.Fatal(err)
		}
		end := serve(t, want).reach(t)
		steps := accessfile.Steps(plan)
		dies := rapid.IntRange(0, len(steps)).Draw(t, "dies")
		for i, step := range steps {
			if i == dies {
				rest, err := accessfile.Plan(s.file(t), want)
				if err != nil {
					t.Fatal(err)
				}
				steps = append(steps[:i:i], accessfile.Steps(rest)...)
				for _, step := range accessfile.Steps(rest) {
					s.opensNothing(t, step, before, end)
				}
				break
			}
			s.opensNothing(t, step, before, end)
		}
		if again, err := accessfile.Plan(s.file(t), want); err != nil || len(again) > 0 {
			t.Fatalf("not as the file says after %v: %v, %v", steps, again, err)
		}
	})
}

func (s *served) opensNothing(t *rapid.T, step accessfile.Step, before, end map[string]bool) {
	if why := s.step(step.Do); why != "" {
		t.Fatalf("%+v: %s", step.Do, why)
	}
	for what := range s.reach(t) {
		if !before[what] && !end[what] {
			t.Fatalf("%+v opens %s", step.Do, what)
		}
	}
}

// What the server refuses holds back what would open more than the whole.
func TestHeldOpensNothing(t *testing.T) {
	check(t, 200, 100_000, func(t *rapid.T) {
		s := serve(t, drawCompany(t, "have"))
		want := drawCompany(t, "want")
		before, end := s.reach(t), serve(t, want).reach(t)
		plan, err := accessfile.Plan(s.file(t), want)
		if err != nil {
			t.Fatal(err)
		}
		steps := accessfile.Steps(plan)
		refused := map[int]bool{}
		for i, step := range steps {
			// A server refuses no grant that goes and no group, but for a race.
			if step.Do.Do != api.VerbRemoveGrant && step.Do.Do != api.VerbAddGroup && step.Do.Do != api.VerbRemoveGroup {
				refused[i] = rapid.IntRange(0, 4).Draw(t, "refused") == 0
			}
		}
		held := accessfile.Held(steps, refused)
		for i, step := range steps {
			if !refused[i] && !held[i] && step.Do.Do != api.VerbRemoveGroup {
				s.opensNothing(t, step, before, end)
			}
		}
	})
}

// check is rapid.Check with a number of rounds: few by default, all in the
// campaign.
func check(t *testing.T, few, all int, property func(*rapid.T)) {
	t.Helper()
	if os.Getenv("VAULTPAM_CAMPAIGN") == "1" {
		few = all
	}
	checks := flag.Lookup("rapid.checks")
	before := checks.Value.String()
	if err := checks.Value.Set(strconv.Itoa(few)); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := checks.Value.Set(before); err != nil {
			t.Error(err)
		}
	}()
	rapid.Check(t, property)
}

// drawCompany draws a file with two groups that grants are about, and one that a
// guardrail is about.
func drawCompany(t *rapid.T, name string) accessfile.File {
	pick := func(what string, of ...string) string { return rapid.SampledFrom(of).Draw(t, name+" "+what) }
	members := func(group string) string { return pick(group, "", "bob", "carol", "bob, carol", "bob, dana") }
	var b strings.Builder
	b.WriteString("version: 1\nmanages: [groups, targets, grants, guardrails]\n")
	b.WriteString("groups: {ops: [" + members("ops") + "], dba: [" + members("dba") + "], frozen: [" + members("frozen") + "]}\n")
	b.WriteString("targets: {db1: {" + pick("db1", "", "env: dev", "env: prod") + "}, db2: {" + pick("db2", "", "env: dev", "env: prod") + "}}\n")
	b.WriteString("grants:\n")
	for _, to := range []string{"group:ops", "group:dba", "user:carol"} {
		if where := pick("where "+to, "", "targets: [db1]", "targets: [db1, db2]", "select: env=prod", "select: env!=prod"); where != "" {
			b.WriteString("- {to: '" + to + "', " + where + ", logins: [root], for: [" + pick("for "+to, "shell", "shell, exec") + "]}\n")
		}
	}
	b.WriteString("guardrails:\n")
	for _, against := range []string{"everyone", "group:frozen", "user:carol"} {
		if where := pick("where not "+against, "", "", "targets: [db1]", "select: env=prod", "select: env!=prod"); where != "" {
			b.WriteString("- {against: '" + against + "', " + where + ", forbid: [" + pick("forbid "+against, "shell", "everything") + "]}\n")
		}
	}
	f, err := accessfile.Parse([]byte(b.String()))
	if err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	return f
}
