package notice

import (
	"fmt"
	"slices"

	"github.com/vaultpam/vaultpam/store"
)

// approvers are those who may answer a request now. Of who is no approver any more
// nobody needs an answer.
func approvers(p *page) []store.UserID {
	e, ok := p.e.Event.(*store.RequestMade)
	if !ok {
		return nil
	}
	var all []store.UserID
	for u := range p.n.Ledger.State().Members(p.base(e.Base).Conditions.Approvers) {
		if u.ID != e.User && u.Has(store.RoleApprover) {
			all = append(all, u.ID)
		}
	}
	return all
}

// base is the grant that something is requested by.
func (p *page) base(entry store.Index) *store.GrantAdded {
	for _, e := range p.find(store.Query{Type: store.TypeGrantAdded, From: entry, To: entry + 1}) {
		if g, ok := e.Event.(*store.GrantAdded); ok {
			return g
		}
	}
	return &store.GrantAdded{}
}

// wish says what a request is for. Its reason stays on the server: a mailbox is no
// place for it, and whoever answers sees it there.
func (p *page) wish(e *store.RequestMade) string {
	name := fmt.Sprintf("target %d", e.Target)
	for _, found := range p.find(store.Query{Type: store.TypeTargetAdded, Target: e.Target, Limit: 1}) {
		if t, ok := found.Event.(*store.TargetAdded); ok {
			name = string(t.Name)
		}
	}
	return fmt.Sprintf("%s on %s for %s", e.Login, name, e.Lasts.Length())
}

func (p *page) requestMade() {
	e, ok := p.e.Event.(*store.RequestMade)
	if !ok || p.base(e.Base).Conditions.Approvals == 0 {
		return // it needed nobody's approval
	}
	p.about("%s asks for access at %s", p.person(), p.n.Name)
	p.say("%s asks for %s. The request can be answered until %s.", p.person(), p.wish(e), moment(e.Expires))
	p.say("Its reason stands beside it: vaultpam requests")
	p.say("Answer it with: vaultpam approve %d, or: vaultpam deny %d --comment \"…\"", p.e.Index, p.e.Index)
}

// asked is the request that an answer names.
func (p *page) asked(entry store.Index) *store.RequestMade {
	for _, e := range p.find(store.Query{Type: store.TypeRequestMade, User: p.user, From: entry, To: entry + 1}) {
		if made, ok := e.Event.(*store.RequestMade); ok {
			return made
		}
	}
	p.fail(store.ErrCorrupt) // no answer is of nothing
	return &store.RequestMade{}
}

func (p *page) requestApproved() {
	e, ok := p.e.Event.(*store.RequestApproved)
	if !ok {
		return
	}
	if proposal, ok := p.proposed(e.Request); ok {
		p.about("%s approved what %s proposed at %s", p.actor(), p.person(), p.n.Name)
		p.say("%s approved at %s what %s proposed with entry %d: %s. It holds from now on.", p.actor(), p.when(), p.person(), e.Request, p.change(proposal))
		return
	}
	p.about("%s approved a request of %s at %s", p.actor(), p.person(), p.n.Name)
	p.say("%s approved at %s what %s asked for with request %d: %s.", p.actor(), p.when(), p.person(), e.Request, p.wish(p.asked(e.Request)))
	next := p.find(store.Query{Type: store.TypeGrantAdded, User: p.user, From: p.e.Index + 1, To: p.e.Index + 2})
	i := slices.IndexFunc(next, func(n *store.Entry) bool {
		g, ok := n.Event.(*store.GrantAdded)
		return ok && g.Request == e.Request
	})
	if i < 0 {
		p.say("It takes another approval.")
		return
	}
	p.say("It holds until %s.", moment(next[i].Event.(*store.GrantAdded).Until))
}

func (p *page) requestDenied() {
	e, ok := p.e.Event.(*store.RequestDenied)
	if !ok {
		return
	}
	if proposal, ok := p.proposed(e.Request); ok {
		p.about("%s denied what %s proposed at %s", p.actor(), p.person(), p.n.Name)
		p.say("%s denied at %s what %s proposed with entry %d: %s. Why stands beside it: vaultpam requests",
			p.actor(), p.when(), p.person(), e.Request, p.change(proposal))
		return
	}
	p.about("%s denied a request of %s at %s", p.actor(), p.person(), p.n.Name)
	p.say("%s denied at %s what %s asked for with request %d: %s. Why stands beside it: vaultpam requests",
		p.actor(), p.when(), p.person(), e.Request, p.wish(p.asked(e.Request)))
}
