package bolt

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/vaultpam/vaultpam/store"
)

// Find implements store.Backend.
func (b *Backend) Find(ctx context.Context, q store.Query) ([]store.Index, error) {
	var found []store.Index
	err := b.view(ctx, func(tx *bbolt.Tx) error {
		size, err := readSize(tx)
		if err != nil {
			return err
		}
		if end := store.Index(size); q.To == 0 || q.To > end {
			q.To = end
		}
		if q.From >= q.To {
			return nil
		}
		if q.Type == "" && q.User.IsZero() && q.Target == 0 {
			found = findAll(q)
			return nil
		}
		lists, err := openLists(tx, q)
		if err != nil {
			return err
		}
		found, err = merge(ctx, lists, q)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("searching ledger: %w", err)
	}
	return found, nil
}

// findAll answers the question that restricts nothing but the bounds.
func findAll(q store.Query) []store.Index {
	n := int(q.To - q.From)
	if q.Limit > 0 {
		n = min(n, q.Limit)
	}
	found := make([]store.Index, n)
	for i := range found {
		if q.Order == store.NewestFirst {
			found[i] = q.To - 1 - store.Index(i)
		} else {
			found[i] = q.From + store.Index(i)
		}
	}
	return found
}

// openLists opens the lists that together hold what q asks for: one, or one for
// each type.
func openLists(tx *bbolt.Tx, q store.Query) ([]*list, error) {
	codes, err := codesOf(tx, q.Type)
	if err != nil {
		return nil, err
	}
	var lists []*list
	for _, code := range codes {
		l, err := openList(tx.Bucket([]byte(bucketLists)), listName(q.User, q.Target, code), q)
		if err != nil {
			return nil, err
		}
		if l != nil {
			lists = append(lists, l)
		}
	}
	return lists, nil
}

// codesOf returns the code of a type, or of all types for none.
func codesOf(tx *bbolt.Tx, t store.EventType) ([]typeCode, error) {
	if t != "" {
		code, ok, err := findType(tx, t)
		if err != nil || !ok {
			return nil, err
		}
		return []typeCode{code}, nil
	}
	var codes []typeCode
	err := tx.Bucket([]byte(bucketTypes)).ForEach(func(k, v []byte) error {
		if len(v) != 2 {
			return fmt.Errorf("%w: code of type %q", store.ErrCorrupt, k)
		}
		codes = append(codes, typeCode(binary.BigEndian.Uint16(v)))
		return nil
	})
	return codes, err
}

// merge returns the indexes of all lists in the order of the query. An entry
// has one type, so that no index is in two of them.
func merge(ctx context.Context, lists []*list, q store.Query) ([]store.Index, error) {
	var found []store.Index
	for len(lists) > 0 && (q.Limit <= 0 || len(found) < q.Limit) {
		best := 0
		for i, l := range lists {
			if before(l.head(), lists[best].head(), q.Order) {
				best = i
			}
		}
		found = append(found, lists[best].head())
		l, err := lists[best].next()
		if err != nil {
			return nil, err
		}
		if l == nil {
			lists = slices.Delete(lists, best, best+1)
		}
		if len(found)%4096 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return found, nil
}

func before(a, b store.Index, order store.Order) bool {
	if order == store.NewestFirst {
		return a > b
	}
	return a < b
}
