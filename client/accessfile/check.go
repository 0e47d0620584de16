package accessfile

import (
	"errors"
	"fmt"

	"github.com/vaultpam/vaultpam/store"
)

// A problem is what is wrong with one item, by its place in its section.
type problem struct {
	section Section
	index   int
	err     error
}

// A checker is a file and the names of its groups.
type checker struct {
	File
	groups map[store.GroupName]bool
}

// problems holds the items to what they promise, and to each other.
func (f File) problems() []problem {
	c := checker{File: f, groups: map[store.GroupName]bool{}}
	for _, g := range f.Groups {
		c.groups[g.Name] = true
	}
	var found []problem
	found = append(found, inSection(f, f.Groups, func(Group) error { return nil })...)
	found = append(found, inSection(f, f.Targets, func(t Target) error { return t.Labels.Check() })...)
	found = append(found, inSection(f, f.Grants, c.checkGrant)...)
	return append(found, inSection(f, f.Guardrails, c.checkGuardrail)...)
}

func inSection[T Item](f File, items []T, check func(T) error) []problem {
	var found []problem
	seen := map[string]bool{}
	for i, item := range items {
		err := check(item)
		switch {
		case err != nil:
		case !f.IsManaged(item.section()):
			err = fmt.Errorf("%s is not in manages, so nothing of it would be applied", item.section())
		case seen[item.key()]:
			err = fmt.Errorf("%.200s: given twice", item.key())
		}
		seen[item.key()] = true
		if err != nil {
			found = append(found, problem{item.section(), i, err})
		}
	}
	return found
}

func (c checker) checkGrant(g Grant) error {
	switch {
	case g.Subject.Kind == SubjectEveryone:
		return errors.New("a grant is to a user, a group or a bot, not to everyone")
	case len(g.Logins) == 0:
		return errors.New("want logins")
	}
	if err := g.For.CheckGrant(); err != nil {
		return err
	}
	if err := c.checkConditions(g.Conditions); err != nil {
		return err
	}
	return c.checkRule(g.Rule)
}

func (c checker) checkGuardrail(g Guardrail) error {
	if g.Forbid != nil {
		if err := g.Forbid.CheckGuardrail(); err != nil {
			return err
		}
	}
	return c.checkRule(g.Rule)
}

func (c checker) checkRule(r Rule) error {
	if _, err := ParseSubject(r.Subject.String()); err != nil {
		return err
	}
	if (len(r.Targets) == 0) == r.Select.IsZero() {
		return errors.New("want targets or select, one of the two")
	}
	if r.From != 0 && r.Until != 0 && r.Until <= r.From {
		return fmt.Errorf("ends at %s, before it begins", formatMoment(r.Until))
	}
	if r.Subject.Kind == SubjectGroup {
		return c.checkGroup(store.GroupName(r.Subject.Name))
	}
	return nil
}

// checkConditions asks the ledger's own rules, with some group in the place of
// the one that has no index here.
func (c checker) checkConditions(asked Conditions) error {
	conditions := store.Conditions{Reason: asked.Reason, Ticket: asked.Ticket, Approvals: asked.Approvals, Passkey: asked.Passkey, Longest: asked.Longest}
	if asked.Approvers != "" {
		conditions.Approvers = 1
		if err := c.checkGroup(asked.Approvers); err != nil {
			return err
		}
	}
	return conditions.Check()
}

// checkGroup refuses a group that will not be there.
func (c checker) checkGroup(name store.GroupName) error {
	if c.IsManaged(SectionGroups) && !c.groups[name] {
		return fmt.Errorf("group %s is not in groups, which this file manages", name)
	}
	return nil
}
