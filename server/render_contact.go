package server

import "github.com/vaultpam/vaultpam/store"

// contact describes what is about a person's address and about an
// administrator's recovery.
func (v *view) contact() {
	switch e := v.e.Event.(type) {
	case *store.UserContact:
		v.fields["email"] = ""
		v.say("%s gets no notices by mail", v.r.handle(v.ctx, e.User))
		if e.Email != (store.Commitment{}) {
			v.fields["email"] = v.r.text(v.ctx, e.User, e.Email)
			v.say("%s gets notices at %s", v.r.handle(v.ctx, e.User), v.fields["email"])
		}
	case *store.RecoveryBegun:
		v.fields["ready"] = stamp(e.Ready)
		v.say("a recovery of %s as administrator was begun on the server's own machine; it can be finished from %s on, and stopped until it is",
			v.r.handle(v.ctx, e.User), e.Ready.Time().Format("2006-01-02 15:04:05 MST"))
	case *store.RecoveryStopped:
		v.fields["begun"] = uint64(e.Begun)
		v.say("the recovery of %s as administrator, begun by entry %d, was stopped", v.r.handle(v.ctx, e.User), e.Begun)
	case *store.RecoveryFinished:
		v.fields["begun"] = uint64(e.Begun)
		v.say("%s is an administrator by the recovery that entry %d began, and is invited", v.r.handle(v.ctx, e.User), e.Begun)
	}
}
