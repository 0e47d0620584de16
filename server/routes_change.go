package server

import (
	"context"
	"fmt"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/store"
)

// change makes an administrator's change, or proposes it where it would give
// themselves access.
func (n *Node) change(ctx context.Context, c call, wish func(access.Place) access.Command) (api.Changed, error) {
	place, err := n.place(c)
	if err != nil {
		return api.Changed{}, err
	}
	r, err := n.ledger.Do(ctx, wish(place))
	if err != nil {
		return api.Changed{}, err
	}
	return n.changed(ctx, c, r)
}

func (n *Node) place(c call) (access.Place, error) {
	p := access.Place{Source: c.source.String()}
	return p, draw(n.Random, p.Salt[:])
}

// changed is the answer to what became entries.
func (n *Node) changed(ctx context.Context, c call, r ledger.Result) (api.Changed, error) {
	if _, ok := r.Events[0].(*store.ChangeProposed); !ok {
		return api.Changed{}, nil
	}
	w, err := n.wireRequest(ctx, c, r.First)
	if err != nil {
		return api.Changed{}, err
	}
	return api.Changed{Waits: &w}, nil
}

// change says in words what a proposal would change.
func (r *reader) change(ctx context.Context, p *store.ChangeProposed, entry store.Index) string {
	who := r.handle(ctx, p.User)
	switch e := p.Change().(type) {
	case *store.GrantAdded:
		return r.summary(ctx, &store.Entry{Index: entry, Event: e})
	case *store.GrantRemoved:
		kind, says := "grant", ""
		if g, _, err := r.n.ledger.Entry(ctx, e.Grant); err == nil {
			says = fmt.Sprintf(" (%s)", r.summary(ctx, g))
			if added, ok := g.Event.(*store.GrantAdded); ok && added.Forbids {
				kind = "guardrail"
			}
		}
		return fmt.Sprintf("%s %d is taken back%s", kind, e.Grant, says)
	case *store.MemberAdded:
		return fmt.Sprintf("%s joins group %s", who, r.group(ctx, e.Group, entry))
	case *store.MemberRemoved:
		return fmt.Sprintf("%s leaves group %s", who, r.group(ctx, e.Group, entry))
	case *store.TargetLabelled:
		if len(e.Labels) == 0 {
			return fmt.Sprintf("target %s loses its labels", r.target(ctx, e.Target))
		}
		return fmt.Sprintf("target %s gets the labels %s", r.target(ctx, e.Target), e.Labels)
	}
	return "nothing"
}

func (r *reader) summary(ctx context.Context, e *store.Entry) string {
	v := view{r: r, ctx: ctx, e: e, fields: map[string]any{}}
	v.describe()
	return v.summary
}
