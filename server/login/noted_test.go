package login_test

import (
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// TestNoteFailures: one entry for each account and source, once.
func TestNoteFailures(t *testing.T) {
	o := found(t)
	carol, bob := o.employ("carol"), o.employ("bob")
	elsewhere := at("192.0.2.8")
	for range 3 {
		_ = o.try("carol", o.wrong(carol), home)
		_ = o.try("nobody", "000000", home)
	}
	_ = o.try("carol", o.wrong(carol), elsewhere)
	_ = o.try("bob", o.wrong(bob), home)
	o.restart() // what was not told of yet is not forgotten
	for range 3 {
		if err := o.NoteFailures(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	type note struct {
		handle store.Handle
		source string
		count  uint64
	}
	got := map[note]int{}
	for _, e := range o.noted() {
		u, _ := o.ledger.State().User(e.User)
		source, err := o.ledger.Text(t.Context(), e.User, e.Source)
		if err != nil {
			t.Error(err)
		}
		got[note{u.Handle, source, e.Count}]++
	}
	for _, want := range []note{{"carol", "192.0.2.7/32", 3}, {"carol", "192.0.2.8/32", 1}, {"bob", "192.0.2.7/32", 1}} {
		if got[want] != 1 {
			t.Errorf("%+v is told of %d times", want, got[want])
		}
		delete(got, want)
	}
	if len(got) != 0 {
		t.Errorf("told of too: %+v", got)
	}
	_ = o.try("carol", o.wrong(carol), home)
	if err := o.NoteFailures(t.Context()); err != nil {
		t.Fatal(err)
	}
	if notes := o.noted(); len(notes) != 4 || notes[3].Count != 1 {
		t.Errorf("%d notes", len(notes))
	}
	// What counts for nothing any more is forgotten: all but how often a user's
	// sign-in failed in a row.
	o.clock.wait(30 * 24 * time.Hour)
	if err := o.NoteFailures(t.Context()); err != nil {
		t.Fatal(err)
	}
	for w, err := range o.backend.SideAll(t.Context(), store.SideAttempts, nil) {
		if _, ok := o.ledger.State().User(store.UserID(w.Key[:16])); err != nil || !ok || len(w.Key) != 16 {
			t.Errorf("still counted: %x, error %v", w.Key, err)
		}
	}
}

// TestNoteFailuresWhenNothingIsDecided: what could not be told of is told of
// later.
func TestNoteFailuresWhenNothingIsDecided(t *testing.T) {
	o := found(t)
	seed := o.employ("carol")
	_ = o.try("carol", o.wrong(seed), home)
	o.clock.wait(-time.Minute)
	if err := o.NoteFailures(t.Context()); kind(err) != access.Clock {
		t.Errorf("with the clock behind: error %v", err)
	}
	o.clock.wait(time.Minute)
	if err := o.NoteFailures(t.Context()); err != nil {
		t.Fatal(err)
	}
	if notes := o.noted(); len(notes) != 1 || notes[0].Count != 1 {
		t.Errorf("notes %+v", notes)
	}
}

// TestRemovedUsersFailures: nobody is told of who is gone.
func TestRemovedUsersFailures(t *testing.T) {
	o := found(t)
	seed := o.employ("carol")
	_ = o.try("carol", o.wrong(seed), home)
	o.do(access.RemoveUser{By: access.Caller{Local: true}, Handle: "carol"})
	if err := o.NoteFailures(t.Context()); err != nil {
		t.Fatal(err)
	}
	if notes := o.noted(); len(notes) != 0 {
		t.Errorf("notes %+v", notes)
	}
}
