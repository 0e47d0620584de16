package server

import (
	"cmp"
	"context"
	"slices"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

func (n *Node) groups(context.Context, call, api.Empty) ([]api.Group, error) {
	s := n.ledger.State()
	groups := []api.Group{}
	for g := range s.Groups() {
		groups = append(groups, wireGroup(s, g))
	}
	return groups, nil
}

func wireGroup(s access.State, g access.Group) api.Group {
	w := api.Group{ID: uint64(g.Entry), Name: string(g.Name), Members: []string{}}
	for u := range s.Members(g.Entry) {
		w.Members = append(w.Members, cmp.Or(string(u.Handle), u.ID.String()))
	}
	slices.Sort(w.Members)
	return w
}

func (n *Node) addGroup(ctx context.Context, c call, q api.GroupRequest) (api.Group, error) {
	r, err := n.ledger.Do(ctx, access.AddGroup{By: c.caller, Name: q.Name})
	if err != nil {
		return api.Group{}, err
	}
	return api.Group{ID: uint64(r.First), Name: string(r.Events[0].(*store.GroupAdded).Name), Members: []string{}}, nil
}

func (n *Node) renameGroup(ctx context.Context, c call, q api.GroupRequest) (api.Empty, error) {
	_, err := n.ledger.Do(ctx, access.RenameGroup{By: c.caller, Group: store.GroupName(c.param("name")), Name: q.Name})
	return api.Empty{}, err
}

func (n *Node) removeGroup(ctx context.Context, c call, _ api.Empty) (api.Empty, error) {
	_, err := n.ledger.Do(ctx, access.RemoveGroup{By: c.caller, Name: store.GroupName(c.param("name"))})
	return api.Empty{}, err
}

func (n *Node) addMember(ctx context.Context, c call, q api.MemberRequest) (api.Changed, error) {
	return n.change(ctx, c, func(place access.Place) access.Command {
		return access.AddMember{By: c.caller, Group: store.GroupName(c.param("name")), User: store.Handle(q.Handle), Place: place}
	})
}

func (n *Node) removeMember(ctx context.Context, c call, _ api.Empty) (api.Changed, error) {
	return n.change(ctx, c, func(place access.Place) access.Command {
		return access.RemoveMember{By: c.caller, Group: store.GroupName(c.param("name")), User: store.Handle(c.param("handle")), Place: place}
	})
}
