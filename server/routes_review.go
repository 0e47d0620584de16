package server

import (
	"context"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// reviews are those that the caller answers, and all of them for who reads
// everything.
func (n *Node) reviews(ctx context.Context, c call, _ api.Empty) ([]api.Review, error) {
	s, now := n.ledger.State(), store.At(n.Now())
	u, _, err := s.Caller(c.caller, now)
	if err != nil {
		return nil, err
	}
	r, all := n.newReader(), []api.Review{}
	for x := range s.Reviews() {
		if s.SeesReview(u, x) {
			all = append(all, r.review(ctx, s, u, x, now))
		}
	}
	return all, nil
}

func (n *Node) startReview(ctx context.Context, c call, q api.StartReviewRequest) (api.Review, error) {
	due, err := moment("due", q.Due)
	if err != nil {
		return api.Review{}, err
	}
	start := access.StartReview{
		By: c.caller, Owner: store.Handle(q.Owner), Due: due, Revokes: q.Revokes, Title: q.Title, Targets: q.Targets,
		Group: store.GroupName(q.Group), User: store.Handle(q.User),
	}
	if err := draw(n.Random, start.Salt[:]); err != nil {
		return api.Review{}, err
	}
	done, err := n.ledger.Do(ctx, start)
	if err != nil {
		return api.Review{}, err
	}
	return n.wireReview(ctx, c, done.First)
}

func (n *Node) wireReview(ctx context.Context, c call, id store.Index) (api.Review, error) {
	s, now := n.ledger.State(), store.At(n.Now())
	u, x, err := seenReview(s, c, id, now)
	if err != nil {
		return api.Review{}, err
	}
	return n.newReader().review(ctx, s, u, x, now), nil
}

func seenReview(s access.State, c call, id store.Index, now store.Millis) (access.User, access.Review, error) {
	u, _, err := s.Caller(c.caller, now)
	if err != nil {
		return access.User{}, access.Review{}, err
	}
	x, ok := s.Review(id)
	if !ok || !s.SeesReview(u, x) {
		return access.User{}, access.Review{}, access.NoReview(id)
	}
	return u, x, nil
}

// getReview shows a review with its grants. Of one that has ended they are in the
// state before its last entry, which is read again from the ledger.
func (n *Node) getReview(ctx context.Context, c call, _ api.Empty) (api.ReviewDetail, error) {
	id, err := entryID(c, "vaultpam review ls")
	if err != nil {
		return api.ReviewDetail{}, err
	}
	s, now := n.ledger.State(), store.At(n.Now())
	u, x, err := seenReview(s, c, id, now)
	if err != nil {
		return api.ReviewDetail{}, err
	}
	r := n.newReader()
	d := api.ReviewDetail{Review: r.review(ctx, s, u, x, now)}
	if x.Ended == 0 {
		d.Items, err = r.reviewed(ctx, s, u, x, now)
		return d, err
	}
	err = n.ledger.Walk(ctx, []store.Index{x.Ended}, func(before, _ access.State, e *store.Entry) error {
		d.Items, err = r.reviewed(ctx, before, access.User{}, x, e.Time)
		return err
	})
	return d, err
}

func (n *Node) answerReview(ctx context.Context, c call, q api.ReviewAnswerRequest) (api.Review, error) {
	id, err := entryID(c, "vaultpam review ls")
	if err != nil {
		return api.Review{}, err
	}
	answer := access.AnswerReview{By: c.caller, Review: id, Answer: store.ReviewAnswer(q.Answer), Comment: q.Comment}
	for _, g := range q.Grants {
		answer.Grants = append(answer.Grants, store.Index(g))
	}
	if err := draw(n.Random, answer.Salt[:]); err != nil {
		return api.Review{}, err
	}
	if _, err := n.ledger.Do(ctx, answer); err != nil {
		return api.Review{}, err
	}
	return n.wireReview(ctx, c, id)
}

func (n *Node) endReview(ctx context.Context, c call, _ api.Empty) (api.Review, error) {
	id, err := entryID(c, "vaultpam review ls")
	if err != nil {
		return api.Review{}, err
	}
	if _, err := n.ledger.Do(ctx, access.EndReview{By: c.caller, Review: id}); err != nil {
		return api.Review{}, err
	}
	return n.wireReview(ctx, c, id)
}

// review returns a review in figures, as somebody reads it.
func (r *reader) review(ctx context.Context, s access.State, u access.User, x access.Review, now store.Millis) api.Review {
	sums := s.ReviewSums(x, now)
	w := api.Review{
		ID: uint64(x.Entry), Title: r.title(ctx, x.Actor.User, x.Title), Owner: r.handle(ctx, x.Owner), By: r.actor(ctx, x.Actor),
		Started: x.Started.Time(), Due: x.Due.Time(), Revokes: x.Revokes, Targets: x.Targets.String(),
		State: "open", Reminded: uint64(x.Reminded), Ended: uint64(x.Ended), EndedAt: x.EndedAt.Time(),
		Yours: x.Ended == 0 && x.Owner == u.ID, Grants: x.Grants,
		Kept: sums.Kept, Revoked: sums.Revoked, Unanswered: sums.Unanswered, Gone: sums.Gone,
	}
	if x.Ended != 0 {
		w.State = string(x.Why)
	}
	if x.Group != 0 {
		w.Group = r.group(ctx, x.Group, r.state.Next())
	}
	if !x.User.IsZero() {
		w.User = r.handle(ctx, x.User)
	}
	return w
}

// reviewed returns the grants of a review in a state in which it is open, and which
// of them somebody may answer for.
func (r *reader) reviewed(ctx context.Context, s access.State, u access.User, x access.Review, now store.Millis) ([]api.ReviewedGrant, error) {
	items := []api.ReviewedGrant{}
	for v := range s.Reviewed(x.Entry) {
		e, _, err := r.n.ledger.Entry(ctx, v.Grant)
		if err != nil {
			return nil, err
		}
		added, ok := e.Event.(*store.GrantAdded)
		if !ok {
			return nil, store.ErrCorrupt
		}
		g, there := s.Grant(v.Grant)
		last := g.Last
		if !there { // the entry that gave it says what it was
			g, last = access.NewGrant(v.Grant, added), v.Last
		}
		w := api.ReviewedGrant{
			Grant: r.namedGrant(ctx, s, g), Since: e.Time.Time(), LastUsed: last.Time.Time(), LastSession: uint64(last.Entry), State: string(s.ReviewedState(v, now)),
			Entry: uint64(v.Entry), Gone: uint64(v.Gone),
		}
		if v.Entry != 0 {
			about := (&store.ReviewAnswered{User: g.User}).About(v.By)
			w.By, w.At, w.Comment = r.handle(ctx, v.By), v.Time.Time(), r.title(ctx, about, v.Comment)
		}
		if there && !u.ID.IsZero() && x.Ended == 0 && now < x.Due {
			w.MayKeep = w.State == string(access.ReviewedWaits) && s.MayKeep(u, x, g)
			w.MayRevoke = (w.State == string(access.ReviewedWaits) || w.State == string(access.ReviewedKept)) && s.MayRevoke(u, x, g)
		}
		items = append(items, w)
	}
	return items, nil
}

// namedGrant is a grant whose user, group or target may be gone.
func (r *reader) namedGrant(ctx context.Context, s access.State, g access.Grant) api.Grant {
	w := wireGrant(s, g)
	if !g.User.IsZero() {
		w.User = r.handle(ctx, g.User)
	}
	if g.Group != 0 && w.Group == "" {
		w.Group = r.group(ctx, g.Group, r.state.Next())
	}
	if g.Target != 0 {
		w.Target = r.target(ctx, g.Target)
	}
	return w
}
