package ledger_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/store"
)

// handles is how many entries a start reads for the names of that many people,
// whatever it has a snapshot of.
func handles(people int) int { return people }

// TestStart: with a snapshot or without, whole or of the past, the state after a
// start is the one before it.
func TestStart(t *testing.T) {
	h := build(t)
	l := h.open()
	p := employ(t, l, "carol", h.subject)
	do(t, l, p.start())
	want := stateOf(t, l)
	h.close(l)

	l = h.open()
	if read := h.backend.entriesRead(); read != handles(2) {
		t.Errorf("%d entries were read behind a snapshot of all of them", read)
	}
	if !bytes.Equal(stateOf(t, l), want) {
		t.Error("another state from the snapshot")
	}
	// Entries behind the snapshot, and no other: as after a crash.
	size := l.State().Next()
	do(t, l, addUser("bob"))
	do(t, l, p.start())
	want = stateOf(t, l)
	h.crash(l)
	l = h.open()
	if read := h.backend.entriesRead(); read != 3+handles(3) || l.State().Next() != size+3 {
		t.Errorf("%d entries were read behind a snapshot at %d, the ledger has %d", read, size, l.State().Next())
	}
	if !bytes.Equal(stateOf(t, l), want) {
		t.Error("another state from a snapshot of the past")
	}
	if u, ok := l.State().UserByHandle("bob"); !ok || u.Handle != "bob" {
		t.Errorf("bob is %+v, %v", u, ok)
	}
	h.crash(l)
	if l = h.openOver(func(b store.Backend) store.Backend { return tampered{Backend: b, snapshot: noSnapshot} }); !bytes.Equal(stateOf(t, l), want) {
		t.Error("another state from the entries alone")
	}
}

func stateOf(t *testing.T, l *ledger.Ledger) []byte {
	t.Helper()
	data, err := l.State().Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// crash lets go of the file without the writer's last snapshot.
func (h *house) crash(l *ledger.Ledger) {
	h.Helper()
	if err := h.backend.Backend.Close(); err != nil {
		h.Fatal(err)
	}
	_ = l.Close() // its snapshot finds the file closed
}

// TestS41Rollback: an older copy of the file opens as what it is, and its
// checkpoint tells every client that saw a later one.
func TestS41Rollback(t *testing.T) {
	h := build(t)
	l := h.open()
	do(t, l, addUser("bob"))
	key := h.config.LogKey.Public().(ed25519.PublicKey)
	first, err := store.OpenCheckpoint(l.Checkpoint(), l.Origin(), key)
	if err != nil {
		t.Fatal(err)
	}
	do(t, l, addUser("carol"))
	later, err := store.OpenCheckpoint(l.Checkpoint(), l.Origin(), l.LogPublicKey())
	if err != nil {
		t.Fatal(err)
	}
	signed, proof, err := l.ProveSince(t.Context(), first.Size)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(signed, l.Checkpoint()) || store.CheckConsistency(proof, first.Size, first.Root, later.Size, later.Root) != nil {
		t.Error("the ledger can't prove that it grew")
	}
	for _, size := range []uint64{0, later.Size, later.Size + 5} {
		signed, proof, err := l.ProveSince(t.Context(), size)
		if err != nil || len(proof) != 0 || !bytes.Equal(signed, l.Checkpoint()) {
			t.Errorf("since %d: %d hashes, error %v", size, len(proof), err)
		}
	}
}

// TestS39ClockAtStart: a start with a clock that is behind opens, and decides
// nothing.
func TestS39ClockAtStart(t *testing.T) {
	h := build(t)
	h.config.Now = func() time.Time { return time.Now().Add(-10 * time.Minute) }
	l := h.open()
	var refused *access.Refusal
	if _, err := l.Do(t.Context(), addUser("bob")); !errors.As(err, &refused) || refused.Kind != access.Clock {
		t.Errorf("error %v, want a refusal for the clock", err)
	}
}

// TestWrongKind: a command that is for no certificate gets none.
func TestWrongKind(t *testing.T) {
	h := build(t)
	l := h.open()
	if cert, _, err := l.Issue(t.Context(), addUser("bob")); err == nil || cert != nil {
		t.Errorf("certificate %v, error %v", cert, err)
	}
	p := employ(t, l, "carol", h.subject)
	start := p.start()
	do(t, l, start)
	cert, _, err := l.Issue(t.Context(), access.IssueTargetCertificate{Session: start.Session, Key: h.subject, Nonce: random32()})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(cert.SignatureKey.Marshal(), h.config.TargetCA.PublicKey().Marshal()) || h.config.TargetCA.Kind() != ca.Target {
		t.Error("signed by another authority")
	}
}
