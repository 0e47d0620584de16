package server

import (
	"context"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// The routes by which an administrator is recovered, on the server's own machine.
var (
	RouteLocalRecovery     = api.Route{Method: "GET", Path: "/v1/local/recovery", Who: api.WhoAnybody, Does: "which recovery of an administrator is under way"}
	RouteLocalRecover      = api.Route{Method: "POST", Path: "/v1/local/recovery", Who: api.WhoAnybody, Does: "begin or finish the recovery of an administrator"}
	RouteLocalRecoveryStop = api.Route{Method: "DELETE", Path: "/v1/local/recovery", Who: api.WhoAnybody, Does: "stop it"}
)

// A LocalRecovery says how far the recovery of an administrator is.
type LocalRecovery struct {
	api.AdminRecovery
	// Invitation is there where it was just finished, and shown once.
	Invitation string    `json:"invitation,omitempty"`
	Expires    time.Time `json:"expires,omitzero"` // of the invitation
	// Told says whether notices of it can go out.
	Told bool `json:"told"`
	// People are all who could be recovered.
	People []api.User `json:"people,omitempty"`
}

// LocalRecover names who is to be an administrator.
type LocalRecover struct {
	Handle string `json:"handle"`
}

func (n *Node) localRecovery(context.Context, call, api.Empty) (LocalRecovery, error) {
	r := LocalRecovery{AdminRecovery: n.describeRecovery(), Told: n.notices != nil}
	for u := range n.ledger.State().Users() {
		r.People = append(r.People, wireUser(u))
	}
	return r, nil
}

// localRecover begins a recovery, and where the same one was begun finishes it.
// Without a pause it does both.
func (n *Node) localRecover(ctx context.Context, _ call, q LocalRecover) (LocalRecovery, error) {
	handle, err := store.ParseHandle(q.Handle)
	if err != nil {
		return LocalRecovery{}, api.NewError(api.KindInvalid, "", "%v", err)
	}
	r := LocalRecovery{Told: n.notices != nil}
	if r.AdminRecovery = n.describeRecovery(); r.Handle != string(handle) {
		pause, err := n.config.recoverPause()
		if err != nil {
			return LocalRecovery{}, err
		}
		began, err := n.ledger.Do(ctx, access.BeginRecovery{By: access.Caller{Local: true}, Handle: handle, Pause: pause})
		if err != nil {
			return LocalRecovery{}, err
		}
		r.AdminRecovery = n.describeRecovery()
		if began.Events[0].(*store.RecoveryBegun).Ready > began.Time {
			return r, nil
		}
	}
	finish := access.FinishRecovery{By: access.Caller{Local: true}, Handle: handle}
	inv, err := n.invitation(&finish.Invite)
	if err != nil {
		return LocalRecovery{}, err
	}
	done, err := n.ledger.Do(ctx, finish)
	if err != nil {
		return LocalRecovery{}, err
	}
	r.Invitation, r.Expires = inv.String(), done.Events[len(done.Events)-1].(*store.InvitationCreated).Expires.Time()
	return r, nil
}

func (n *Node) localRecoveryStop(ctx context.Context, _ call, _ api.Empty) (api.Empty, error) {
	_, err := n.ledger.Do(ctx, access.StopRecovery{By: access.Caller{Local: true}})
	return api.Empty{}, err
}
