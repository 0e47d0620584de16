package access

import (
	"errors"

	"github.com/vaultpam/vaultpam/store"
)

func (a *applier) targetAdded(e *store.TargetAdded) error {
	if _, ok := a.names.get(e.Name); ok {
		return errors.New("the name is taken")
	}
	a.targets = a.targets.set(a.entry.Index, Target{
		Entry: a.entry.Index, Name: e.Name, Address: e.Address, HostKeys: e.HostKeys, Logins: e.Logins, Egress: e.Egress,
	})
	a.names = a.names.set(e.Name, a.entry.Index)
	a.formers = a.formers.drop(e.Name)
	return nil
}

func (a *applier) targetLabelled(e *store.TargetLabelled) error {
	t, ok := a.targets.get(e.Target)
	if !ok {
		return errors.New("no such target")
	}
	t.Labels, t.Labelled = e.Labels, a.entry.Index
	a.targets = a.targets.set(t.Entry, t)
	return nil
}

func (a *applier) targetRemoved(e *store.TargetRemoved) error {
	t, ok := a.targets.get(e.Target)
	if !ok {
		return errors.New("no such target")
	}
	for g := range a.Grants() {
		if g.Target == t.Entry {
			a.dropGrant(g)
		}
	}
	a.dropLock(lockKey{target: t.Entry})
	a.names = a.names.drop(t.Name)
	a.formers = a.formers.set(t.Name, former{Name: t.Name, Target: t.Entry, Until: t.Certified, HostKeys: t.HostKeys})
	a.release(t.Entry, a.entry.Index)
	a.targets = a.targets.drop(t.Entry)
	return nil
}
