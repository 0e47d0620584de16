package server

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/store"
)

// changeAccess makes all of some changes or none.
func (n *Node) changeAccess(ctx context.Context, c call, q api.ChangesRequest) (api.ChangesResponse, error) {
	cmd := access.ChangeAccess{By: c.caller}
	for i, change := range q.Changes {
		step, err := accessStep(c, change)
		if err != nil {
			e := problem(err)
			return api.ChangesResponse{Refused: []api.RefusedChange{{Change: i, Kind: e.Kind, Detail: e.Detail, Hint: e.Hint}}}, nil
		}
		cmd.Steps = append(cmd.Steps, step)
	}
	var made ledger.Result
	var err error
	if q.DryRun {
		_, _, err = access.Decide(n.ledger.State(), cmd, n.Now())
	} else {
		made, err = n.ledger.Do(ctx, cmd)
	}
	if refused, ok := errors.AsType[*access.StepsRefusal](err); ok {
		return api.ChangesResponse{Refused: wireRefusals(refused)}, nil
	}
	return api.ChangesResponse{Done: err == nil && !q.DryRun, First: uint64(made.First)}, err
}

func wireRefusals(r *access.StepsRefusal) []api.RefusedChange {
	var all []api.RefusedChange
	for i, refusal := range r.Steps {
		all = append(all, api.RefusedChange{Change: i, Kind: kinds[refusal.Kind], Detail: refusal.Message, Hint: refusal.Hint})
	}
	slices.SortFunc(all, func(a, b api.RefusedChange) int { return cmp.Compare(a.Change, b.Change) })
	return all
}

// accessStep is a change as the command that the route of its own would give.
func accessStep(c call, q api.AccessChange) (access.Command, error) {
	switch q.Do {
	case api.VerbAddGroup:
		return access.AddGroup{By: c.caller, Name: q.Group}, nil
	case api.VerbRemoveGroup:
		return access.RemoveGroup{By: c.caller, Name: store.GroupName(q.Group)}, nil
	case api.VerbAddMember:
		return access.AddMember{By: c.caller, Group: store.GroupName(q.Group), User: store.Handle(q.Handle)}, nil
	case api.VerbRemoveMember:
		return access.RemoveMember{By: c.caller, Group: store.GroupName(q.Group), User: store.Handle(q.Handle)}, nil
	case api.VerbLabel:
		return access.LabelTarget{By: c.caller, Name: store.TargetName(q.Target), Labels: q.Labels}, nil
	case api.VerbRemoveGrant:
		return access.RemoveGrant{By: c.caller, Grant: store.Index(q.ID)}, nil
	case api.VerbAddGrant:
		if q.Grant != nil {
			return grantCommand(c, *q.Grant)
		}
	}
	return nil, api.NewError(api.KindInvalid, "use a vaultpam of the server's version", "%.80q is no change that this server knows", string(q.Do))
}
