package access

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vaultpam/vaultpam/store"
)

// A former is a name that a target had. A host answers to the name that it was set
// up for, and a direct certificate opens the host of its name: until both are over,
// the name is no other host's.
type former struct {
	Name store.TargetName
	// Target has another name since an entry, and nobody has seen its host answer to
	// that; 0 where it was seen, or the target was removed.
	Target store.Index
	Since  store.Index
	// Until is when the last direct certificate for the name ends.
	Until store.Millis
	// HostKeys are those of the host that had it.
	HostKeys [][]byte
}

// RenameTarget gives a host another name. Its grants, locks, labels and running
// sessions stay.
type RenameTarget struct {
	By   Caller
	Name store.TargetName
	To   string
}

func (c RenameTarget) decide(s State, now store.Millis) (Decision, error) {
	actor, err := s.administrator(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	t, ok := s.TargetByName(c.Name)
	if !ok {
		return Decision{}, noTarget(c.Name)
	}
	to, err := newTargetName(c.To)
	if err != nil {
		return Decision{}, invalid(err)
	}
	if err := s.freeName(to, t.Entry, t.HostKeys, now); err != nil {
		return Decision{}, err
	}
	// Its report would say that the host answers to a name that it has no more.
	if _, running := s.sessions.get(t.Errand); running {
		return Decision{}, &Refusal{Kind: Conflict, Message: fmt.Sprintf("target %s is being looked at", t.Name), Hint: "try again in a minute"}
	}
	return Decision{Actor: actor, Events: []store.Event{&store.TargetRenamed{Target: t.Entry, Name: to}}}, nil
}

// directLabel is the last label of what users type to go past the relay
// (db1.direct.pam), which no target's name may look like.
const directLabel = "direct"

func newTargetName(text string) (store.TargetName, error) {
	name, err := store.ParseTargetName(text)
	if err != nil {
		return "", err
	}
	if short, ok := strings.CutSuffix(text, "."+directLabel); ok {
		return "", fmt.Errorf("target name %q: one that ends in .%s would be read as the way to %s past the relay", name, directLabel, short)
	}
	return name, nil
}

// freeName refuses a name that another target has, or that a certificate or a host
// still answers to. Target is the one that wants it, 0 for a new one.
func (s State) freeName(name store.TargetName, target store.Index, keys [][]byte, now store.Millis) error {
	if other, ok := s.names.get(name); ok {
		if other == target {
			return &Refusal{Kind: Conflict, Message: fmt.Sprintf("the target is called %s already", name)}
		}
		return &Refusal{Kind: Conflict, Message: fmt.Sprintf("there is a target %s already", name), Hint: "vaultpam admin target ls"}
	}
	f, ok := s.formers.get(name)
	switch {
	case !ok, f.Target == target && target != 0:
		return nil
	case f.Target != 0:
		t, _ := s.targets.get(f.Target)
		return &Refusal{
			Kind:    Conflict,
			Message: fmt.Sprintf("%s was called %s, and nobody has seen yet that its host answers to the new name and not to the old one", t.Name, name),
			Hint:    fmt.Sprintf("set the host up anew (vaultpamd target setup %s), then log in there once, or: vaultpam admin target check %s", t.Name, t.Name),
		}
	case now < f.Until && !slices.ContainsFunc(keys, func(k []byte) bool {
		return slices.ContainsFunc(f.HostKeys, func(o []byte) bool { return bytes.Equal(k, o) })
	}):
		return &Refusal{
			Kind:    Conflict,
			Message: fmt.Sprintf("another host was called %s, and certificates for it end at %s", name, second(f.Until)),
			Hint:    "try again then",
		}
	}
	return nil
}

func (a *applier) targetRenamed(e *store.TargetRenamed) error {
	t, ok := a.targets.get(e.Target)
	if !ok {
		return errors.New("no such target")
	}
	if _, ok := a.names.get(e.Name); ok {
		return errors.New("the name is taken")
	}
	a.names = a.names.drop(t.Name).set(e.Name, t.Entry)
	a.formers = a.formers.drop(e.Name).set(t.Name, former{Name: t.Name, Target: t.Entry, Since: a.entry.Index, Until: t.Certified, HostKeys: t.HostKeys})
	// A look that was begun under the old name says nothing of the new one.
	t.Name, t.Errand = e.Name, store.SessionID{}
	a.targets = a.targets.set(t.Entry, t)
	return nil
}

// letIn takes in that a session ended: where it had a channel, the host had accepted a
// certificate for the name that the target had when it began.
func (a *applier) letIn(x Session, e *store.SessionEnded) {
	if len(x.Certificates) > 0 && len(e.Files) > 1 {
		a.release(x.Target, x.Entry)
	}
}

// release lets the names go that a target had before an entry: its host was seen to
// answer to another, or it is gone. They are free at once, or when the last
// certificate for them ends.
func (a *applier) release(target, before store.Index) {
	for name, f := range a.formers.all() {
		switch {
		case f.Target != 0 && (f.Target != target || f.Since >= before):
		case f.Until <= a.entry.Time:
			a.formers = a.formers.drop(name)
		case f.Target != 0:
			f.Target = 0
			a.formers = a.formers.set(name, f)
		}
	}
}
