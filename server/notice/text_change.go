package notice

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vaultpam/vaultpam/store"
)

// changeProposed goes to every administrator but the one who proposes: those who may
// answer it, and those who may not because they became one later.
func (p *page) changeProposed() {
	e, ok := p.e.Event.(*store.ChangeProposed)
	if !ok {
		return
	}
	p.about("%s wants to give themselves access at %s", p.person(), p.n.Name)
	p.say("%s, an administrator, proposed at %s, in their own favour: %s. Nothing has changed. It takes another administrator, until %s.",
		p.person(), p.when(), p.change(e), moment(e.Expires))
	p.say("Ask them why before you answer with: vaultpam approve %d, or: vaultpam deny %d --comment \"…\"", p.e.Index, p.e.Index)
}

// administratorAdded: whoever adds an administrator could be that one too, and then
// approve what they propose themselves. No rule tells; the others may.
func (p *page) administratorAdded() {
	e, ok := p.e.Event.(*store.UserAdded)
	if !ok || !slices.Contains(e.Roles, store.RoleAdministrator) {
		return
	}
	p.about("%s is an administrator at %s", p.person(), p.n.Name)
	p.say("%s added %s as an administrator at %s. An administrator can add people and targets, grant access, lock, and approve what other administrators propose.",
		p.actor(), p.person(), p.when())
	p.say("If none of you knows that person: vaultpam lock user %s --why \"…\"", p.person())
}

// proposed is the proposal that an answer names, if it names one.
func (p *page) proposed(entry store.Index) (*store.ChangeProposed, bool) {
	for _, e := range p.find(store.Query{Type: store.TypeChangeProposed, User: p.user, From: entry, To: entry + 1}) {
		if v, ok := e.Event.(*store.ChangeProposed); ok {
			return v, true
		}
	}
	return nil, false
}

// change says what a proposal would change.
func (p *page) change(v *store.ChangeProposed) string {
	switch e := v.Change().(type) {
	case *store.GrantAdded:
		what := "targets with " + e.Targets.String()
		if e.Target != 0 {
			what = p.target(e.Target)
		}
		logins := make([]string, len(e.Logins))
		for i, l := range e.Logins {
			logins[i] = string(l)
		}
		return fmt.Sprintf("a grant for %s as %s", what, strings.Join(logins, ", "))
	case *store.GrantRemoved:
		return fmt.Sprintf("to take back grant or guardrail %d", e.Grant)
	case *store.MemberAdded:
		return "to join group " + p.group(e.Group)
	case *store.MemberRemoved:
		return "to leave group " + p.group(e.Group)
	case *store.TargetLabelled:
		if len(e.Labels) == 0 {
			return fmt.Sprintf("no labels for target %s", p.target(e.Target))
		}
		return fmt.Sprintf("the labels %s for target %s", e.Labels, p.target(e.Target))
	}
	return "nothing"
}

// group is the name that a group has now, or had at first where it is gone.
func (p *page) group(entry store.Index) string {
	if g, ok := p.n.Ledger.State().Group(entry); ok {
		return string(g.Name)
	}
	for _, e := range p.find(store.Query{Type: store.TypeGroupAdded, From: entry, To: entry + 1}) {
		if g, ok := e.Event.(*store.GroupAdded); ok {
			return string(g.Name)
		}
	}
	return fmt.Sprintf("group %d", entry)
}
