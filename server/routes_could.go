package server

import (
	"cmp"
	"context"
	"slices"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// explain answers for the caller, and explainFor for anybody. What a person is told
// of themselves is what the relay would tell them.
func (n *Node) explain(_ context.Context, c call, _ api.Empty) (api.Explanation, error) {
	now := store.At(n.Now())
	u, _, err := n.ledger.State().Caller(c.caller, now)
	if err != nil {
		return api.Explanation{}, err
	}
	return n.explained(u, c, now)
}

func (n *Node) explainFor(_ context.Context, c call, _ api.Empty) (api.Explanation, error) {
	handle := store.Handle(c.query.Get("user"))
	u, ok := n.ledger.State().UserByHandle(handle)
	if !ok {
		return api.Explanation{}, api.NewError(api.KindNotFound, "vaultpam admin user ls", "there is no user %.64q", handle)
	}
	return n.explained(u, c, store.At(n.Now()))
}

func (n *Node) explained(u access.User, c call, now store.Millis) (api.Explanation, error) {
	s := n.ledger.State()
	name, err := store.ParseTargetName(c.query.Get("target"))
	if err != nil {
		return api.Explanation{}, api.NewError(api.KindInvalid, "vaultpam targets", "%v", err)
	}
	login, err := store.ParseLogin(c.query.Get("login"))
	if err != nil {
		return api.Explanation{}, api.NewError(api.KindInvalid, "vaultpam targets", "%v", err)
	}
	t, ok := s.TargetByName(name)
	if !ok {
		return api.Explanation{
			Could:    api.Could{User: string(u.Handle), Target: string(name), Login: string(login), By: []uint64{}},
			Sentence: "no: " + access.NoSuchTarget(u, name).Message, Hint: access.NoSuchTarget(u, name).Hint,
		}, nil
	}
	could := s.Could(u, t, login, now)
	e := api.Explanation{Could: wireCould(could), Sentence: s.Sentence(could)}
	if r := s.Refusal(could); r != nil {
		e.Hint = r.Hint
	}
	for a := range s.Approvers(could) {
		e.Approvers = append(e.Approvers, string(a.Handle))
	}
	return e, nil
}

func wireCould(c access.Could) api.Could {
	w := api.Could{
		User: cmp.Or(string(c.User.Handle), c.User.ID.String()), Bot: c.User.Bot, Target: string(c.Target.Name), Login: string(c.Login),
		May: c.May(), Direct: c.Directly(), For: c.Standing.Purposes.String(), Until: c.Until().Time(), Touch: c.Touch(), Locked: uint64(c.Lock.Entry), By: []uint64{},
	}
	for _, g := range c.Standing.Grants {
		w.By = append(w.By, uint64(g.Entry))
	}
	if g, ok := c.Request(); ok {
		w.OnAsking, w.By = true, append(w.By, uint64(g.Entry))
	}
	return w
}

// whoCould answers ?target= or ?user= at ?at=, with the entries behind each answer
// where ?why= asks for them.
func (n *Node) whoCould(ctx context.Context, c call, _ api.Empty) (api.WhoCould, error) {
	s, at, err := n.stateAt(ctx, c.query.Get("at"))
	if err != nil {
		return api.WhoCould{}, err
	}
	user, target := c.query.Get("user"), c.query.Get("target")
	a := api.WhoCould{At: at.UTC(), Size: uint64(s.Next()), Target: target, User: user, Could: []api.Could{}, Ways: []api.OtherWays{}}
	var found []access.Could
	switch {
	case (user == "") == (target == ""):
		err = api.NewError(api.KindInvalid, "--target NAME or --user HANDLE", "who could reach which target, or where could which user go?")
	case target != "":
		found, err = n.couldReachTarget(ctx, s, &a, store.At(at))
	default:
		found, err = n.userCouldReach(ctx, s, &a, store.At(at))
	}
	if err != nil {
		return api.WhoCould{}, err
	}
	r := n.newReader()
	for _, could := range found {
		w := wireCould(could)
		if c.query.Get("why") != "" {
			if w.Why, err = r.reasons(ctx, s.Reasons(could)); err != nil {
				return api.WhoCould{}, err
			}
		}
		a.Could = append(a.Could, w)
	}
	slices.SortStableFunc(a.Could, func(x, y api.Could) int {
		return cmp.Or(cmp.Compare(x.Target, y.Target), cmp.Compare(x.User, y.User), cmp.Compare(x.Login, y.Login))
	})
	return a, nil
}

func (n *Node) couldReachTarget(ctx context.Context, s access.State, a *api.WhoCould, at store.Millis) ([]access.Could, error) {
	t, ok := s.TargetByName(store.TargetName(a.Target))
	if !ok {
		// A name that was mistyped must not read as "nobody could".
		_, err := n.targetsNamed(ctx, store.TargetName(a.Target))
		a.Gone = true
		return nil, err
	}
	a.Ways = append(a.Ways, api.OtherWays{Target: string(t.Name), Check: wireSummary(t.Check)})
	return slices.Collect(s.WhoCould(t, at)), nil
}

// userCouldReach names, beside what a user could reach, each target with ways in
// that nobody has shut: taking somebody's grants away shuts none of them.
func (n *Node) userCouldReach(ctx context.Context, s access.State, a *api.WhoCould, at store.Millis) ([]access.Could, error) {
	ids, err := n.usersNamed(ctx, a.User)
	if err != nil {
		return nil, err
	}
	for t := range s.Targets() {
		if c := t.Check; c.Entry == 0 || c.Doors > 0 || c.Unread > 0 {
			a.Ways = append(a.Ways, api.OtherWays{Target: string(t.Name), Check: wireSummary(c)})
		}
	}
	a.Gone = true
	var found []access.Could
	for _, id := range ids {
		if u, ok := s.User(id); ok {
			a.Gone = false
			found = append(found, slices.Collect(s.CouldReach(u, at))...)
		}
	}
	return found, nil
}

// reasons puts the entries behind an answer into words.
func (r *reader) reasons(ctx context.Context, reasons []access.Reason) ([]api.Reason, error) {
	var all []api.Reason
	for _, reason := range reasons {
		e, err := r.n.ledger.Proved(ctx, reason.Entry)
		if err != nil {
			return nil, err
		}
		all = append(all, api.Reason{Role: reason.Role, Entry: r.entry(ctx, e)})
	}
	return all, nil
}
