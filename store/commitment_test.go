package store_test

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/vaultpam/vaultpam/store"
)

func TestCommitment(t *testing.T) {
	o := store.Opening{Owner: store.UserID{1}, Field: store.FieldHandle, Text: "carol"}
	if _, err := rand.Read(o.Salt[:]); err != nil {
		t.Fatal(err)
	}
	c := o.Commit()
	if !o.Opens(c) {
		t.Fatal("an opening does not open its own commitment")
	}
	for name, change := range map[string]func(*store.Opening){
		"field":           func(o *store.Opening) { o.Field = store.FieldSource },
		"salt":            func(o *store.Opening) { o.Salt[31] ^= 1 },
		"zero salt":       func(o *store.Opening) { o.Salt = [32]byte{} },
		"text":            func(o *store.Opening) { o.Text = "carl" },
		"longer text":     func(o *store.Opening) { o.Text += "\x00" },
		"no text":         func(o *store.Opening) { o.Text = "" },
		"text into field": func(o *store.Opening) { o.Field, o.Text = o.Field+"c", "arol" },
		"field into text": func(o *store.Opening) { o.Field, o.Text = "", "handle\x00carol" },
	} {
		other := o
		change(&other)
		if other.Opens(c) {
			t.Errorf("opened with another %s", name)
		}
	}
	if o.Opens(store.Commitment{}) {
		t.Error("opened the zero commitment")
	}
}

// TestCommitmentGolden: what was committed must stay provable.
func TestCommitmentGolden(t *testing.T) {
	o := store.Opening{Field: store.FieldSource, Salt: [32]byte{1, 2, 3}, Text: "192.0.2.7"}
	c := o.Commit()
	golden(t, "commitment.golden", hex.EncodeToString(c[:])+"\n")
}

// TestCommitments: all that an event commits to is found, whatever its fields are
// called, and a zero one is none.
func TestCommitments(t *testing.T) {
	a, b := store.Commitment{1}, store.Commitment{2}
	for _, tc := range []struct {
		event store.Event
		want  []store.Commitment
	}{
		{&store.SignInSucceeded{Source: a, Machine: b}, []store.Commitment{a, b}},
		{&store.SignInSucceeded{Source: a}, []store.Commitment{a}},
		{&store.LockAdded{Why: b}, []store.Commitment{b}},
		{&store.GroupAdded{Name: "dba"}, nil},
	} {
		if got := store.Commitments(tc.event); !slices.Equal(got, tc.want) {
			t.Errorf("%+v: %v", tc.event, got)
		}
	}
}
