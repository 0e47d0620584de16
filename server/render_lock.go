package server

import "github.com/vaultpam/vaultpam/store"

// lock describes a lock or its end. Why is for whoever may read entries.
func (v *view) lock() {
	switch e := v.e.Event.(type) {
	case *store.LockAdded:
		kind, name := v.r.locked(v.ctx, e, v.e.Index)
		v.fields["kind"], v.fields["name"], v.fields["why"] = kind, name, v.r.text(v.ctx, e.About(), e.Why)
		of := ""
		if !e.Of.IsZero() {
			of = " of " + v.r.handle(v.ctx, e.Of)
		}
		v.say("%s %s%s was locked: %s", kind, name, of, v.fields["why"])
	case *store.LockRemoved:
		v.fields["lock"] = uint64(e.Lock)
		about := ""
		if locked, _, err := v.r.n.ledger.Entry(v.ctx, e.Lock); err == nil {
			if l, ok := locked.Event.(*store.LockAdded); ok {
				kind, name := v.r.locked(v.ctx, l, v.e.Index)
				v.fields["kind"], v.fields["name"] = kind, name
				about = " on " + kind + " " + name
			}
		}
		v.say("lock %d%s was taken away", e.Lock, about)
		if e.Why != (store.Commitment{}) {
			v.fields["why"] = v.r.text(v.ctx, e.User, e.Why)
			v.say("lock %d%s was taken away: %s", e.Lock, about, v.fields["why"])
		}
	}
}
