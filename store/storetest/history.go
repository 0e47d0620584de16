package storetest

import (
	"context"
	"crypto/ed25519"
	"math/rand/v2" //nolint:depguard // no key comes of it; linked into tests alone
	"testing"

	"github.com/vaultpam/vaultpam/store"
)

// A History makes batches that a ledger could really hold: entries of several
// types about some users and targets, with their hashes and a signed
// checkpoint. It is for one goroutine.
type History struct {
	Origin string
	LogKey ed25519.PublicKey

	signer *store.CheckpointSigner
	tree   *store.Tree
	head   store.Head
	rand   *rand.Rand
}

// NewHistory returns an empty history under a new log key.
func NewHistory(t *testing.T) *History {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	h := &History{Origin: store.Origin("pam.example.eu"), LogKey: public, rand: draws(1, 2)}
	if h.signer, err = store.NewCheckpointSigner(h.Origin, private); err != nil {
		t.Fatal(err)
	}
	if h.tree, err = store.OpenTree(0, nil); err != nil {
		t.Fatal(err)
	}
	return h
}

// Head returns where the history ends.
func (h *History) Head() store.Head { return h.head }

// Batch returns a batch of n entries behind the history, which stays as it is.
func (h *History) Batch(t *testing.T, n int) store.Batch {
	t.Helper()
	events := make([]store.Event, n)
	for i := range events {
		events[i] = h.event()
	}
	return h.BatchOf(t, events...)
}

// BatchOf is Batch for events of the caller's.
func (h *History) BatchOf(t *testing.T, events ...store.Event) store.Batch {
	t.Helper()
	batch := store.Batch{Expect: h.head}
	leaves := make([][]byte, len(events))
	for i, event := range events {
		at := store.Index(h.head.Size) + store.Index(i)
		e := &store.Entry{Index: at, Time: store.Millis(1_700_000_000_000 + int64(at)), Event: event}
		data, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		user, target := Keys(e)
		leaves[i] = data
		batch.Records = append(batch.Records, store.Record{Data: data, Type: event.EventType(), User: user, Target: target})
	}
	tree, hashes, err := h.tree.Append(leaves)
	if err != nil {
		t.Fatal(err)
	}
	batch.Hashes = hashes
	if batch.Checkpoint, err = h.signer.Checkpoint(tree); err != nil {
		t.Fatal(err)
	}
	return batch
}

// Appended moves the history behind a batch that was appended.
func (h *History) Appended(t *testing.T, batch store.Batch) {
	t.Helper()
	leaves := make([][]byte, len(batch.Records))
	for i, r := range batch.Records {
		leaves[i] = r.Data
	}
	tree, _, err := h.tree.Append(leaves)
	if err != nil {
		t.Fatal(err)
	}
	h.tree, h.head = tree, store.Head{Size: tree.Size(), Checkpoint: batch.Checkpoint}
}

// Follow moves the history to where the back end is.
func (h *History) Follow(ctx context.Context, b store.Backend) error {
	head, err := b.Head(ctx)
	if err != nil {
		return err
	}
	tree, err := store.OpenTree(head.Size, store.Hashes(ctx, b))
	if err != nil {
		return err
	}
	h.tree, h.head = tree, head
	return nil
}

// share returns a history of the same ledger for another writer.
func (h *History) share(seed uint64) *History {
	other := *h
	other.rand = draws(seed, seed)
	return &other
}

// draws returns random numbers that are the same in every run.
func draws(seed1, seed2 uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed1, seed2)) //nolint:gosec // a test that fails must fail again
}

// event returns an event about one of a few users and targets.
func (h *History) event() store.Event {
	user := store.UserID{1, byte(h.rand.IntN(5))}
	target := store.Index(1 + h.rand.IntN(4))
	switch h.rand.IntN(6) {
	case 0:
		return &store.UserAdded{User: user, Handle: h.commitment(), Roles: []store.Role{store.RoleEngineer}}
	case 1:
		return &store.TargetRemoved{Target: target}
	case 2:
		return &store.RulesActivated{Rules: h.rand.Uint64N(9)}
	case 3:
		return &store.SessionRefused{User: user, Target: target, Reason: store.RefusedNoGrant}
	default:
		return h.certificate(user, target)
	}
}

func (h *History) certificate(user store.UserID, target store.Index) store.Event {
	return &store.CertificateIssued{
		Kind: store.CertificateTarget, User: user, TBS: store.Hash(h.commitment()),
		Expires: 1_700_000_300_000, Rules: 1, SignIn: 7, Target: target, Login: "root",
		Session: store.SessionID(h.bytes16()), Parent: 9,
	}
}

func (h *History) commitment() (c store.Commitment) {
	a, b := h.bytes16(), h.bytes16()
	copy(c[:], append(a[:], b[:]...))
	return c
}

func (h *History) bytes16() (id [16]byte) {
	for i := range id {
		id[i] = byte(h.rand.Uint32())
	}
	id[0] |= 1 // not zero
	return id
}
