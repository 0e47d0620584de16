package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

const (
	defaultPage = 100
	maxPage     = 1000
	// renderers is how many parts of an answer are put into words at a time.
	renderers = 4
)

// A search is a query of the ledger by names. A name may have had several
// bearers, one after the other: what is asked by name is answered for all of
// them, or whoever removes a target and registers it anew would hide its past.
type search struct {
	store.Query
	users   []store.UserID // any of these; empty: whoever
	targets []store.Index  // any of these; empty: whatever
}

// errNothing says that a search is of a time before the ledger: it finds nothing.
var errNothing = errors.New("there was no ledger then")

// search reads ?type= user= target= since= until= before= limit=.
func (n *Node) search(ctx context.Context, c call) (search, error) {
	s := search{Query: store.Query{Type: store.EventType(c.query.Get("type")), Order: store.NewestFirst, Limit: defaultPage}}
	if text := c.query.Get("limit"); text != "" {
		limit, err := strconv.Atoi(text)
		if err != nil || limit < 1 || limit > maxPage {
			return s, api.NewError(api.KindInvalid, "", "limit: want a number from 1 to %d", maxPage)
		}
		s.Limit = limit
	}
	if s.Type != "" && !s.Type.Known() {
		return s, api.NewError(api.KindInvalid, "docs/ledger-format.md lists the types", "type: there are no entries of the type %.64q", s.Type)
	}
	var err error
	if text := c.query.Get("user"); text != "" {
		if s.users, err = n.usersNamed(ctx, text); err != nil {
			return s, err
		}
	}
	if text := c.query.Get("target"); text != "" {
		if s.targets, err = n.targetsNamed(ctx, store.TargetName(text)); err != nil {
			return s, err
		}
	}
	if s.From, err = n.moment(ctx, c, "since"); err != nil {
		return s, err
	}
	if s.To, err = n.moment(ctx, c, "until"); err != nil {
		return s, err
	}
	if c.query.Get("until") != "" && s.To == 0 {
		return s, errNothing
	}
	before, err := number(c, "before")
	if before != 0 && (s.To == 0 || store.Index(before) < s.To) {
		s.To = store.Index(before)
	}
	return s, err
}

// find answers a search, the newest first. No entry concerns two users or two
// targets, so that none is found twice.
func (n *Node) find(ctx context.Context, s search) ([]*store.Entry, error) {
	if len(s.users) == 0 {
		s.users = []store.UserID{{}}
	}
	if len(s.targets) == 0 {
		s.targets = []store.Index{0}
	}
	var found []*store.Entry
	for _, user := range s.users {
		for _, target := range s.targets {
			q := s.Query
			q.User, q.Target = user, target
			some, err := n.ledger.Find(ctx, q)
			if err != nil {
				return nil, err
			}
			found = append(found, some...)
		}
	}
	slices.SortFunc(found, func(a, b *store.Entry) int { return cmp.Compare(b.Index, a.Index) })
	return found[:min(len(found), s.Limit)], nil
}

// moment is the index of the first entry at or after a time in RFC 3339; 0 where
// none is named.
func (n *Node) moment(ctx context.Context, c call, name string) (store.Index, error) {
	text := c.query.Get(name)
	if text == "" {
		return 0, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, api.NewError(api.KindInvalid, "", "%s: want a time such as 2026-08-01T14:00:00Z", name)
	}
	return n.ledger.Since(ctx, store.At(t))
}

// usersNamed finds a user by ID, or all who ever had a handle.
func (n *Node) usersNamed(ctx context.Context, text string) ([]store.UserID, error) {
	if strings.HasPrefix(text, "u:") {
		id, err := store.ParseUserID(text)
		if err != nil {
			return nil, api.NewError(api.KindInvalid, "", "user: %v", err)
		}
		return []store.UserID{id}, nil
	}
	ids, err := n.ledger.UsersNamed(ctx, store.Handle(text))
	if err == nil && len(ids) == 0 {
		// A name that was mistyped must not read as "nothing happened".
		err = api.NewError(api.KindNotFound, "", "nobody was ever called %.64q here, or the name was erased", text)
	}
	return ids, err
}

// targetsNamed finds all targets that ever had a name.
func (n *Node) targetsNamed(ctx context.Context, name store.TargetName) ([]store.Index, error) {
	entries, err := n.ledger.TargetsNamed(ctx, name)
	if err == nil && len(entries) == 0 {
		err = api.NewError(api.KindNotFound, "", "no target was ever called %.64q here", name)
	}
	return entries, err
}

// entries answers a page of the ledger, the newest first.
func (n *Node) entries(ctx context.Context, c call, _ api.Empty) (api.EntriesResponse, error) {
	r := api.EntriesResponse{Entries: []api.Entry{}, Size: uint64(n.ledger.State().Next())}
	s, err := n.search(ctx, c)
	if errors.Is(err, errNothing) {
		return r, nil
	} else if err != nil {
		return api.EntriesResponse{}, err
	}
	found, err := n.find(ctx, s)
	if err != nil {
		return api.EntriesResponse{}, err
	}
	r.Entries = n.read(ctx, found)
	if len(found) == s.Limit {
		r.Next = uint64(found[len(found)-1].Index)
	}
	r.Size = max(r.Size, uint64(n.ledger.State().Next()))
	return r, nil
}

// read turns entries into what people read, in parts at the same time: what is
// told of an entry stands in others, in other places of the ledger.
func (n *Node) read(ctx context.Context, entries []*store.Entry) []api.Entry {
	told := make([]api.Entry, len(entries))
	each := (len(entries) + renderers - 1) / renderers
	// A panic in a goroutine of ours would end the process; in the caller's, which
	// is the request's, net/http ends that request alone.
	var failed atomic.Value
	var parts sync.WaitGroup // ends with read
	for start := 0; start < len(entries); start += each {
		parts.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					failed.Store(fmt.Sprint(p))
				}
			}()
			reader := n.newReader()
			for i := start; i < min(start+each, len(entries)); i++ {
				told[i] = reader.entry(ctx, entries[i])
			}
		})
	}
	parts.Wait()
	if p := failed.Load(); p != nil {
		panic(p)
	}
	return told
}

// sessions answers sessions, the newest first.
func (n *Node) sessions(ctx context.Context, c call, _ api.Empty) ([]api.Session, error) {
	sessions := []api.Session{}
	s, err := n.search(ctx, c)
	if errors.Is(err, errNothing) {
		return sessions, nil
	} else if err != nil {
		return nil, err
	}
	s.Type = store.TypeSessionStarted
	started, err := n.find(ctx, s)
	if err != nil {
		return nil, err
	}
	reader := n.newReader()
	for _, e := range started {
		x, err := reader.session(ctx, e)
		if err != nil {
			return nil, err
		}
		sessions = append(sessions, x)
	}
	return sessions, nil
}
