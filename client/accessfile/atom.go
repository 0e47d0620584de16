package accessfile

import (
	"slices"

	"github.com/vaultpam/vaultpam/store"
)

// An atom is a rule as the server has it: of one target or a selector, without a
// name. Where the file has a name it is kept beside what is said.

func grantAtoms(rules []Grant) []Grant {
	var all []Grant
	for _, g := range rules {
		for _, r := range g.atoms() {
			g.Rule = r
			all = append(all, g)
		}
	}
	slices.SortStableFunc(all, func(a, b Grant) int { return compareItems(a, b) })
	return all
}

func guardrailAtoms(rules []Guardrail) []Guardrail {
	var all []Guardrail
	for _, g := range rules {
		for _, r := range g.atoms() {
			g.Rule = r
			all = append(all, g)
		}
	}
	slices.SortStableFunc(all, func(a, b Guardrail) int { return compareItems(a, b) })
	return all
}

func (r Rule) atoms() []Rule {
	r = r.clone()
	r.normal()
	r.Called, r.Name = r.Name, ""
	if !r.Select.IsZero() {
		return []Rule{r}
	}
	var all []Rule
	for _, t := range r.Targets {
		one := r
		one.Targets = []store.TargetName{t}
		all = append(all, one)
	}
	return all
}

// merged puts atoms that differ in nothing but their target into one rule, and
// those that say the same twice as well.
func (f File) merged() File {
	f = f.clone()
	f.Grants = merge(grantAtoms(f.Grants), func(g *Grant) *Rule { return &g.Rule })
	f.Guardrails = merge(guardrailAtoms(f.Guardrails), func(g *Guardrail) *Rule { return &g.Rule })
	f.normal()
	return f
}

func merge[T Item](atoms []T, rule func(*T) *Rule) []T {
	var all []T
	at := map[string]int{} // by everything but the targets
	for _, atom := range atoms {
		targets := rule(&atom).Targets
		rule(&atom).Targets = nil
		i, ok := at[atom.String()]
		if !ok {
			i = len(all)
			at[atom.String()] = i
			all = append(all, atom)
		}
		rule(&all[i]).Targets = append(rule(&all[i]).Targets, targets...)
	}
	return all
}
