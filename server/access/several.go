package access

import (
	"errors"
	"fmt"

	"github.com/vaultpam/vaultpam/store"
)

// MaxSteps bounds the steps of one ChangeAccess: the writer decides nothing else
// meanwhile.
const MaxSteps = 200

// ChangeAccess takes several steps, each decided by its own rules against the state
// that those before it leave. All of them become entries in one append, or none
// does: nobody can reach anything in between, and a process that dies leaves what
// was there or what is wanted. Steps add and remove groups, members, grants and
// guardrails, or label targets, each by the same caller.
type ChangeAccess struct {
	By    Caller
	Steps []Command
}

// A StepsRefusal is the answer to a ChangeAccess of which some steps are refused.
// What stands behind a refused step was decided as if that were not there.
type StepsRefusal struct { //nolint:errname // as Refusal
	Steps map[int]*Refusal
}

func (r *StepsRefusal) Error() string {
	return fmt.Sprintf("%d of the steps are refused", len(r.Steps))
}

func (c ChangeAccess) decide(s State, now store.Millis) (Decision, error) {
	actor, err := s.administrator(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	if len(c.Steps) == 0 || len(c.Steps) > MaxSteps {
		return Decision{}, &Refusal{Kind: Invalid, Message: fmt.Sprintf("%d changes at once: want 1 to %d", len(c.Steps), MaxSteps)}
	}
	d, refused := Decision{Actor: actor}, map[int]*Refusal{}
	for i, step := range c.Steps {
		if by, ok := stepCaller(step); !ok || by != c.By {
			return Decision{}, &Refusal{Kind: Invalid, Message: fmt.Sprintf("change %d is none that can be made with others", i)}
		}
		one, err := step.decide(s, now)
		if r, ok := errors.AsType[*Refusal](err); ok {
			refused[i] = r
			continue
		}
		if err != nil {
			return Decision{}, err
		}
		if waits := proposed(one); waits != nil {
			refused[i] = waits
			continue
		}
		for _, e := range one.Events {
			// None of these events has a text beside it.
			if s, err = Apply(s, &store.Entry{Index: s.next, Time: now, Actor: actor, Event: e}, func(store.Commitment) (string, bool) { return "", false }); err != nil {
				return Decision{}, fmt.Errorf("change %d: %w", i, err)
			}
		}
		d.Events = append(d.Events, one.Events...)
	}
	if len(refused) > 0 {
		return Decision{}, &StepsRefusal{Steps: refused}
	}
	return d, nil
}

// proposed is the refusal of a step that would wait for another administrator: of
// steps that are made together none can wait.
func proposed(d Decision) *Refusal {
	if len(d.Events) != 1 {
		return nil
	}
	if _, ok := d.Events[0].(*store.ChangeProposed); !ok {
		return nil
	}
	return &Refusal{
		Kind: Forbidden, Message: "this would give yourself access, so another administrator has to approve it, and of changes that are made together none can wait for that",
		Hint: "make this one by a command of its own: vaultpam admin grant, group or target label; or let the other administrator apply the file",
	}
}

// stepCaller returns who takes a step, and whether it is one.
func stepCaller(c Command) (Caller, bool) {
	switch c := c.(type) {
	case AddGroup:
		return c.By, true
	case RemoveGroup:
		return c.By, true
	case AddMember:
		return c.By, true
	case RemoveMember:
		return c.By, true
	case LabelTarget:
		return c.By, true
	case AddGrant:
		return c.By, true
	case AddGuardrail:
		return c.By, true
	case RemoveGrant:
		return c.By, true
	}
	return Caller{}, false
}
