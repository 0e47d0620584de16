package ledger

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"

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

// fold applies the entries from the state's end to size. While one page of them
// is applied the next is read, verified and decoded.
func (l *loaded) fold(ctx context.Context, b store.Backend, size store.Index) error {
	ctx, cancel := context.WithCancel(ctx)
	from, pages := l.state.Next(), make(chan page, 1)
	go func() { // ends when all is read, or cancel was called
		defer close(pages)
		for from < size {
			p := readPage(ctx, b, from, int(min(readAhead, size-from)))
			select {
			case pages <- p:
			case <-ctx.Done():
				return
			}
			if p.err != nil {
				return
			}
			from += store.Index(len(p.entries))
		}
	}()
	defer func() {
		cancel()
		for range pages { // nothing may be read any more when fold returns
		}
	}()
	for p := range pages {
		for _, e := range p.entries {
			var err error
			if l.state, err = access.Apply(l.state, e, l.lookup); err != nil {
				return err
			}
		}
		if p.err != nil {
			return p.err
		}
	}
	return ctx.Err()
}

// A page is some entries in a row and what came behind the last of them.
type page struct {
	entries []*store.Entry
	err     error
}

// readPage reads entries and verifies that each is what its leaf in the tree
// says. There may be fewer than limit, and more in the ledger by now: another
// writer may have appended since its head was read.
func readPage(ctx context.Context, b store.Backend, from store.Index, limit int) page {
	records, err := b.Records(ctx, from, limit)
	if err == nil && len(records) == 0 {
		err = fmt.Errorf("%w: entry %d is missing", store.ErrCorrupt, from)
	}
	if err != nil {
		return page{err: err}
	}
	indexes := make([]int64, len(records))
	for i := range records {
		indexes[i] = tlog.StoredHashIndex(0, int64(from)+int64(i))
	}
	leaves, err := b.ReadHashes(ctx, indexes)
	if err != nil {
		return page{err: err}
	}
	entries := make([]*store.Entry, len(records))
	var parts errgroup.Group // ends with readPage
	each := (len(records) + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0)
	for start := 0; start < len(records); start += each {
		parts.Go(func() error {
			for i := start; i < min(start+each, len(records)); i++ {
				e, err := verified(records[i], leaves[i], from+store.Index(i))
				if err != nil {
					return err
				}
				entries[i] = e
			}
			return nil
		})
	}
	err = parts.Wait()
	if n := slices.Index(entries, nil); n >= 0 {
		entries = entries[:n]
	}
	return page{entries, err}
}

func verified(data []byte, leaf store.Hash, at store.Index) (*store.Entry, error) {
	if store.Hash(tlog.RecordHash(data)) != leaf {
		return nil, fmt.Errorf("%w: entry %d is not what the tree holds", store.ErrCorrupt, at)
	}
	e, err := store.DecodeEntry(data)
	if err != nil {
		return nil, fmt.Errorf("entry %d: %w", at, err)
	}
	return e, nil
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

// loadTexts reads the handles of all who ever were users, and the accounts of the
// company's provider that they were linked to. It goes by the entries that name
// their commitments: most of the side table are the addresses of sign-ins and
// sessions, as many as those.
func loadTexts(ctx context.Context, b store.Backend) (map[store.Commitment]string, error) {
	indexes, err := b.Find(ctx, store.Query{Type: store.TypeUserAdded})
	if err != nil {
		return nil, fmt.Errorf("reading handles: %w", err)
	}
	bots, err := b.Find(ctx, store.Query{Type: store.TypeBotAdded})
	if err != nil {
		return nil, fmt.Errorf("reading handles: %w", err)
	}
	linked, err := b.Find(ctx, store.Query{Type: store.TypeSSOLinked})
	if err != nil {
		return nil, fmt.Errorf("reading links: %w", err)
	}
	indexes = slices.Concat(indexes, bots, linked)
	texts := make(map[store.Commitment]string, len(indexes))
	for _, i := range indexes {
		c, text, err := loadName(ctx, b, i)
		if errors.Is(err, store.ErrNotFound) {
			continue // erased
		} else if err != nil {
			return nil, fmt.Errorf("reading the text of entry %d: %w", i, err)
		}
		texts[c] = text
	}
	return texts, nil
}

// loadName reads the text that a user.added, bot.added or sso.linked entry committed to. An opening
// that does not open it is refused, so that nobody is renamed by the side table.
func loadName(ctx context.Context, b store.Backend, i store.Index) (store.Commitment, string, error) {
	records, err := b.Records(ctx, i, 1)
	if err != nil {
		return store.Commitment{}, "", err
	}
	if len(records) == 0 {
		return store.Commitment{}, "", store.ErrCorrupt
	}
	e, err := store.DecodeEntry(records[0])
	if err != nil {
		return store.Commitment{}, "", err
	}
	var user store.UserID
	var c store.Commitment
	switch v := e.Event.(type) {
	case *store.UserAdded:
		user, c = v.User, v.Handle
	case *store.BotAdded:
		user, c = v.User, v.Handle
	case *store.SSOLinked:
		user, c = v.User, v.Identity
	default:
		return store.Commitment{}, "", store.ErrCorrupt
	}
	text, err := readText(ctx, b, user, c)
	return c, text, err
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
