package accessfile

import (
	"errors"
	"fmt"
)

// An Action is what a change does.
type Action string

const (
	Add    Action = "add"
	Modify Action = "change"
	Remove Action = "remove"
)

// A Change is one step of a plan. Have is nil where something is added, Want
// where it is removed; where both are there they have the same name and type.
type Change struct {
	Action Action
	Have   Item
	Want   Item
}

// Section returns the section that the change is in.
func (c Change) Section() Section {
	if c.Want != nil {
		return c.Want.section()
	}
	return c.Have.section()
}

// String shows the change on one line, or on two where something is changed.
func (c Change) String() string {
	switch c.Action {
	case Add:
		return "+ " + c.Want.String()
	case Remove:
		return "- " + c.Have.String()
	}
	return "- " + c.Have.String() + "\n+ " + c.Want.String()
}

// Plan returns what has to be done so that what is there becomes what is wanted,
// nothing where it is already so. Have is everything that is on the server, with
// every registered target and its labels; want is a file. Sections that the file
// does not manage have no changes, and neither have targets that it does not name.
//
// The order is one in which each step can be taken when those before it are, with
// what only narrows first and what only widens last: grants go, groups and
// guardrails come, guardrails, members, labels and grants change, grants come,
// guardrails go, groups go. A change of members or labels narrows for some and
// widens for others, so a plan that is broken off in the middle may have opened
// what the whole of it would not: whoever carries it out does so in one batch.
//
// It fails where the file names a target that is not registered.
func Plan(have, want File) ([]Change, error) {
	grants := differences(want.IsManaged(SectionGrants), have.Grants, want.Grants)
	guardrails := differences(want.IsManaged(SectionGuardrails), have.Guardrails, want.Guardrails)
	groups := differences(want.IsManaged(SectionGroups), have.Groups, want.Groups)
	targets := differences(want.IsManaged(SectionTargets), have.Targets, want.Targets)
	var errs []error
	var labels []Change
	for _, c := range targets {
		switch c.Action {
		case Add:
			errs = append(errs, fmt.Errorf("there is no target %s: register it first, then label it", c.Want.key()))
		case Modify:
			labels = append(labels, c)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	var plan []Change
	plan = append(plan, only(Remove, grants)...)
	plan = append(plan, only(Add, groups)...)
	plan = append(plan, only(Add, guardrails)...)
	plan = append(plan, only(Modify, guardrails)...)
	plan = append(plan, only(Modify, groups)...)
	plan = append(plan, labels...)
	plan = append(plan, only(Modify, grants)...)
	plan = append(plan, only(Add, grants)...)
	plan = append(plan, only(Remove, guardrails)...)
	return append(plan, only(Remove, groups)...), nil
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

// differences compares items of one section, which have one order each, by their
// keys. Of items with the same key in have, which a file can't hold but a server
// may, one stays.
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
		case !ok || there[h.key()]:
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
	}
	return changes
}
