package server

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/store"
)

func (n *Node) makeRequest(ctx context.Context, c call, q api.MakeRequest) (api.AccessRequest, error) {
	wish := access.MakeRequest{
		By: c.caller, Target: store.TargetName(q.Target), Login: q.Login, For: q.For, Lasts: seconds(q.Lasts), Reason: q.Reason, Ticket: q.Ticket,
		Waits: seconds(q.Waits), Source: c.source.String(),
	}
	random := make([]byte, len(wish.Nonce)+len(wish.Salts)*len(wish.Salts[0]))
	if err := draw(n.Random, random); err != nil {
		return api.AccessRequest{}, err
	}
	random = random[copy(wish.Nonce[:], random):]
	for i := range wish.Salts {
		random = random[copy(wish.Salts[i][:], random):]
	}
	r, err := n.ledger.Do(ctx, wish)
	if err != nil {
		return api.AccessRequest{}, err
	}
	return n.wireRequest(ctx, c, r.First)
}

// seconds is a duration that a caller gives; one that is none is longer than any that
// the rules take.
func seconds(n uint64) time.Duration {
	if n > math.MaxInt64/uint64(time.Second) {
		return math.MaxInt64
	}
	return time.Duration(n) * time.Second
}

// requests are the caller's own, those that they may answer, and all of them for who
// reads everything.
func (n *Node) requests(ctx context.Context, c call, _ api.Empty) ([]api.AccessRequest, error) {
	s, now := n.ledger.State(), store.At(n.Now())
	u, _, err := s.Caller(c.caller, now)
	if err != nil {
		return nil, err
	}
	all := []api.AccessRequest{}
	r := n.newReader()
	for x := range s.Requests() {
		if sees(s, u, x, now) {
			all = append(all, r.request(ctx, u, x, now))
		}
	}
	return all, nil
}

func sees(s access.State, u access.User, r access.Request, now store.Millis) bool {
	mine := r.User == u.ID || s.MayAnswer(u, r, now) || u.Has(store.RoleAuditor, store.RoleAdministrator)
	for _, a := range r.Approvals {
		mine = mine || a.User == u.ID
	}
	return mine
}

func (n *Node) getRequest(ctx context.Context, c call, _ api.Empty) (api.AccessRequest, error) {
	id, err := entryID(c, "vaultpam requests")
	if err != nil {
		return api.AccessRequest{}, err
	}
	return n.wireRequest(ctx, c, id)
}

func (n *Node) wireRequest(ctx context.Context, c call, id store.Index) (api.AccessRequest, error) {
	s, now := n.ledger.State(), store.At(n.Now())
	u, _, err := s.Caller(c.caller, now)
	if err != nil {
		return api.AccessRequest{}, err
	}
	r, ok := s.Request(id)
	if !ok || !sees(s, u, r, now) {
		return api.AccessRequest{}, api.NewError(api.KindNotFound, "vaultpam requests", "there is no request %d that you may see", id)
	}
	return n.newReader().request(ctx, u, r, now), nil
}

// awaitRequest waits a while until a request does not wait any more.
func (n *Node) awaitRequest(ctx context.Context, c call, _ api.Empty) (api.AccessRequest, error) {
	id, err := entryID(c, "vaultpam requests")
	if err != nil {
		return api.AccessRequest{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, waitStep)
	defer cancel()
	for {
		changed := n.ledger.Changed()
		r, err := n.wireRequest(context.WithoutCancel(ctx), c, id)
		if err != nil || r.State != string(access.RequestWaits) {
			return r, err
		}
		timer := time.NewTimer(r.Expires.Sub(n.Now())) // running out is no entry
		select {
		case <-changed:
		case <-timer.C:
		case <-n.ledger.Stopped():
			timer.Stop()
			return r, nil
		case <-ctx.Done():
			timer.Stop()
			return r, nil
		}
		timer.Stop()
	}
}

// approveRequest opens the page on which the caller touches a passkey for a request,
// or takes a code where there is one.
func (n *Node) approveRequest(ctx context.Context, c call, q api.AnswerRequest) (api.ConfirmResponse, error) {
	id, err := entryID(c, "vaultpam requests")
	if err != nil {
		return api.ConfirmResponse{}, err
	}
	if q.Code != "" {
		return api.ConfirmResponse{}, n.login.ApproveWithTOTP(ctx, c.caller, id, q.Comment, login.Proof{Code: q.Code, Device: q.Device}, c.client(""))
	}
	s, now := n.ledger.State(), store.At(n.Now())
	u, x, err := s.Caller(c.caller, now)
	if err != nil {
		return api.ConfirmResponse{}, err
	}
	r, _ := s.Request(id)
	if err := s.CheckApproval(u, id, q.Comment, now); err != nil {
		return api.ConfirmResponse{}, err
	}
	details := requestDetails(n.newReader().request(ctx, u, r, now), q.Comment)
	begun, err := n.login.BeginApproval(x.Entry, id, q.Comment, details, login.Client{Source: c.source, Machine: n.machineOf(u, x)})
	if err != nil {
		return api.ConfirmResponse{}, err
	}
	return api.ConfirmResponse{Needed: true, BrowserResponse: n.browserResponse(begun)}, nil
}

// requestDetails is what an approver's page says about a request.
func requestDetails(r api.AccessRequest, comment string) []login.Detail {
	all := []login.Detail{
		{Label: "Request", Text: fmt.Sprint(r.ID)}, {Label: "Who", Text: r.User}, {Label: "What", Text: r.Login + " on " + r.Target},
		{Label: "For", Text: r.For}, {Label: "How long", Text: store.Millis(r.Lasts * 1000).Length()}, {Label: "Why", Text: r.Reason},
		{Label: "Ticket", Text: r.Ticket}, {Label: "From where", Text: r.Source}, {Label: "You say", Text: comment},
	}
	if r.Change != "" {
		all = []login.Detail{
			{Label: "Proposal", Text: fmt.Sprint(r.ID)}, {Label: "Who", Text: r.User + ", an administrator, in their own favour"},
			{Label: "What", Text: r.Change}, {Label: "From where", Text: r.Source}, {Label: "You say", Text: comment},
		}
	}
	said := all[:0]
	for _, d := range all {
		if d.Text != "" {
			said = append(said, d)
		}
	}
	return said
}

func (n *Node) denyRequest(ctx context.Context, c call, q api.AnswerRequest) (api.Empty, error) {
	id, err := entryID(c, "vaultpam requests")
	if err != nil {
		return api.Empty{}, err
	}
	no := access.DenyRequest{By: c.caller, Request: id, Comment: q.Comment}
	if err := draw(n.Random, no.Salt[:]); err != nil {
		return api.Empty{}, err
	}
	_, err = n.ledger.Do(ctx, no)
	return api.Empty{}, err
}

func (n *Node) withdrawRequest(ctx context.Context, c call, _ api.Empty) (api.Empty, error) {
	id, err := entryID(c, "vaultpam requests")
	if err != nil {
		return api.Empty{}, err
	}
	_, err = n.ledger.Do(ctx, access.WithdrawRequest{By: c.caller, Request: id})
	return api.Empty{}, err
}

// request returns a request as somebody reads it.
func (r *reader) request(ctx context.Context, u access.User, x access.Request, now store.Millis) api.AccessRequest {
	base, _ := r.state.Grant(x.Base)
	purposes, change := x.For, ""
	switch {
	case x.Change != nil:
		change = r.change(ctx, x.Change, x.Entry)
	case len(purposes) == 0:
		purposes = base.Purposes()
	}
	w := api.AccessRequest{
		ID: uint64(x.Entry), Hash: fmt.Sprintf("%x", x.Hash), State: string(r.state.RequestState(x, now)), User: r.handle(ctx, x.User), Change: change,
		Target: r.target(ctx, x.Target), Login: string(x.Login), For: purposes.String(), Lasts: uint64(x.Lasts / 1000),
		Reason: r.title(ctx, x.User, x.Reason), Ticket: r.title(ctx, x.User, x.Ticket), Source: r.title(ctx, x.User, x.Source),
		Made: x.Made.Time(), Expires: x.Expires.Time(), Approvals: []api.AccessApproval{}, Base: uint64(x.Base), Grant: uint64(x.Grant),
		Yours: r.state.MayAnswer(u, x, now),
	}
	w.Have, w.Want = r.state.Approvals(x)
	for _, a := range x.Approvals {
		w.Approvals = append(w.Approvals, api.AccessApproval{
			Entry: uint64(a.Entry), User: r.handle(ctx, a.User), Time: a.Time.Time(), Factor: string(a.Kind), Comment: r.title(ctx, a.User, a.Comment),
		})
	}
	if g, ok := r.state.Grant(x.Grant); ok {
		w.Until = g.Until.Time()
	}
	if x.Ended == access.RequestDenied {
		if e, _, err := r.n.ledger.Entry(ctx, x.EndedBy); err == nil {
			if no, ok := e.Event.(*store.RequestDenied); ok {
				w.Comment = r.title(ctx, e.Actor.User, no.Comment)
			}
		}
	}
	return w
}
