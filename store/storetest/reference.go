package storetest

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/vaultpam/vaultpam/store"
)

// Keys returns the user and the target that an entry is found by: its fields of
// those names, and the target that it adds itself. It is written against the
// fields and not against the types, so as not to repeat a mistake of those who
// fill in a store.Record.
func Keys(e *store.Entry) (store.UserID, store.Index) {
	body := reflect.ValueOf(e.Event).Elem()
	var user store.UserID
	if f := body.FieldByName("User"); f.IsValid() {
		user = f.Interface().(store.UserID)
	}
	var target store.Index
	if f := body.FieldByName("Target"); f.IsValid() {
		target = f.Interface().(store.Index)
	}
	if e.Event.EventType() == store.TypeTargetAdded {
		target = e.Index
	}
	return user, target
}

// A reference answers queries from lists that it made from decoded entries.
type reference struct {
	size  store.Index
	lists map[store.Query][]store.Index // by type, user and target, of which some are zero
}

func newReference() *reference {
	return &reference{lists: map[store.Query][]store.Index{}}
}

func (r *reference) add(e *store.Entry) {
	user, target := Keys(e)
	r.size = e.Index + 1
	keys := map[store.Query]bool{}
	for _, t := range []store.EventType{"", e.Event.EventType()} {
		for _, u := range []store.UserID{{}, user} {
			for _, h := range []store.Index{0, target} {
				keys[store.Query{Type: t, User: u, Target: h}] = true
			}
		}
	}
	for q := range keys {
		r.lists[q] = append(r.lists[q], e.Index)
	}
}

func (r *reference) find(q store.Query) []store.Index {
	var found []store.Index
	for _, i := range r.lists[store.Query{Type: q.Type, User: q.User, Target: q.Target}] {
		if q.From <= i && (i < q.To || q.To == 0) {
			found = append(found, i)
		}
	}
	if q.Order == store.NewestFirst {
		slices.Reverse(found)
	}
	if q.Limit > 0 && len(found) > q.Limit {
		found = found[:q.Limit]
	}
	return found
}

// compare asks b for every list, both ways.
func (r *reference) compare(ctx context.Context, b store.Backend) error {
	for q := range r.lists {
		for _, q.Order = range []store.Order{store.OldestFirst, store.NewestFirst} {
			got, err := b.Find(ctx, q)
			if err != nil {
				return err
			}
			if want := r.find(q); !slices.Equal(got, want) {
				return fmt.Errorf("query %+v finds %v, want %v", q, clip(got), clip(want))
			}
		}
	}
	return nil
}

func clip(found []store.Index) []store.Index { return found[:min(len(found), 20)] }
