package server

import (
	"context"
	"fmt"
	"net"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/target"
	"github.com/vaultpam/vaultpam/store"
)

// reloadTime bounds how long sshd may take to listen again.
const reloadTime = 10 * time.Second

func (n *Node) check(ctx context.Context, c call, q api.ErrandRequest) (api.Check, error) {
	start, err := errandOf(c, store.ErrandCheck, q.Login)
	if err != nil {
		return api.Check{}, err
	}
	if _, err := n.look(ctx, start); err != nil {
		return api.Check{}, err
	}
	return n.wireCheck(ctx, start.Target)
}

func (n *Node) lastCheck(ctx context.Context, c call, _ api.Empty) (api.Check, error) {
	name, err := targetParam(c)
	if err != nil {
		return api.Check{}, err
	}
	return n.wireCheck(ctx, name)
}

// closing is the first half of shutting a target's other ways in: the ordinary
// login works, since it brought the report, and the certificate is one that opens
// the host when VaultPAM is down. That the host lets it in is shown by using it:
// the script goes over that login, not over the relay.
func (n *Node) closing(ctx context.Context, c call, q api.ClosingRequest) (api.ClosingResponse, error) {
	start, err := errandOf(c, store.ErrandClose, q.Login)
	if err != nil {
		return api.ClosingResponse{}, err
	}
	if _, err := n.emergency(start.Target, q.Certificate); err != nil {
		return api.ClosingResponse{}, err
	}
	r := api.ClosingResponse{Close: target.RunAsRoot(target.ModeClose), Open: target.RunAsRoot(target.ModeOpen)}
	if _, err = n.look(ctx, start); err != nil {
		return api.ClosingResponse{}, err
	}
	if r.Check, err = n.wireCheck(ctx, start.Target); err != nil {
		return api.ClosingResponse{}, err
	}
	if r.Script, err = target.Script(n.setup(start.Target)); err != nil {
		return api.ClosingResponse{}, err
	}
	t, ok := n.ledger.State().TargetByName(start.Target)
	if !ok {
		return api.ClosingResponse{}, store.ErrNotFound
	}
	detail := wireTarget(t)
	r.Address, r.HostKeys = detail.Address, detail.HostKeys
	return r, nil
}

// closed is the second half: the ordinary login still works, and the host says
// that its other ways in are shut.
func (n *Node) closed(ctx context.Context, c call, q api.ClosingRequest) (api.Check, error) {
	start, err := errandOf(c, store.ErrandClose, q.Login)
	if err != nil {
		return api.Check{}, err
	}
	serial, err := n.emergency(start.Target, q.Certificate)
	if err != nil {
		return api.Check{}, err
	}
	session, err := n.look(ctx, start)
	if err != nil {
		return api.Check{}, err
	}
	if _, err := n.ledger.Do(ctx, access.RecordClosed{By: c.caller, Target: start.Target, Session: session, Emergency: serial}); err != nil {
		return api.Check{}, err
	}
	return n.wireCheck(ctx, start.Target)
}

// reopen takes back what shut a target's other ways in, and looks.
func (n *Node) reopen(ctx context.Context, c call, q api.ErrandRequest) (api.Check, error) {
	start, err := errandOf(c, store.ErrandReopen, q.Login)
	if err != nil {
		return api.Check{}, err
	}
	script, err := target.Script(n.setup(start.Target))
	if err != nil {
		return api.Check{}, err
	}
	started, outcome, err := n.run(ctx, start, script, target.ModeOpen)
	if err != nil {
		return api.Check{}, err
	}
	if err := hostProblem(start.Target, started.Login, outcome); err != nil {
		return api.Check{}, err
	}
	n.awaitReload(ctx, started.Target)
	start.Errand = store.ErrandCheck
	session, err := n.look(ctx, start)
	if err != nil {
		return api.Check{}, err
	}
	if _, err := n.ledger.Do(ctx, access.RecordReopened{By: c.caller, Target: start.Target, Session: session}); err != nil {
		return api.Check{}, err
	}
	return n.wireCheck(ctx, start.Target)
}

// awaitReload waits until a host listens again: while sshd reads its
// configuration anew, for a moment, nobody does. A host that stays away is for
// the look that follows to tell.
func (n *Node) awaitReload(ctx context.Context, entry store.Index) {
	t, ok := n.ledger.State().Target(entry)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, reloadTime)
	defer cancel()
	pause := time.NewTicker(reloadTime / 50)
	defer pause.Stop()
	for {
		var dialer net.Dialer
		c, err := dialer.DialContext(ctx, "tcp", t.Address)
		if err == nil {
			_ = c.Close() // nothing was said on it
			return
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
	}
}

func errandOf(c call, errand store.Errand, login string) (access.StartErrand, error) {
	name, err := targetParam(c)
	return access.StartErrand{By: c.caller, Errand: errand, Target: name, Login: login}, err
}

func targetParam(c call) (store.TargetName, error) {
	name, err := store.ParseTargetName(c.param("name"))
	if err != nil {
		return "", api.NewError(api.KindInvalid, "", "%v", err)
	}
	return name, nil
}

// emergency returns the serial of an emergency certificate for a target that is
// valid now.
func (n *Node) emergency(name store.TargetName, line string) (store.Serial, error) {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	cert, ok := key.(*ssh.Certificate)
	if err != nil || !ok {
		return 0, api.NewError(api.KindInvalid, "", "this is not an SSH certificate")
	}
	opens, err := ca.CheckEmergency(cert, n.keys.emergency, n.Now())
	hint := fmt.Sprintf("on the server: vaultpamd emergency-cert --target %s --login LOGIN --key FILE.pub > FILE-cert.pub", name)
	if err != nil {
		return 0, api.NewError(api.KindInvalid, hint, "this emergency certificate can't be used: %v", err)
	}
	if opens.Target != name {
		return 0, api.NewError(api.KindInvalid, hint, "this emergency certificate opens %s, not %s", opens.Target, name)
	}
	return store.Serial(cert.Serial), nil
}
