package access

import "github.com/vaultpam/vaultpam/store"

// LabelTarget gives a target labels in place of those that it had.
type LabelTarget struct {
	By     Caller
	Name   store.TargetName
	Labels string // KEY=VALUE, joined by commas; empty for none
	Place  Place
}

func (c LabelTarget) decide(s State, now store.Millis) (Decision, error) {
	actor, err := s.administrator(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	t, ok := s.TargetByName(c.Name)
	if !ok {
		return Decision{}, noTarget(c.Name)
	}
	labels := store.TargetLabels{}
	if c.Labels != "" {
		if labels, err = store.ParseTargetLabels(c.Labels); err != nil {
			return Decision{}, invalid(err)
		}
	}
	e := &store.TargetLabelled{Target: t.Entry, Labels: labels}
	return s.alone(actor, e, c.Place, "an administrator can't open a target to themselves by its labels", now)
}
