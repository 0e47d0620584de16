package notice

import (
	"fmt"
	"slices"

	"github.com/vaultpam/vaultpam/store"
)

// readers are all who may ask for findings.
func readers(p *page) []store.UserID {
	return holders(p, store.RoleAdministrator, store.RoleAuditor)
}

// finding tells of an entry that makes one of access's high findings. Of those that
// time alone makes there is none that is high. A recovery that was begun has a
// notice of its own.
func (p *page) finding() {
	switch e := p.e.Event.(type) {
	case *store.SettingChanged:
		p.selfGrantAllowed(e)
	case *store.GrantAdded:
		p.selfGranted(e)
	case *store.FactorEnrolled:
		// Who enrols by an invitation has no other factor.
		if e.Invitation != 0 && e.Kind == store.FactorTOTP {
			p.withoutPasskey("enrolled an authenticator app alone")
		}
	case *store.FactorRemoved:
		if p.kindOf(e.Factor) == store.FactorPasskey && !p.hasPasskey() {
			p.withoutPasskey("removed the last of their passkeys")
		}
	case *store.FactorCloned:
		p.about("There is a copy of a passkey of %s at %s", p.person(), p.n.Name)
		p.say("At %s a passkey of %s gave a right answer with a count that it had passed before. So its key is in two places. It signs nobody in any more; whoever has the copy may have signed in as %s before.",
			p.when(), p.person(), p.person())
		p.say("Where %s signed in from: vaultpam audit ls --type signin.succeeded --user %s", p.person(), p.person())
	case *store.TargetChecked:
		p.otherWays(e)
	case *store.LedgerRestored:
		p.about("The ledger of %s was restored from a backup", p.n.Name)
		p.say("%s restored the ledger of %s at %s. What was behind the backup is not in it.", p.actor(), p.n.Name, p.when())
		p.say("If none of you knows of it, keep the checkpoints that your machines remember, and ask whoever runs the server.")
	}
	if p.subject != "" {
		p.say("All that is weak: vaultpam audit findings")
	}
}

func (p *page) selfGrantAllowed(e *store.SettingChanged) {
	if e.Setting != store.SettingSelfGrant || e.Value != store.SelfGrantAllowed {
		return
	}
	p.about("Administrators of %s may give access to themselves", p.n.Name)
	p.say("%s set at %s that an administrator may give access to themselves without a second person.", p.actor(), p.when())
	p.say("If none of you wants that, on the server: vaultpamd setting %s %s", e.Setting, store.SelfGrantRefused)
}

func (p *page) selfGranted(e *store.GrantAdded) {
	by := p.e.Actor.User
	if e.Forbids || e.Request != 0 || by.IsZero() || e.User != by && (e.Group == 0 || !p.belongs(by, e.Group)) {
		return
	}
	if approved := p.find(store.Query{Type: store.TypeRequestApproved, From: p.e.Index - 1, To: p.e.Index}); len(approved) > 0 {
		return // four hands gave it
	}
	p.about("%s gave access to themselves at %s", p.actor(), p.n.Name)
	where := fmt.Sprintf("targets %s", e.Targets)
	if e.Target != 0 {
		where = p.target(e.Target)
	}
	p.say("%s gave access to themselves at %s: to %s, by grant %d.", p.actor(), p.when(), where, p.e.Index)
	p.say("If none of the others wants that: vaultpam admin grant rm %d", p.e.Index)
}

// belongs reports whether somebody belonged to a group when the entry was made.
func (p *page) belongs(user store.UserID, group store.Index) bool {
	member := false
	for _, e := range p.both(user, store.TypeMemberAdded, store.TypeMemberRemoved) {
		switch e := e.Event.(type) {
		case *store.MemberAdded:
			member = member || e.Group == group
		case *store.MemberRemoved:
			member = member && e.Group != group
		}
	}
	return member
}

// both returns the entries of some types about somebody, until this one, in their
// order.
func (p *page) both(user store.UserID, types ...store.EventType) []*store.Entry {
	var all []*store.Entry
	for _, what := range types {
		all = append(all, p.find(store.Query{Type: what, User: user, To: p.e.Index + 1})...)
	}
	slices.SortFunc(all, func(a, b *store.Entry) int { return int(a.Index) - int(b.Index) })
	return all
}

// hasPasskey reports whether the person had one that proves something once the
// entry was made.
func (p *page) hasPasskey() bool {
	good := map[store.Index]bool{}
	for _, e := range p.both(p.user, store.TypeFactorEnrolled, store.TypeFactorRemoved, store.TypeFactorCloned) {
		switch f := e.Event.(type) {
		case *store.FactorEnrolled:
			if f.Invitation != 0 {
				clear(good)
			}
			if f.Kind == store.FactorPasskey {
				good[e.Index] = true
			}
		case *store.FactorRemoved:
			delete(good, f.Factor)
		case *store.FactorCloned:
			delete(good, f.Factor)
		}
	}
	return len(good) > 0
}

// withoutPasskey tells of an administrator who has none.
func (p *page) withoutPasskey(how string) {
	if !p.administers() {
		return
	}
	p.about("An administrator of %s has no passkey", p.n.Name)
	p.say("%s, an administrator, %s at %s. A code can be talked out of somebody, a passkey can't.", p.person(), how, p.when())
	p.say("%s adds one with: vaultpam factor add", p.person())
}

// administers reports whether the person held the administrator's role once the entry
// was made. The entries about one person are few.
func (p *page) administers() bool {
	for _, e := range p.both(p.user, store.TypeUserAdded, store.TypeRecoveryFinished) {
		if e, ok := e.Event.(*store.UserAdded); !ok || slices.Contains(e.Roles, store.RoleAdministrator) {
			return true
		}
	}
	return false
}

// otherWays tells of ways into a target that no check saw before. The first check
// counts none as new.
func (p *page) otherWays(e *store.TargetChecked) {
	first := len(p.find(store.Query{Type: store.TypeTargetChecked, Target: e.Target, To: p.e.Index, Limit: 1})) == 0
	switch name := p.target(e.Target); {
	case e.New > 0:
		p.about("There are new ways into %s past %s", name, p.n.Name)
		p.say("The check of %s at %s saw %s, %d new since the check before.", name, p.when(), waysIn(e.Doors), e.New)
		p.whichWays(name)
	case first && e.Doors > 0:
		p.about("There are ways into %s past %s", name, p.n.Name)
		p.say("The first check of %s, at %s, saw %s. Who comes by one is in no recording.", name, p.when(), waysIn(e.Doors))
		p.whichWays(name)
	}
}

func waysIn(n uint64) string {
	if n == 1 {
		return "1 other way in"
	}
	return fmt.Sprintf("%d other ways in", n)
}

func (p *page) whichWays(name string) {
	p.say("Which they are: vaultpam admin target check %s --last", name)
}
