package server

import (
	"context"
	"strconv"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

func (n *Node) locks(ctx context.Context, _ call, _ api.Empty) ([]api.Lock, error) {
	r, locks := n.newReader(), []api.Lock{}
	for l := range r.state.Locks() {
		locks = append(locks, r.lock(ctx, l))
	}
	return locks, nil
}

// lock returns a lock as it is read.
func (r *reader) lock(ctx context.Context, l access.Lock) api.Lock {
	w := api.Lock{ID: uint64(l.Entry), Since: l.Time.Time(), By: r.actor(ctx, l.Actor), Why: r.text(ctx, l.About(), l.Why)}
	if !l.Of.IsZero() {
		w.Of = r.handle(ctx, l.Of)
	}
	w.Kind, w.Name = r.locked(ctx, &store.LockAdded{User: l.User, Target: l.Target, Session: l.Session, Serial: l.Serial}, r.state.Next())
	return w
}

// locked says in the words of the API what a lock is on, as it was called before an
// entry.
func (r *reader) locked(ctx context.Context, e *store.LockAdded, before store.Index) (kind, name string) {
	switch {
	case !e.User.IsZero():
		return api.LockUser, r.handle(ctx, e.User)
	case e.Target != 0:
		return api.LockTarget, r.targetAt(ctx, e.Target, before)
	case !e.Session.IsZero():
		return api.LockSession, e.Session.String()
	}
	return api.LockSerial, strconv.FormatUint(uint64(e.Serial), 10)
}

func (n *Node) addLock(ctx context.Context, c call, q api.LockRequest) (api.Lock, error) {
	add := access.AddLock{By: c.caller, Why: q.Why}
	var err error
	if add.What, err = lockable(q); err != nil {
		return api.Lock{}, err
	}
	if add.What.Serial != 0 {
		if add.Certificate, err = n.issued(ctx, add.What.Serial); err != nil {
			return api.Lock{}, err
		}
	}
	if err := draw(n.Random, add.Salt[:]); err != nil {
		return api.Lock{}, err
	}
	done, err := n.ledger.Do(ctx, add)
	if err != nil {
		return api.Lock{}, err
	}
	r := n.newReader()
	l, ok := r.state.Lock(done.First)
	if !ok { // taken away in the same moment
		return api.Lock{}, store.ErrNotFound
	}
	return r.lock(ctx, l), nil
}

func (n *Node) removeLock(ctx context.Context, c call, q api.LockRequest) (api.Empty, error) {
	remove := access.RemoveLock{By: c.caller, Why: q.Why}
	var err error
	if remove.What, err = lockable(q); err != nil {
		return api.Empty{}, err
	}
	if err := draw(n.Random, remove.Salt[:]); err != nil {
		return api.Empty{}, err
	}
	_, err = n.ledger.Do(ctx, remove)
	return api.Empty{}, err
}

// issued returns what the ledger says of the certificate with a serial, nil where
// there is none.
func (n *Node) issued(ctx context.Context, serial store.Serial) (*store.CertificateIssued, error) {
	index, ok := n.ledger.State().CertificateIndex(serial)
	if !ok {
		return nil, nil //nolint:nilnil // the rules say what that means
	}
	e, err := n.ledger.Proved(ctx, index)
	if err != nil {
		return nil, err
	}
	issued, _ := e.Event.(*store.CertificateIssued)
	return issued, nil
}

// lockable reads what a request names.
func lockable(q api.LockRequest) (what access.Lockable, err error) {
	switch q.Kind {
	case api.LockUser:
		what.User, err = store.ParseHandle(q.Name)
	case api.LockTarget:
		what.Target, err = store.ParseTargetName(q.Name)
	case api.LockSession:
		what.Session, err = store.ParseSessionID(q.Name)
	case api.LockSerial:
		var serial uint64
		if serial, err = strconv.ParseUint(q.Name, 10, 63); err != nil || serial == 0 {
			return what, api.NewError(api.KindInvalid, "vaultpam audit ls --type certificate.issued", "a serial is a number")
		}
		what.Serial = store.Serial(serial)
	default:
		return what, api.NewError(api.KindInvalid, "", "kind: want user, target, session or serial")
	}
	if err != nil {
		return what, api.NewError(api.KindInvalid, "", "%v", err)
	}
	return what, nil
}
