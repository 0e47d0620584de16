package storetest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/store"
)

// testFind compares answers with a naive reference.
func testFind(t *testing.T, open Open) {
	b, h := begin(t, open)
	grow(t, b, h, 40, 30)
	ref := readReference(t, b)
	rapid.Check(t, func(t *rapid.T) {
		q := drawQuery(t, int(ref.size))
		got, err := b.Find(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(ref.find(q), got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("query %+v (-want +got):\n%s", q, diff)
		}
	})
}

func drawQuery(t *rapid.T, size int) store.Query {
	q := store.Query{
		Type: rapid.SampledFrom([]store.EventType{
			"", store.TypeUserAdded, store.TypeTargetRemoved, store.TypeRulesActivated,
			store.TypeSessionRefused, store.TypeCertificateIssued, store.TypeLedgerCreated, "no.such",
		}).Draw(t, "type"),
		Target: store.Index(rapid.IntRange(0, 5).Draw(t, "target")),
		From:   store.Index(rapid.IntRange(0, size+2).Draw(t, "from")),
		To:     store.Index(rapid.IntRange(0, size+2).Draw(t, "to")),
		Limit:  rapid.IntRange(0, 60).Draw(t, "limit"),
		Order:  rapid.SampledFrom([]store.Order{store.OldestFirst, store.NewestFirst}).Draw(t, "order"),
	}
	if u := rapid.IntRange(-1, 5).Draw(t, "user"); u >= 0 {
		q.User = store.UserID{1, byte(u)}
	}
	if rapid.Bool().Draw(t, "from the start") {
		q.From = 0
	}
	if rapid.Bool().Draw(t, "to the end") {
		q.To = 0
	}
	return q
}

func readReference(t *testing.T, b store.Backend) *reference {
	t.Helper()
	ref := newReference()
	for {
		page, err := b.Records(t.Context(), ref.size, checkPage)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return ref
		}
		for _, data := range page {
			e, err := store.DecodeEntry(data)
			if err != nil {
				t.Fatal(err)
			}
			ref.add(e)
		}
	}
}

// testFindLongLists asks at every place of a list long enough that an engine
// keeps it in several pieces, with gaps of several sizes.
func testFindLongLists(t *testing.T, open Open) {
	b, h := begin(t, open)
	user := store.UserID{9}
	for n := range 12 {
		events := make([]store.Event, 300)
		for i := range events {
			events[i] = &store.RulesActivated{Rules: 1}
			if i%(n+1) == 0 {
				events[i] = &store.UserRemoved{User: user}
			}
		}
		batch := h.BatchOf(t, events...)
		if err := b.Append(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		h.Appended(t, batch)
	}
	check(t, b, h)
	ref := readReference(t, b)
	for at := range ref.size {
		for _, q := range []store.Query{
			{User: user, From: at, Limit: 3},
			{User: user, To: at + 1, Limit: 3, Order: store.NewestFirst},
			{Type: store.TypeUserRemoved, From: at, To: at + 5},
			{Type: store.TypeUserRemoved, From: at, To: at + 5, Order: store.NewestFirst},
		} {
			got, err := b.Find(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(ref.find(q), got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("query %+v (-want +got):\n%s", q, diff)
			}
		}
	}
}
