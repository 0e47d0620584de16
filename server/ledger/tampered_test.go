package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/bolt"
)

// tampered is a back end that somebody has changed behind our back.
type tampered struct {
	store.Backend
	head     func(store.Head) store.Head
	snapshot func(store.Snapshot) (store.Snapshot, error)
	record   func(store.Index, []byte) []byte // nil for an entry that is gone
	hash     func(int64, store.Hash) store.Hash
	saved    func(store.Snapshot)
}

func noSnapshot(store.Snapshot) (store.Snapshot, error) {
	return store.Snapshot{}, store.ErrNotFound
}

func (b tampered) Head(ctx context.Context) (store.Head, error) {
	head, err := b.Backend.Head(ctx)
	if b.head != nil {
		head = b.head(head)
	}
	return head, err
}

func (b tampered) Snapshot(ctx context.Context) (store.Snapshot, error) {
	s, err := b.Backend.Snapshot(ctx)
	if b.snapshot != nil && err == nil {
		return b.snapshot(s)
	}
	return s, err
}

func (b tampered) SaveSnapshot(ctx context.Context, s store.Snapshot) error {
	if b.saved != nil {
		b.saved(s)
	}
	return b.Backend.SaveSnapshot(ctx, s)
}

func (b tampered) Records(ctx context.Context, from store.Index, limit int) ([][]byte, error) {
	records, err := b.Backend.Records(ctx, from, limit)
	for i := range records {
		if b.record == nil {
			break
		}
		if records[i] = b.record(from+store.Index(i), records[i]); records[i] == nil {
			return records[:i], err
		}
	}
	return records, err
}

func (b tampered) ReadHashes(ctx context.Context, indexes []int64) ([]store.Hash, error) {
	hashes, err := b.Backend.ReadHashes(ctx, indexes)
	for i := range hashes {
		if b.hash != nil {
			hashes[i] = b.hash(indexes[i], hashes[i])
		}
	}
	return hashes, err
}

// openOver is open with something between the ledger and its file.
func (h *house) openOver(wrap func(store.Backend) store.Backend) *ledger.Ledger {
	h.Helper()
	l, err := h.tryOpenOver(wrap)
	if err != nil {
		h.Fatal(err)
	}
	return l
}

func (h *house) tryOpenOver(wrap func(store.Backend) store.Backend) (*ledger.Ledger, error) {
	h.Helper()
	b, err := bolt.Open(h.path())
	if err != nil {
		h.Fatal(err)
	}
	h.backend = &spy{Backend: wrap(b)}
	h.config.Backend = h.backend
	l, err := ledger.Open(context.Background(), h.config)
	h.Cleanup(func() { h.close(l) })
	return l, err
}

// TestS40TamperedSnapshot: a snapshot that is not this server's own of this
// ledger is not used; the entries say what holds.
func TestS40TamperedSnapshot(t *testing.T) {
	h := build(t)
	l := h.open()
	p := employ(t, l, "carol", h.subject)
	do(t, l, access.RemoveUser{By: local, Handle: "carol"})
	want := stateOf(t, l)
	h.close(l)
	stranger := build(t)
	h2 := stranger.open()
	for range h.size() - 4 {
		do(t, h2, access.InviteUser{By: local, Handle: "alice", Invite: access.Invite{Token: random32()}})
	}
	var foreign store.Snapshot
	stranger.close(h2)
	stranger.close(stranger.openOver(func(b store.Backend) store.Backend {
		return tampered{Backend: b, snapshot: func(s store.Snapshot) (store.Snapshot, error) {
			foreign = s
			return s, nil
		}}
	}))
	if foreign.Size != h.size() {
		t.Fatalf("the other ledger's snapshot is at %d, not at %d", foreign.Size, h.size())
	}
	for name, spoil := range map[string]func(*store.Snapshot){
		"another version":       func(s *store.Snapshot) { s.Version++ },
		"version 0":             func(s *store.Snapshot) { s.Version = 0 },
		"a byte of the MAC":     func(s *store.Snapshot) { s.Data[3] ^= 1 },
		"a byte of the state":   func(s *store.Snapshot) { s.Data[len(s.Data)/2] ^= 1 },
		"cut short":             func(s *store.Snapshot) { s.Data = s.Data[:len(s.Data)-1] },
		"nothing but the MAC":   func(s *store.Snapshot) { s.Data = s.Data[:32] },
		"empty":                 func(s *store.Snapshot) { s.Data = nil },
		"a size before it":      func(s *store.Snapshot) { s.Size-- },
		"a size of 0":           func(s *store.Snapshot) { s.Size = 0 },
		"a size behind the end": func(s *store.Snapshot) { s.Size += 1000 },
		"another root":          func(s *store.Snapshot) { s.Root[0] ^= 1 },
		"another ledger's":      func(s *store.Snapshot) { *s = foreign },
	} {
		t.Run(name, func(t *testing.T) {
			l := h.openOver(func(b store.Backend) store.Backend {
				return tampered{Backend: b, snapshot: func(s store.Snapshot) (store.Snapshot, error) {
					s.Data = bytes.Clone(s.Data)
					spoil(&s)
					return s, nil
				}}
			})
			defer h.close(l)
			if read := h.backend.entriesRead(); read != int(h.size())+handles(2) {
				t.Errorf("%d of %d entries were read", read, h.size())
			}
			if !bytes.Equal(stateOf(t, l), want) {
				t.Error("another state")
			}
			if _, err := l.Do(t.Context(), p.certificate()); err == nil {
				t.Error("the removed user got a certificate")
			}
		})
	}
}

// size is the ledger's, as its last opening left it.
func (h *house) size() uint64 {
	h.Helper()
	head, err := h.backend.Head(context.Background())
	if errors.Is(err, store.ErrClosed) {
		b, openErr := bolt.Open(h.path())
		if openErr != nil {
			h.Fatal(openErr)
		}
		defer b.Close()
		head, err = b.Head(context.Background())
	}
	if err != nil {
		h.Fatal(err)
	}
	return head.Size
}

// TestS40SnapshotOfAnotherKey: whoever can write to the database and not read
// the keys folder can't write a grant into the state.
func TestS40SnapshotOfAnotherKey(t *testing.T) {
	h := build(t)
	l := h.open()
	employ(t, l, "carol", h.subject)
	h.close(l)
	h.config.SnapshotKey = random(32)
	l = h.open()
	if read := h.backend.entriesRead(); read != int(h.size())+handles(2) {
		t.Errorf("%d of %d entries were read", read, h.size())
	}
	h.close(l)
	h.open() // what is saved then is ours
	if read := h.backend.entriesRead(); read != handles(2) {
		t.Errorf("%d entries were read", read)
	}
}

// TestS40Tampered: a ledger that contradicts itself, or its keys, is not opened.
func TestS40Tampered(t *testing.T) {
	h := build(t)
	l := h.open()
	employ(t, l, "carol", h.subject)
	h.close(l)
	last := store.Index(h.size()) - 1
	other := newConfig(t)
	for name, tc := range map[string]struct {
		backend tampered
		config  func(*ledger.Config)
	}{
		"an entry is missing": {backend: tampered{record: func(i store.Index, data []byte) []byte {
			if i == 6 {
				return nil
			}
			return data
		}}},
		"an entry was changed": {backend: tampered{record: func(i store.Index, data []byte) []byte {
			if i == 6 {
				data[len(data)-1] ^= 1
			}
			return data
		}}},
		"an entry is another's": {backend: tampered{record: func(i store.Index, data []byte) []byte {
			if i == last {
				return []byte("strange")
			}
			return data
		}}},
		"a leaf of the tree was changed": {backend: tampered{hash: func(i int64, hash store.Hash) store.Hash {
			if i == 0 {
				hash[0] ^= 1
			}
			return hash
		}}},
		"the tree's right edge was changed": {backend: tampered{hash: func(i int64, hash store.Hash) store.Hash {
			hash[0] ^= 1
			return hash
		}}},
		"the checkpoint was changed": {backend: tampered{head: func(head store.Head) store.Head {
			head.Checkpoint = bytes.Replace(head.Checkpoint, []byte("\n1"), []byte("\n2"), 1)
			return head
		}}},
		"the checkpoint is gone": {backend: tampered{head: func(head store.Head) store.Head {
			head.Checkpoint = nil
			return head
		}}},
		"the end was cut off": {backend: tampered{head: func(head store.Head) store.Head {
			head.Size--
			return head
		}}},
		"the size is too large": {backend: tampered{head: func(head store.Head) store.Head {
			head.Size++
			return head
		}}},
		"another log key":   {config: func(c *ledger.Config) { c.LogKey = other.LogKey }},
		"another user CA":   {config: func(c *ledger.Config) { c.UserCA = other.UserCA }},
		"another target CA": {config: func(c *ledger.Config) { c.TargetCA = other.TargetCA }},
	} {
		for _, snapshot := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				good := h.config
				defer func() { h.config = good }()
				if tc.config != nil {
					tc.config(&h.config)
				}
				l, err := h.tryOpenOver(func(b store.Backend) store.Backend {
					backend := tc.backend
					backend.Backend = b
					if !snapshot {
						backend.snapshot = noSnapshot
					}
					return backend
				})
				defer h.close(l)
				// A start does not read again what lies behind its snapshot. Whoever asks
				// for a proof finds out.
				if snapshot && err == nil && provesAll(t, l) == nil {
					t.Error("opened, and proves every entry")
				}
				if !snapshot && err == nil {
					t.Error("opened")
				}
			})
		}
	}
	l = h.open()
	if err := provesAll(t, l); err != nil {
		t.Errorf("untouched: %v", err)
	}
}

// provesAll proves every entry as an auditor would.
func provesAll(t *testing.T, l *ledger.Ledger) error {
	t.Helper()
	for i := range l.State().Next() {
		data, signed, proof, err := l.ProveEntry(t.Context(), i)
		if err != nil {
			return err
		}
		cp, err := store.OpenCheckpoint(signed, l.Origin(), l.LogPublicKey())
		if err != nil {
			return err
		}
		if err := store.CheckInclusion(proof, cp.Size, cp.Root, i, data); err != nil {
			return err
		}
	}
	return nil
}
