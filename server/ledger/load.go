package ledger

import (
	"context"
	"crypto/ed25519"
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
	f := folder{backend: c.Backend, texts: l.lookup, ahead: readAhead}
	if l.state, err = f.fold(ctx, l.state, store.Index(head.Size)); err != nil {
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

// A folder applies the entries of a back end to states.
type folder struct {
	backend store.Backend
	texts   access.Texts
	ahead   int // entries that are read at a time
	// seen is told the stored bytes of the entries, in order, and what it belongs to
	// holds them to the tree. Where it is nil each is held to its leaf.
	seen func(records [][]byte) error
}

// fold applies the entries from a state's end to size. While one page of them is
// applied the next is read, verified and decoded.
func (f folder) fold(ctx context.Context, s access.State, size store.Index) (access.State, error) {
	ctx, cancel := context.WithCancel(ctx)
	from, pages := s.Next(), make(chan page, 1)
	go func() { // ends when all is read, or cancel was called
		defer close(pages)
		for from < size {
			p := f.read(ctx, from, int(min(store.Index(f.ahead), size-from)))
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
			if s, err = access.Apply(s, e, f.texts); err != nil {
				return s, err
			}
		}
		if p.err != nil {
			return s, p.err
		}
		if f.seen != nil {
			if err := f.seen(p.records); err != nil {
				return s, err
			}
		}
	}
	return s, ctx.Err()
}

// A page is some entries in a row, their stored bytes, and what came behind the
// last of them.
type page struct {
	entries []*store.Entry
	records [][]byte // as many, where err is nil
	err     error
}

// read reads entries and verifies that each is what its leaf in the tree says,
// unless they are seen. There may be fewer than limit, and more in the ledger by
// now: another writer may have appended since its head was read.
func (f folder) read(ctx context.Context, from store.Index, limit int) page {
	records, err := f.backend.Records(ctx, from, limit)
	if err == nil && len(records) == 0 {
		err = fmt.Errorf("%w: entry %d is missing", store.ErrCorrupt, from)
	}
	var leaves []store.Hash
	if err == nil && f.seen == nil {
		leaves, err = readLeaves(ctx, f.backend, from, len(records))
	}
	if err != nil {
		return page{err: err}
	}
	entries := make([]*store.Entry, len(records))
	var parts errgroup.Group // ends with read
	each := (len(records) + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0)
	for start := 0; start < len(records); start += each {
		parts.Go(func() error {
			for i := start; i < min(start+each, len(records)); i++ {
				at := from + store.Index(i)
				if leaves != nil && store.Hash(tlog.RecordHash(records[i])) != leaves[i] {
					return fmt.Errorf("%w: entry %d is not what the tree holds", store.ErrCorrupt, at)
				}
				e, err := store.DecodeEntry(records[i])
				if err != nil {
					return fmt.Errorf("entry %d: %w", at, err)
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
	return page{entries, records, err}
}

// readLeaves returns the stored hashes of n entries.
func readLeaves(ctx context.Context, b store.Backend, from store.Index, n int) ([]store.Hash, error) {
	indexes := make([]int64, n)
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, int64(from)+int64(i))
	}
	return b.ReadHashes(ctx, indexes)
}

// catchUp brings the view up to what other writers appended.
func (l *Ledger) catchUp(ctx context.Context) error {
	found, err := load(ctx, l.Config)
	if err != nil {
		return fmt.Errorf("catching up with another writer: %w", err)
	}
	l.texts.replace(found.texts)
	l.show(&view{state: found.state, tree: found.tree, checkpoint: found.checkpoint})
	l.keeper.grown(found.state.Next())
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
