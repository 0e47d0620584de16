package server

import (
	"context"
	"net"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/server/target"
	"github.com/vaultpam/vaultpam/store"
)

func (n *Node) users(ctx context.Context, _ call, _ api.Empty) ([]api.User, error) {
	users := []api.User{}
	for u := range n.ledger.State().Users() {
		w, err := n.wireUser(ctx, u)
		if err != nil {
			return nil, err
		}
		users = append(users, w)
	}
	return users, nil
}

func wireUser(u access.User) api.User {
	return api.User{ID: u.ID.String(), Handle: string(u.Handle), Roles: texts(u.Roles), Enrolled: u.Enrolled()}
}

func (n *Node) addUser(ctx context.Context, c call, q api.AddUserRequest) (api.AddUserResponse, error) {
	add := access.AddUser{By: c.caller, Handle: q.Handle, Email: q.Email}
	for _, text := range q.Roles {
		role, err := store.ParseRole(text)
		if err != nil {
			return api.AddUserResponse{}, api.NewError(api.KindInvalid, "", "%v", err)
		}
		add.Roles = append(add.Roles, role)
	}
	inv, err := n.invitation(&add.Invite)
	if err != nil {
		return api.AddUserResponse{}, err
	}
	if err := draw(n.Random, add.ID[:], add.Salt[:]); err != nil {
		return api.AddUserResponse{}, err
	}
	if q.Email != "" {
		if err := draw(n.Random, add.EmailSalt[:]); err != nil {
			return api.AddUserResponse{}, err
		}
	}
	if !q.Send {
		return n.invite(ctx, add, store.Handle(q.Handle), inv)
	}
	if err := n.sends(); err != nil {
		return api.AddUserResponse{}, err
	}
	if q.Email == "" {
		return api.AddUserResponse{}, api.NewError(api.KindInvalid, "add --email ADDRESS, or leave --send out", "there is no address to send the invitation to")
	}
	return n.inviteByMail(ctx, add, add.ID, add.Invite, inv)
}

func (n *Node) inviteUser(ctx context.Context, c call, q api.InviteRequest) (api.AddUserResponse, error) {
	handle, err := store.ParseHandle(c.param("handle"))
	if err != nil {
		return api.AddUserResponse{}, api.NewError(api.KindInvalid, "", "%v", err)
	}
	invite := access.InviteUser{By: c.caller, Handle: handle}
	inv, err := n.invitation(&invite.Invite)
	if err != nil {
		return api.AddUserResponse{}, err
	}
	if !q.Send {
		return n.invite(ctx, invite, handle, inv)
	}
	if err := n.sends(); err != nil {
		return api.AddUserResponse{}, err
	}
	u, ok := n.ledger.State().UserByHandle(handle)
	if ok && u.Contact == (store.Commitment{}) {
		return api.AddUserResponse{}, api.NewError(api.KindConflict, "vaultpam admin user email "+string(handle)+" ADDRESS", "%s has no e-mail address", handle)
	}
	return n.inviteByMail(ctx, invite, u.ID, invite.Invite, inv)
}

// invite has somebody invited, and returns the invitation.
func (n *Node) invite(ctx context.Context, cmd access.Command, handle store.Handle, inv api.Invitation) (api.AddUserResponse, error) {
	r, err := n.ledger.Do(ctx, cmd)
	if err != nil {
		return api.AddUserResponse{}, err
	}
	u, ok := n.ledger.State().UserByHandle(handle)
	if !ok { // removed in the same moment
		return api.AddUserResponse{}, store.ErrNotFound
	}
	w, err := n.wireUser(ctx, u)
	return api.AddUserResponse{User: w, Invitation: inv.String(), Expires: expires(r)}, err
}

// inviteByMail has somebody invited. The link lies beside the ledger from the
// moment on at which the invitation is an entry, until it was sent.
func (n *Node) inviteByMail(ctx context.Context, cmd access.Command, user store.UserID, invite access.Invite, inv api.Invitation) (api.AddUserResponse, error) {
	link, err := n.notices.KeepLink(user, invite.Token, inv.String())
	if err != nil {
		return api.AddUserResponse{}, err
	}
	r, err := n.ledger.Do(ctx, cmd, link)
	if err != nil {
		return api.AddUserResponse{}, err
	}
	u, ok := n.ledger.State().User(user)
	if !ok { // removed in the same moment
		return api.AddUserResponse{}, store.ErrNotFound
	}
	w, err := n.wireUser(ctx, u)
	return api.AddUserResponse{User: w, Expires: expires(r)}, err
}

// expires is when the invitation ends that a command's last event is.
func expires(r ledger.Result) time.Time {
	return r.Events[len(r.Events)-1].(*store.InvitationCreated).Expires.Time()
}

// invitation draws a token; the command learns no more than its hash.
func (n *Node) invitation(into *access.Invite) (api.Invitation, error) {
	inv := api.Invitation{Host: n.config.Public.HTTPS, Pin: n.pin}
	if err := draw(n.Random, inv.Token[:]); err != nil {
		return inv, err
	}
	into.Token = login.TokenHash(inv.Token[:])
	return inv, nil
}

func (n *Node) removeUser(ctx context.Context, c call, _ api.Empty) (api.Empty, error) {
	r, err := n.ledger.Do(ctx, access.RemoveUser{By: c.caller, Handle: store.Handle(c.param("handle"))})
	if err != nil {
		return api.Empty{}, err
	}
	if err := n.login.Forget(ctx, r.Events[0].(*store.UserRemoved).User); err != nil {
		n.Log.Error("what signed a removed user in is still there, and signs nobody in", "error", err)
	}
	return api.Empty{}, nil
}

func (n *Node) allTargets(context.Context, call, api.Empty) ([]api.TargetDetail, error) {
	targets := []api.TargetDetail{}
	for t := range n.ledger.State().Targets() {
		targets = append(targets, wireTarget(t))
	}
	return targets, nil
}

func wireTarget(t access.Target) api.TargetDetail {
	d := api.TargetDetail{ID: uint64(t.Entry), Name: string(t.Name), Address: t.Address, Egress: t.Egress, Logins: texts(t.Logins), Labels: t.Labels.String(), Check: wireSummary(t.Check)}
	for _, blob := range t.HostKeys {
		if key, err := ssh.ParsePublicKey(blob); err == nil {
			d.HostKeys = append(d.HostKeys, authorized(key))
		}
	}
	return d
}

// scanTimeout bounds how long a host may take to show its keys.
const scanTimeout = 15 * time.Second

// scan reads a host's keys from where the relay would connect, and says from
// which address that is.
func (n *Node) scan(ctx context.Context, _ call, q api.ScanRequest) (api.ScanResponse, error) {
	address, err := target.ParseAddress(q.Address)
	if err != nil {
		return api.ScanResponse{}, api.NewError(api.KindInvalid, "", "%v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	var egress string
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, network, address)
		if err == nil {
			egress, _, _ = net.SplitHostPort(c.LocalAddr().String())
		}
		return c, err
	}
	keys, err := target.Scan(ctx, dial, address)
	if err != nil {
		return api.ScanResponse{}, api.NewError(api.KindUnavailable, "check the address, and that the server may reach it", "%v", err)
	}
	r := api.ScanResponse{Egress: egress}
	for _, k := range keys {
		r.HostKeys = append(r.HostKeys, authorized(k))
	}
	return r, nil
}

func (n *Node) addTarget(ctx context.Context, c call, q api.AddTargetRequest) (api.TargetDetail, error) {
	address, err := target.ParseAddress(q.Address)
	if err != nil {
		return api.TargetDetail{}, api.NewError(api.KindInvalid, "", "%v", err)
	}
	add := access.AddTarget{By: c.caller, Name: q.Name, Address: address, Logins: q.Logins, Egress: q.Egress}
	for _, text := range q.HostKeys {
		key, err := publicKey(text)
		if err != nil {
			return api.TargetDetail{}, err
		}
		add.HostKeys = append(add.HostKeys, key)
	}
	if add.Egress == "" {
		if add.Egress, err = n.egress(ctx, address); err != nil {
			return api.TargetDetail{}, err
		}
	}
	r, err := n.ledger.Do(ctx, add)
	if err != nil {
		return api.TargetDetail{}, err
	}
	t, ok := n.ledger.State().Target(r.First)
	if !ok { // removed in the same moment
		return api.TargetDetail{}, store.ErrNotFound
	}
	return wireTarget(t), nil
}

// egress is the address that the relay comes from when it connects to a host:
// the one that the machine's routes choose, without a packet being sent.
func (n *Node) egress(ctx context.Context, address string) (string, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "udp", address)
	if err != nil {
		return "", api.NewError(api.KindInvalid, "name it with --egress", "the address that the relay comes from could not be found out: no route to %s", address)
	}
	defer c.Close()
	host, _, err := net.SplitHostPort(c.LocalAddr().String())
	return host, err
}

func (n *Node) removeTarget(ctx context.Context, c call, _ api.Empty) (api.Empty, error) {
	_, err := n.ledger.Do(ctx, access.RemoveTarget{By: c.caller, Name: store.TargetName(c.param("name"))})
	return api.Empty{}, err
}
