package login

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/vaultpam/vaultpam/store"
)

// The limits on failed sign-ins (NIST SP 800-63B, section 3.2.2 asks for at most
// 100 consecutive failures). One source gets few tries at an account, so that a
// stranger does not use up its owner's; all sources together get more, and so
// does one source at all accounts together.
const (
	window         = 15 * time.Minute
	limitPerPair   = 10 // of account and source
	limitPerUser   = 100
	limitPerSource = 100
)

// counter is a row of the side table: failures in the window that began at
// Since, and how many of them no entry tells of yet.
type counter struct {
	_        struct{} `cbor:",toarray"`
	Since    int64    // seconds since the Unix epoch
	Failures uint64
	Untold   uint64
	Source   string
}

// attempts counts failures durably: a restart forgets none of them.
type attempts struct {
	backend store.Backend
	mu      sync.Mutex // makes reading, adding and writing a counter one step; guards pending
	// pending counts attempts that are being checked, by the keys of their
	// counters: guessing at once must not give more guesses.
	pending map[string]uint64
}

// An account is what failures are counted for: a user, or something that stands
// for a handle that nobody has, so that both get the same answers.
type account struct {
	id    store.UserID
	known bool
}

// A limit is how many failures the counter with a key may reach in a window.
type limit struct {
	key  []byte
	most uint64
}

// limits returns the limits on attempts at an account from a source, the one of
// the two together first.
func limits(a account, source string) []limit {
	return []limit{
		{attemptKey(a.id, source), limitPerPair},
		{attemptKey(a.id, ""), limitPerUser},
		{attemptKey(store.UserID{}, source), limitPerSource},
	}
}

// prefix is what counts as one source: an IPv4 address, or the /64 that an IPv6
// subscriber has to themselves.
func prefix(source netip.Addr) string {
	source = source.Unmap()
	bits := 32
	if source.Is6() {
		bits = 64
	}
	p, err := source.Prefix(bits)
	if err != nil {
		return "unknown"
	}
	return p.String()
}

func attemptKey(user store.UserID, source string) []byte {
	return append(user[:], source...)
}

// An attempt is one that is being checked. Its end must be called.
type attempt struct {
	of     *attempts
	who    account
	source string
	limits []limit
	over   bool // guarded by of.mu
}

// begin lets another attempt be checked, or returns how long it has to wait.
func (a *attempts) begin(ctx context.Context, who account, source string, now time.Time) (*attempt, time.Duration, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := limits(who, source)
	for _, l := range all {
		c, err := a.read(ctx, l.key)
		if err != nil {
			return nil, 0, err
		}
		left := time.Unix(c.Since, 0).Add(window).Sub(now)
		if left <= 0 {
			c.Failures = 0
		}
		if c.Failures >= l.most {
			return nil, left, nil
		}
		if c.Failures+a.pending[string(l.key)] >= l.most {
			return nil, time.Second, nil // those that are being checked may succeed
		}
	}
	for _, l := range all {
		a.pending[string(l.key)]++
	}
	return &attempt{of: a, who: who, source: source, limits: all}, 0, nil
}

// end makes room for another attempt. A second call does nothing.
func (t *attempt) end() {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	t.leave()
}

// leave is end for who holds the mutex.
func (t *attempt) leave() {
	if t.over {
		return
	}
	t.over = true
	for _, l := range t.limits {
		if t.of.pending[string(l.key)]--; t.of.pending[string(l.key)] == 0 {
			delete(t.of.pending, string(l.key))
		}
	}
}

// failed counts the attempt as a failure, and ends it.
func (t *attempt) failed(ctx context.Context, now time.Time) error {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	defer t.leave()
	var writes []store.SideWrite
	for i, l := range t.limits {
		c, err := t.of.read(ctx, l.key)
		if err != nil {
			return err
		}
		if now.Sub(time.Unix(c.Since, 0)) >= window {
			c.Since, c.Failures = now.Unix(), 0
		}
		c.Failures++
		if i == 0 && t.who.known {
			c.Untold++
			c.Source = t.source
		}
		w, err := attemptWrite(l.key, c)
		if err != nil {
			return err
		}
		writes = append(writes, w)
	}
	return t.of.backend.WriteSide(ctx, writes)
}

// untold returns the counters that entries have to tell of, and forgets those
// that count for nothing any more.
func (a *attempts) untold(ctx context.Context, now time.Time) ([]row, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var found []row
	var stale []store.SideWrite
	for w, err := range a.backend.SideAll(ctx, store.SideAttempts, nil) {
		if err != nil {
			return nil, fmt.Errorf("reading failed attempts: %w", err)
		}
		var c counter
		if err := cbor.Unmarshal(w.Value, &c); err != nil || len(w.Key) < len(store.UserID{}) {
			return nil, fmt.Errorf("reading failed attempts: %w", store.ErrCorrupt)
		}
		switch {
		case c.Untold > 0:
			found = append(found, row{w.Key, c})
		case now.Sub(time.Unix(c.Since, 0)) >= window:
			stale = append(stale, store.SideWrite{Table: store.SideAttempts, Key: w.Key})
		}
	}
	if len(stale) == 0 {
		return found, nil
	}
	return found, a.backend.WriteSide(ctx, stale)
}

// told takes off a counter what an entry has told of.
func (a *attempts) told(ctx context.Context, r row) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, err := a.read(ctx, r.key)
	if err != nil {
		return err
	}
	c.Untold -= min(c.Untold, r.Untold)
	w, err := attemptWrite(r.key, c)
	if err != nil {
		return err
	}
	return a.backend.WriteSide(ctx, []store.SideWrite{w})
}

// A row is a counter with its key.
type row struct {
	key []byte
	counter
}

func (r row) user() store.UserID { return store.UserID(r.key[:len(store.UserID{})]) }

func (a *attempts) read(ctx context.Context, key []byte) (counter, error) {
	var c counter
	value, err := a.backend.Side(ctx, store.SideAttempts, key)
	if errors.Is(err, store.ErrNotFound) {
		return c, nil
	} else if err != nil {
		return c, fmt.Errorf("reading failed attempts: %w", err)
	}
	if err := cbor.Unmarshal(value, &c); err != nil {
		return c, fmt.Errorf("reading failed attempts: %w", store.ErrCorrupt)
	}
	return c, nil
}

func attemptWrite(key []byte, c counter) (store.SideWrite, error) {
	value, err := cbor.Marshal(c)
	if err != nil {
		return store.SideWrite{}, fmt.Errorf("counting a failed attempt: %w", err)
	}
	return store.SideWrite{Table: store.SideAttempts, Key: key, Value: value}, nil
}
