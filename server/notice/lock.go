package notice

import (
	"fmt"
	"slices"

	"github.com/vaultpam/vaultpam/store"
)

// otherAdministrators are all who hold the role but whom the entry is about: who is
// locked hears of it from the relay and at their next sign-in.
func otherAdministrators(p *page) []store.UserID {
	return slices.DeleteFunc(administrators(p), func(id store.UserID) bool { return id == p.user })
}

// locked leaves out why: that is for who reads the ledger, and a mail passes other
// people's machines.
func (p *page) locked() {
	e, ok := p.e.Event.(*store.LockAdded)
	if !ok {
		return
	}
	var what, unlock string
	switch {
	case !e.User.IsZero():
		what, unlock = p.person(), "user "+p.person()
	case e.Target != 0:
		name := p.target(e.Target)
		what, unlock = "target "+name, "target "+name
	case !e.Session.IsZero():
		what, unlock = "a session"+p.whose(), "session "+e.Session.String()
	default:
		what, unlock = "a certificate"+p.whose(), fmt.Sprintf("serial %d", e.Serial)
	}
	p.about("%s is locked at %s", what, p.n.Name)
	p.say("%s locked %s at %s. Live sessions ended, and nothing starts.", p.actor(), what, p.when())
	p.say("Why stands in the ledger: vaultpam lock ls")
	p.say("If none of you wants that: vaultpam unlock %s", unlock)
}

// whose says whose session or certificate it is, where it is somebody's.
func (p *page) whose() string {
	if p.user.IsZero() {
		return ""
	}
	return " of " + p.person()
}

// target is the name of a target, also of one that was removed since.
func (p *page) target(entry store.Index) string {
	e, _, err := p.n.Ledger.Entry(p.ctx, entry)
	if err != nil {
		p.fail(err)
		return ""
	}
	added, ok := e.Event.(*store.TargetAdded)
	if !ok {
		return fmt.Sprintf("target %d", entry)
	}
	return string(added.Name)
}
