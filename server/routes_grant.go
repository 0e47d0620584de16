package server

import (
	"context"
	"strconv"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

func (n *Node) grants(context.Context, call, api.Empty) ([]api.Grant, error) {
	s, grants := n.ledger.State(), []api.Grant{}
	for g := range s.Grants() {
		grants = append(grants, wireGrant(s, g))
	}
	return grants, nil
}

func wireGrant(s access.State, g access.Grant) api.Grant {
	u, _ := s.User(g.User)
	group, _ := s.Group(g.Group)
	t, _ := s.Target(g.Target)
	approvers, _ := s.Group(g.Conditions.Approvers)
	c := g.Conditions
	return api.Grant{
		ID: uint64(g.Entry), User: string(u.Handle), Group: string(group.Name), Target: string(t.Name), Targets: g.Targets.String(),
		Logins: texts(g.Logins), Forbids: g.Forbids, For: g.For.String(), From: g.From.Time(), Until: g.Until.Time(), Hours: g.Hours.String(),
		Conditions: api.Conditions{
			Reason: c.Reason, Ticket: string(c.Ticket), Approvals: c.Approvals, Approvers: string(approvers.Name), Passkey: c.Passkey, Longest: c.Longest,
		},
		Request: uint64(g.Request), Base: uint64(g.Base),
	}
}

func (n *Node) addGrant(ctx context.Context, c call, q api.Grant) (api.AddedGrant, error) {
	cmd, err := grantCommand(c, q)
	if err != nil {
		return api.AddedGrant{}, err
	}
	if add, ok := cmd.(access.AddGrant); ok {
		if add.Place, err = n.place(c); err != nil {
			return api.AddedGrant{}, err
		}
		cmd = add
	}
	r, err := n.ledger.Do(ctx, cmd)
	if err != nil {
		return api.AddedGrant{}, err
	}
	if e, ok := r.Events[0].(*store.GrantAdded); ok {
		return api.AddedGrant{Grant: wireGrant(n.ledger.State(), access.NewGrant(r.First, e))}, nil
	}
	waits, err := n.changed(ctx, c, r)
	return api.AddedGrant{Changed: waits}, err
}

// grantCommand adds a grant, or a guardrail.
func grantCommand(c call, q api.Grant) (access.Command, error) {
	from, err := moment("from", q.From)
	if err != nil {
		return nil, err
	}
	until, err := moment("until", q.Until)
	if err != nil {
		return nil, err
	}
	if q.Request != 0 || q.Base != 0 {
		return nil, api.NewError(api.KindInvalid, "vaultpam request", "a grant that answers a request comes of the request alone")
	}
	if q.Forbids {
		if q.Conditions != (api.Conditions{}) {
			return nil, api.NewError(api.KindInvalid, "leave them out", "a guardrail has no conditions")
		}
		return access.AddGuardrail{
			By: c.caller, User: store.Handle(q.User), Group: store.GroupName(q.Group), Target: store.TargetName(q.Target), Targets: q.Targets,
			Logins: q.Logins, From: from, Until: until, For: q.For, Hours: q.Hours,
		}, nil
	}
	w := q.Conditions
	return access.AddGrant{
		By: c.caller, User: store.Handle(q.User), Group: store.GroupName(q.Group), Target: store.TargetName(q.Target), Targets: q.Targets,
		Logins: q.Logins, From: from, Until: until, For: q.For, Hours: q.Hours, Approvers: store.GroupName(w.Approvers),
		Conditions: store.Conditions{
			Reason: w.Reason, Ticket: store.TicketPattern(w.Ticket), Approvals: w.Approvals, Passkey: w.Passkey, Longest: w.Longest,
		},
	}, nil
}

// moment is a time of a request. In an entry 0 means that there is none, so that
// the Unix epoch, which programs write for nothing, would be a grant for ever.
func moment(field string, t time.Time) (store.Millis, error) {
	if t.IsZero() {
		return 0, nil
	}
	if t.Year() < 1971 || t.Year() > 9999 {
		return 0, api.NewError(api.KindInvalid, "leave it out for none", "%s: %s is no time for a grant", field, t.Format(time.RFC3339))
	}
	return store.At(t), nil
}

func (n *Node) removeGrant(ctx context.Context, c call, _ api.Empty) (api.Changed, error) {
	id, err := strconv.ParseUint(c.param("id"), 10, 63)
	if err != nil {
		return api.Changed{}, api.NewError(api.KindInvalid, "vaultpam admin grant ls", "a grant's ID is a number")
	}
	return n.change(ctx, c, func(place access.Place) access.Command {
		return access.RemoveGrant{By: c.caller, Grant: store.Index(id), Place: place}
	})
}

func (n *Node) labelTarget(ctx context.Context, c call, q api.LabelsRequest) (api.Changed, error) {
	return n.change(ctx, c, func(place access.Place) access.Command {
		return access.LabelTarget{By: c.caller, Name: store.TargetName(c.param("name")), Labels: q.Labels, Place: place}
	})
}
