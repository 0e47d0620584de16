package accessfile

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vaultpam/vaultpam/store"
)

// An Action is what a change does.
type Action string

const (
	Add    Action = "add"
	Modify Action = "change"
	Remove Action = "remove"
)

// A Change is one line of a plan. Have is nil where something is added, Want where
// it is removed; where both are there they are a group or a target of one name.
type Change struct {
	Action Action
	Have   Item
	Want   Item
	// guarded says that a guardrail is against the group, now or in the end.
	guarded bool
}

// Section returns the section that the change is in.
func (c Change) Section() Section {
	if c.Want != nil {
		return c.Want.section()
	}
	return c.Have.section()
}

// String shows the change on one line, with the line of the file and what it calls
// the rule, or with the ID of the grant that goes and of those that go with it.
func (c Change) String() string {
	switch c.Action {
	case Add:
		return "+ " + c.Want.String() + stands(c.Want.Stands())
	case Remove:
		return "- " + c.Have.String() + stands(c.Have.Stands())
	}
	at := stands(c.Want.Stands())
	if g, ok := c.Want.(Group); ok {
		come, leave := c.members()
		return fmt.Sprintf("~ group %s:%s%s%s", g.Name, each(" +", come), each(" -", leave), at)
	}
	want, have := c.Want.(Target), c.Have.(Target)
	return fmt.Sprintf("~ %s, instead of %s%s", want, orNone(have.Labels.String()), at)
}

func stands(p Place) string {
	var parts []string
	if p.Called != "" {
		parts = append(parts, p.Called)
	}
	if p.Line != 0 {
		parts = append(parts, fmt.Sprintf("line %d", p.Line))
	}
	if p.ID != 0 {
		parts = append(parts, fmt.Sprintf("ID %d", p.ID))
	}
	if len(p.Requested) > 0 {
		parts = append(parts, fmt.Sprintf("with what was requested by it: %s", strings.Trim(fmt.Sprint(p.Requested), "[]")))
	}
	if len(parts) == 0 {
		return ""
	}
	return "  (" + strings.Join(parts, ", ") + ")"
}

func each(sign string, handles []store.Handle) string {
	var b strings.Builder
	for _, h := range handles {
		b.WriteString(sign + string(h))
	}
	return b.String()
}

// members returns who comes into the group of a change and who leaves it.
func (c Change) members() (come, leave []store.Handle) {
	var had []store.Handle
	if have, ok := c.Have.(Group); ok {
		had = have.Members
	}
	want, _ := c.Want.(Group)
	for _, h := range want.Members {
		if !slices.Contains(had, h) {
			come = append(come, h)
		}
	}
	for _, h := range had {
		if !slices.Contains(want.Members, h) {
			leave = append(leave, h)
		}
	}
	return come, leave
}

// Plan returns what has to be done so that what is there becomes what is wanted,
// nothing where it is already so. Have is everything that is on the server, with
// every registered target and its labels, as FromServer has it; want is a file.
// Sections that the file does not manage have no changes, and neither have targets
// that it does not name.
//
// A rule is compared by what it says, target by target: the server knows no names
// of rules, and a grant there is of one target or of a selector. So a rule that was
// changed is one that comes and one that goes. Rules that say the same twice, on
// the server or in the file, are one.
//
// The order is that of Steps. It fails where the file names a target that is not
// registered, a bot that is none, or as a user what is a bot.
func Plan(have, want File) ([]Change, error) {
	grants := differences(want.IsManaged(SectionGrants), grantAtoms(have.Grants), grantAtoms(want.Grants))
	guardrails := differences(want.IsManaged(SectionGuardrails), guardrailAtoms(have.Guardrails), guardrailAtoms(want.Guardrails))
	groups := differences(want.IsManaged(SectionGroups), have.Groups, want.Groups)
	targets := differences(want.IsManaged(SectionTargets), have.Targets, want.Targets)
	var errs []error
	for _, c := range only(Add, targets) {
		errs = append(errs, fmt.Errorf("line %d: there is no target %s: register it first, then label it", c.Want.Stands().Line, c.Want.key()))
	}
	for _, c := range append(only(Add, grants), only(Add, guardrails)...) {
		s := subjectOf(c.Want)
		switch isBot := slices.Contains(have.Bots, store.Handle(s.Name)); {
		case s.Kind == SubjectBot && !isBot:
			errs = append(errs, fmt.Errorf("line %d: there is no bot %s: vaultpam admin bot add %s", c.Want.Stands().Line, s.Name, s.Name))
		case s.Kind == SubjectUser && isBot:
			errs = append(errs, fmt.Errorf("line %d: %s is a bot: write bot:%s", c.Want.Stands().Line, s.Name, s.Name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for i := range groups {
		name := itemOf(groups[i]).key()
		against := func(g Guardrail) bool { return g.Subject == Subject{Kind: SubjectGroup, Name: name} }
		groups[i].guarded = slices.ContainsFunc(have.Guardrails, against) || slices.ContainsFunc(want.Guardrails, against)
	}
	var plan []Change
	plan = append(plan, only(Add, groups)...)
	plan = append(plan, only(Add, guardrails)...)
	plan = append(plan, only(Remove, grants)...)
	plan = append(plan, only(Modify, groups)...)
	plan = append(plan, only(Modify, targets)...)
	plan = append(plan, only(Add, grants)...)
	plan = append(plan, only(Remove, guardrails)...)
	return append(plan, only(Remove, groups)...), nil
}

func subjectOf(rule Item) Subject {
	switch r := rule.(type) {
	case Grant:
		return r.Subject
	case Guardrail:
		return r.Subject
	}
	return Subject{}
}

func only(a Action, changes []Change) []Change {
	var found []Change
	for _, c := range changes {
		if c.Action == a {
			found = append(found, c)
		}
	}
	return found
}

// differences compares items of one section by their keys.
func differences[T Item](managed bool, have, want []T) []Change {
	if !managed {
		return nil
	}
	wanted := make(map[string]T, len(want))
	for _, w := range want {
		wanted[w.key()] = w
	}
	var changes []Change
	there := map[string]bool{}
	for _, h := range have {
		w, ok := wanted[h.key()]
		switch {
		case !ok:
			changes = append(changes, Change{Action: Remove, Have: h})
		case w.String() != h.String():
			changes = append(changes, Change{Action: Modify, Have: h, Want: w})
		}
		there[h.key()] = true
	}
	for _, w := range want {
		if !there[w.key()] {
			changes = append(changes, Change{Action: Add, Want: w})
		}
		there[w.key()] = true
	}
	return changes
}
