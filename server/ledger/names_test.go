package ledger_test

import (
	"slices"
	"testing"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/store"
)

// TestNames: a name finds all its bearers, also those that came or went after it
// was first asked for, and nobody whose handle was erased.
func TestNames(t *testing.T) {
	h := build(t)
	l := h.open()
	defer h.close(l)
	first := employ(t, l, "carol", h.subject)
	wantUsers(t, l, "carol", first.id)
	wantUsers(t, l, "dana")
	db1, _ := l.State().TargetByName("db1")
	wantTargets(t, l, "db1", db1.Entry)
	wantTargets(t, l, "db2")

	do(t, l, access.RenameTarget{By: local, Name: "db1", To: "db2"})
	wantTargets(t, l, "db2", db1.Entry)
	do(t, l, access.RenameTarget{By: local, Name: "db2", To: "db1"})
	wantTargets(t, l, "db1", db1.Entry)

	do(t, l, access.RemoveUser{By: local, Handle: "carol"})
	do(t, l, access.RemoveTarget{By: local, Name: "db1"})
	wantUsers(t, l, "carol", first.id)
	wantTargets(t, l, "db1", db1.Entry)

	second := employ(t, l, "carol", h.subject)
	again, _ := l.State().TargetByName("db1")
	wantUsers(t, l, "carol", second.id, first.id)
	wantTargets(t, l, "db1", db1.Entry, again.Entry)

	var erased []store.SideWrite
	for w, err := range h.backend.SideAll(t.Context(), store.SideOpenings, first.id[:]) {
		if err != nil {
			t.Fatal(err)
		}
		erased = append(erased, store.SideWrite{Table: store.SideOpenings, Key: w.Key})
	}
	if err := h.backend.WriteSide(t.Context(), erased); err != nil || len(erased) == 0 {
		t.Fatalf("erasing %d texts: %v", len(erased), err)
	}
	wantUsers(t, l, "carol", second.id)
}

func wantUsers(t *testing.T, l *ledger.Ledger, handle store.Handle, want ...store.UserID) {
	t.Helper()
	got, err := l.UsersNamed(t.Context(), handle)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%s is the name of %v, want %v: %v", handle, got, want, err)
	}
}

func wantTargets(t *testing.T, l *ledger.Ledger, name store.TargetName, want ...store.Index) {
	t.Helper()
	got, err := l.TargetsNamed(t.Context(), name)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%s is the name of %v, want %v: %v", name, got, want, err)
	}
}
