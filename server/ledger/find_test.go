package ledger_test

import (
	"errors"
	"testing"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// An entry that is durable and of which nobody has been told yet is not found,
// and is no error either.
func TestFindSeesWhatWasAnswered(t *testing.T) {
	h := build(t)
	l := h.open()
	defer h.close(l)
	size := l.State().Next()
	var during []*store.Entry
	var failed error
	h.backend.set(nil, func(int, store.Batch) error {
		during, failed = l.Find(t.Context(), store.Query{Order: store.NewestFirst, Limit: 3})
		return nil
	})
	if _, err := l.Do(t.Context(), access.ChangeSetting{By: local, Setting: store.SettingSelfGrant, Value: store.SelfGrantAllowed}); err != nil {
		t.Fatal(err)
	}
	if failed != nil || len(during) == 0 || during[0].Index != size-1 {
		t.Errorf("between the append and its answer: %d entries, error %v", len(during), failed)
	}
	h.backend.set(nil, nil)
	after, err := l.Find(t.Context(), store.Query{Order: store.NewestFirst, Limit: 1})
	if err != nil || len(after) != 1 || after[0].Index != size {
		t.Errorf("after it: %v, error %v", after, err)
	}
	if _, _, err := l.Entry(t.Context(), size+1); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the entry behind it: %v", err)
	}
}
