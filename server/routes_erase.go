package server

import (
	"context"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// eraseUser erases everybody removed who had a handle, or the one with an ID.
func (n *Node) eraseUser(ctx context.Context, c call, _ api.Empty) (api.EraseResponse, error) {
	ids, err := n.usersNamed(ctx, c.param("handle"))
	if err != nil {
		return api.EraseResponse{}, err
	}
	s := n.ledger.State()
	var gone []store.UserID
	for _, id := range ids {
		if _, ok := s.User(id); !ok || len(ids) == 1 {
			gone = append(gone, id)
		}
	}
	r := api.EraseResponse{Users: []string{}}
	for _, id := range gone {
		texts, err := n.ledger.Erase(ctx, access.EraseUser{By: c.caller, User: id})
		if err != nil {
			return r, err
		}
		r.Users, r.Texts = append(r.Users, id.String()), r.Texts+texts
	}
	return r, nil
}
