package ledger

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// What a MAC is for, so that one kind of snapshot is never taken for the other.
const (
	latestSnapshot = "vaultpam snapshot\x00"
	pastSnapshot   = "vaultpam snapshot of the past\x00"
)

// maxPast bounds what a snapshot of the past may become when it is decompressed.
const maxPast = 1 << 30

// sealSnapshot encodes a state with the HMAC-SHA256 of size, root and data in
// front: whoever can write to the back end must not be able to write a grant
// into a state.
func sealSnapshot(key []byte, v *view) (store.Snapshot, error) {
	data, err := v.state.Snapshot()
	if err != nil {
		return store.Snapshot{}, err
	}
	s := store.Snapshot{Version: access.FoldVersion, Size: v.tree.Size(), Root: v.tree.Root()}
	s.Data = append(snapshotMAC(key, latestSnapshot, s, data), data...)
	return s, nil
}

func openSnapshot(ctx context.Context, c Config, hashes store.HashReader, size uint64, texts access.Texts) (access.State, error) {
	s, err := c.Backend.Snapshot(ctx)
	if err != nil {
		return access.State{}, err
	}
	data, _, err := authentic(c.SnapshotKey, latestSnapshot, s, hashes, size)
	if err != nil {
		return access.State{}, err
	}
	return access.OpenSnapshot(data, texts)
}

// sealPast is sealSnapshot for one of many, which is compressed (zstd, RFC 8878)
// before it is authenticated.
func sealPast(key []byte, p past) (store.Snapshot, error) {
	data, err := p.state.Snapshot()
	if err != nil {
		return store.Snapshot{}, err
	}
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return store.Snapshot{}, fmt.Errorf("compressing a snapshot: %w", err)
	}
	data = w.EncodeAll(data, nil)
	s := store.Snapshot{Version: access.FoldVersion, Size: p.tree.Size(), Root: p.tree.Root()}
	s.Data = append(snapshotMAC(key, pastSnapshot, s, data), data...)
	return s, nil
}

// openPast opens what sealPast sealed. The ledger has size entries.
func openPast(key []byte, s store.Snapshot, hashes store.HashReader, size uint64, texts access.Texts) (past, error) {
	data, tree, err := authentic(key, pastSnapshot, s, hashes, size)
	if err != nil {
		return past{}, err
	}
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPast))
	if err != nil {
		return past{}, fmt.Errorf("decompressing a snapshot: %w", err)
	}
	defer r.Close()
	if data, err = r.DecodeAll(data, nil); err != nil {
		return past{}, fmt.Errorf("%w: decompressing a snapshot: %w", store.ErrCorrupt, err)
	}
	p := past{tree: tree}
	if p.state, err = access.OpenSnapshot(data, texts); err != nil {
		return past{}, err
	}
	if uint64(p.state.Next()) != s.Size {
		return past{}, fmt.Errorf("%w: the snapshot of %d entries holds the state after %d", store.ErrCorrupt, s.Size, p.state.Next())
	}
	return p, nil
}

// authentic returns what was sealed in a snapshot, and the tree that it is of. It
// refuses one that this server did not make, with this version of the fold, of
// this ledger.
func authentic(key []byte, purpose string, s store.Snapshot, hashes store.HashReader, size uint64) ([]byte, *store.Tree, error) {
	if s.Version != access.FoldVersion {
		return nil, nil, fmt.Errorf("snapshot of version %d, want %d", s.Version, access.FoldVersion)
	}
	if len(s.Data) < sha256.Size || !hmac.Equal(s.Data[:sha256.Size], snapshotMAC(key, purpose, s, s.Data[sha256.Size:])) {
		return nil, nil, fmt.Errorf("%w: the snapshot was not made with this server's key", store.ErrCorrupt)
	}
	if s.Size == 0 || s.Size > size {
		return nil, nil, fmt.Errorf("%w: the snapshot is of %d entries, the ledger of %d", store.ErrCorrupt, s.Size, size)
	}
	tree, err := store.OpenTree(s.Size, hashes)
	if err != nil {
		return nil, nil, err
	}
	if tree.Root() != s.Root {
		return nil, nil, fmt.Errorf("%w: the snapshot is of another ledger", store.ErrCorrupt)
	}
	return s.Data[sha256.Size:], tree, nil
}

func snapshotMAC(key []byte, purpose string, s store.Snapshot, data []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(purpose))
	mac.Write(binary.BigEndian.AppendUint64(nil, s.Version))
	mac.Write(binary.BigEndian.AppendUint64(nil, s.Size))
	mac.Write(s.Root[:])
	mac.Write(data)
	return mac.Sum(nil)
}
