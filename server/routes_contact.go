package server

import (
	"context"
	"errors"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// setContact says where somebody gets notices.
func (n *Node) setContact(ctx context.Context, c call, q api.ContactRequest) (api.Empty, error) {
	set := access.SetContact{By: c.caller, Handle: store.Handle(q.Handle), Email: q.Email}
	if err := draw(n.Random, set.Salt[:]); err != nil {
		return api.Empty{}, err
	}
	_, err := n.ledger.Do(ctx, set)
	return api.Empty{}, err
}

// wireUser is a user with the address that is beside the ledger.
func (n *Node) wireUser(ctx context.Context, u access.User) (api.User, error) {
	w := wireUser(u)
	if u.Contact == (store.Commitment{}) {
		return w, nil
	}
	text, err := n.ledger.Text(ctx, u.ID, u.Contact)
	if errors.Is(err, store.ErrNotFound) {
		return w, nil // erased
	}
	w.Email = text
	return w, err
}

// sends refuses where this server sends no mails, so that no invitation is made
// whose link nobody ever sees.
func (n *Node) sends() error {
	if n.mail == nil {
		return api.NewError(api.KindConflict, "leave --send out and hand the link over yourself, or see notices.smtp in docs/configuration.md",
			"this server sends no mail")
	}
	return nil
}

func (n *Node) recovery(_ context.Context, _ call, _ api.Empty) (api.AdminRecovery, error) {
	return n.describeRecovery(), nil
}

// describeRecovery is the recovery of an administrator that is under way.
func (n *Node) describeRecovery() api.AdminRecovery {
	s := n.ledger.State()
	p, ok := s.Recovery(store.At(n.Now()))
	if !ok {
		return api.AdminRecovery{}
	}
	u, _ := s.User(p.User)
	return api.AdminRecovery{
		Entry: uint64(p.Entry), Handle: string(u.Handle), Begun: p.Begun.Time(), Ready: p.Ready.Time(), Ends: p.Ends().Time(),
	}
}

func (n *Node) stopRecovery(ctx context.Context, c call, _ api.Empty) (api.Empty, error) {
	_, err := n.ledger.Do(ctx, access.StopRecovery{By: c.caller})
	return api.Empty{}, err
}
