package ledger

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// readAhead is how many entries are read at a time.
const readAhead = 4096

// loaded is what a start finds in the back end.
type loaded struct {
	state      access.State
	tree       *store.Tree
	checkpoint []byte
	texts      map[store.Commitment]string
	snapshot   store.Index
}

// load reads the ledger's head, verifies it, and folds the entries behind the
// latest usable snapshot. Every start takes this path, after a crash too.
func load(ctx context.Context, c Config) (*loaded, error) {
	head, err := c.Backend.Head(ctx)
	if err != nil {
		return nil, err
	}
	if head.Size == 0 {
		return nil, errors.New("it is empty: run vaultpamd init")
	}
	l := &loaded{checkpoint: head.Checkpoint}
	hashes := store.Hashes(ctx, c.Backend)
	if l.tree, err = store.OpenTree(head.Size, hashes); err != nil {
		return nil, err
	}
	if l.texts, err = loadTexts(ctx, c.Backend); err != nil {
		return nil, err
	}
	l.state = access.New()
	s, err := openSnapshot(ctx, c, hashes, head.Size, l.lookup)
	switch {
	case err == nil:
		l.state, l.snapshot = s, s.Next()
	case !errors.Is(err, store.ErrNotFound):
		// The entries are the truth; a snapshot only saves reading them.
		if c.Log != nil {
			c.Log.Warn("the snapshot is not used", "error", err)
		}
	}
	if err := l.fold(ctx, c.Backend, store.Index(head.Size)); err != nil {
		return nil, err
	}
	if err := l.verifyHead(c.LogKey); err != nil {
		return nil, err
	}
	return l, c.checkAuthorities(l.state.UserCA(), l.state.TargetCA())
}

// verifyHead checks that the checkpoint is the log key's and says what the tree
// says.
func (l *loaded) verifyHead(key ed25519.PrivateKey) error {
	cp, err := store.OpenCheckpoint(l.checkpoint, store.Origin(l.state.Name()), key.Public().(ed25519.PublicKey))
	if err != nil {
		return err
	}
	if cp.Size != l.tree.Size() || cp.Root != l.tree.Root() {
		return fmt.Errorf("%w: the checkpoint is for %d entries with another root", store.ErrCorrupt, cp.Size)
	}
	return nil
}

func (l *loaded) lookup(c store.Commitment) (string, bool) {
	t, ok := l.texts[c]
	return t, ok
}

// fold applies the entries from the state's end to size, and verifies that each
// is what its leaf in the tree says.
func (l *loaded) fold(ctx context.Context, b store.Backend, size store.Index) error {
	for l.state.Next() < size {
		from := l.state.Next()
		// Another writer may have appended since the head was read.
		records, err := b.Records(ctx, from, int(min(readAhead, size-from)))
		if err != nil {
			return err
		}
		if len(records) == 0 {
			return fmt.Errorf("%w: entry %d is missing", store.ErrCorrupt, from)
		}
		indexes := make([]int64, len(records))
		for i := range records {
			indexes[i] = tlog.StoredHashIndex(0, int64(from)+int64(i))
		}
		leaves, err := b.ReadHashes(ctx, indexes)
		if err != nil {
			return err
		}
		for i, data := range records {
			if store.Hash(tlog.RecordHash(data)) != leaves[i] {
				return fmt.Errorf("%w: entry %d is not what the tree holds", store.ErrCorrupt, l.state.Next())
			}
			e, err := store.DecodeEntry(data)
			if err != nil {
				return fmt.Errorf("entry %d: %w", l.state.Next(), err)
			}
			if l.state, err = access.Apply(l.state, e, l.lookup); err != nil {
				return err
			}
		}
	}
	return nil
}

// catchUp brings the view up to what other writers appended.
func (l *Ledger) catchUp(ctx context.Context) error {
	found, err := load(ctx, l.Config)
	if err != nil {
		return fmt.Errorf("catching up with another writer: %w", err)
	}
	l.texts = found.texts
	l.show(&view{state: found.state, tree: found.tree, checkpoint: found.checkpoint})
	return nil
}

func loadTexts(ctx context.Context, b store.Backend) (map[store.Commitment]string, error) {
	texts := map[store.Commitment]string{}
	for w, err := range b.SideAll(ctx, store.SideOpenings, nil) {
		if err != nil {
			return nil, fmt.Errorf("reading the side table: %w", err)
		}
		o, c, err := store.OpeningOf(w)
		if err != nil {
			return nil, fmt.Errorf("reading the side table: %w", err)
		}
		if o.Field == store.FieldHandle {
			texts[c] = o.Text
		}
	}
	return texts, nil
}

// sealSnapshot encodes a state with the HMAC-SHA256 of size, root and data in
// front: whoever can write to the back end must not be able to write a grant
// into a state.
func sealSnapshot(key []byte, v *view) (store.Snapshot, error) {
	data, err := v.state.Snapshot()
	if err != nil {
		return store.Snapshot{}, err
	}
	s := store.Snapshot{Version: access.FoldVersion, Size: v.tree.Size(), Root: v.tree.Root()}
	s.Data = append(snapshotMAC(key, s, data), data...)
	return s, nil
}

func openSnapshot(ctx context.Context, c Config, hashes store.HashReader, size uint64, texts access.Texts) (access.State, error) {
	s, err := c.Backend.Snapshot(ctx)
	if err != nil {
		return access.State{}, err
	}
	if s.Version != access.FoldVersion {
		return access.State{}, fmt.Errorf("snapshot of version %d, want %d", s.Version, access.FoldVersion)
	}
	if len(s.Data) < sha256.Size || !hmac.Equal(s.Data[:sha256.Size], snapshotMAC(c.SnapshotKey, s, s.Data[sha256.Size:])) {
		return access.State{}, fmt.Errorf("%w: the snapshot was not made with this server's key", store.ErrCorrupt)
	}
	if s.Size == 0 || s.Size > size {
		return access.State{}, fmt.Errorf("%w: the snapshot is of %d entries, the ledger of %d", store.ErrCorrupt, s.Size, size)
	}
	tree, err := store.OpenTree(s.Size, hashes)
	if err != nil {
		return access.State{}, err
	}
	if tree.Root() != s.Root {
		return access.State{}, fmt.Errorf("%w: the snapshot is of another ledger", store.ErrCorrupt)
	}
	return access.OpenSnapshot(s.Data[sha256.Size:], texts)
}

func snapshotMAC(key []byte, s store.Snapshot, data []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("vaultpam snapshot\x00"))
	mac.Write(binary.BigEndian.AppendUint64(nil, s.Version))
	mac.Write(binary.BigEndian.AppendUint64(nil, s.Size))
	mac.Write(s.Root[:])
	mac.Write(data)
	return mac.Sum(nil)
}
