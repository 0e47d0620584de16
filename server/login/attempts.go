package login

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/vaultpam/vaultpam/store"
)

// counter is a row of the side table: failures since a moment, and how many of
// them no entry tells of yet.
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

// A way is how somebody comes to an account.
type way struct {
	source string
	// device is the limit of the device that they come from; its key is nil where
	// it is none of the account's.
	device limit
	// unguessable says that they show a recovery code, for which the limits on all
	// strangers together are left out: it can't be guessed (120 bits; NIST asks for
	// no limit from 64 on), and it is the way out when strangers spent them.
	unguessable bool
	// signed says that it was a signature, which is checked before any limit and
	// can't be guessed either. Its failures count where they came from and nowhere
	// else, or a stranger could lock a bot out by its name.
	signed bool
}

// An attempt is one that is being checked. Its end must be called.
type attempt struct {
	of     *attempts
	who    account
	source string
	known  bool    // it comes from a device of the account's
	counts []limit // what a failure adds to; the account and source's comes first
	over   bool    // guarded by of.mu
}

// begin lets another attempt be checked, or returns how long it has to wait.
func (a *attempts) begin(ctx context.Context, who account, w way, now time.Time) (*attempt, time.Duration, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := &attempt{of: a, who: who, source: w.source}
	pair, source := ofPair(who, w.source), ofSource(w.source)
	if w.device.key != nil {
		wait, err := a.waitOf(ctx, w.device, now)
		if err != nil {
			return nil, 0, err
		}
		// One that failed too often is a stranger's.
		t.known = wait == 0
	}
	ask := []limit{pair, ofPace(who), ofAccount(who), source}
	switch t.counts = ask; {
	case t.known:
		ask, t.counts = nil, []limit{pair, source, w.device}
	case w.signed:
		ask, t.counts = []limit{pair, source}, []limit{pair, source}
	case w.unguessable:
		ask = []limit{pair, source}
	}
	for _, l := range ask {
		wait, err := a.waitOf(ctx, l, now)
		if wait != 0 || err != nil {
			return nil, wait, err
		}
	}
	for _, l := range t.counts {
		a.pending[string(l.key)]++
	}
	return t, 0, nil
}

// waitOf is how long a limit makes the next attempt wait; the caller holds the
// mutex.
func (a *attempts) waitOf(ctx context.Context, l limit, now time.Time) (time.Duration, error) {
	c, err := a.read(ctx, l.key)
	return l.wait(c, a.pending[string(l.key)], now), err
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
	for _, l := range t.counts {
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
	for i, l := range t.counts {
		c, err := t.of.read(ctx, l.key)
		if err != nil {
			return err
		}
		c = l.add(c, now)
		switch {
		case i == 0 && t.who.known:
			c.Untold++
			c.Source = t.source
		case i == 0:
			c.Source = t.source // told to nobody; but the row is as long, and takes as long
		case t.who.known && string(l.key) == string(t.who.id[:]) && c.Failures == limitUnknown:
			c.Untold = c.Failures // strangers are shut out from here on
		}
		w, err := attemptWrite(l.key, c)
		if err != nil {
			return err
		}
		writes = append(writes, w)
	}
	return t.of.backend.WriteSide(ctx, writes)
}

// maxNoted is how many failures that count for no limit an entry tells of.
const maxNoted = 100

// note counts a failure that counts for no limit, for an entry to tell of.
func (a *attempts) note(ctx context.Context, who account, source string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := ofPair(who, source).key
	c, err := a.read(ctx, key)
	if err != nil || c.Untold >= maxNoted {
		return err
	}
	c.Untold++
	c.Source = source
	w, err := attemptWrite(key, c)
	if err != nil {
		return err
	}
	return a.backend.WriteSide(ctx, []store.SideWrite{w})
}

// succeeded ends the attempt, and what failed at the account before counts for
// nothing: but for the pace of strangers where the owner came from a device of
// theirs, or each of their sign-ins would give strangers as many guesses as the
// first day. If the process dies before it, all counts on: that is the safe side.
func (t *attempt) succeeded(ctx context.Context) error {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	defer t.leave()
	forgotten := []limit{t.counts[0], ofAccount(t.who)}
	if t.known {
		forgotten = append(forgotten, t.counts[len(t.counts)-1])
	} else {
		forgotten = append(forgotten, ofPace(t.who))
	}
	return t.of.forgive(ctx, forgotten)
}

// enrolled forgets failures at an account that has a new factor.
func (a *attempts) enrolled(ctx context.Context, who account) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.forgive(ctx, []limit{ofAccount(who), ofPace(who)})
}

// forgive makes failures count for nothing, but keeps what no entry tells of yet;
// the caller holds the mutex.
func (a *attempts) forgive(ctx context.Context, all []limit) error {
	var writes []store.SideWrite
	for _, l := range all {
		c, err := a.read(ctx, l.key)
		if err != nil {
			return err
		}
		if c.Failures == 0 {
			continue
		}
		c.Failures = 0
		w, err := attemptWrite(l.key, c)
		if err != nil {
			return err
		}
		writes = append(writes, w)
	}
	if len(writes) == 0 {
		return nil
	}
	return a.backend.WriteSide(ctx, writes)
}

// untold returns the counters that entries have to tell of, and forgets those
// that count for nothing any more.
func (a *attempts) untold(ctx context.Context, now time.Time, known func(store.UserID) bool) ([]row, error) {
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
		case c.Failures == 0 || limitOf(w.Key, known).over(c, now):
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

// stops reports whether the row is an account's, and not of one source.
func (r row) stops() bool { return len(r.key) == len(store.UserID{}) }

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
