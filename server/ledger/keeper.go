package ledger

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

const (
	// keepEvery is how many entries lie between two snapshots of the past: At folds
	// at most so many. docs/decisions says what it costs.
	keepEvery = 8192
	// keepAhead is how many entries the keeper reads at a time: while the back end
	// has something to commit its readers take turns.
	keepAhead = 512
	// mostPassed bounds the states that wait to be kept. What is dropped is folded
	// again when there is time.
	mostPassed = 8
	// While the writer is at work the keeper rests nine times as long as it works,
	// and otherwise as long.
	restBusy, restIdle = 9, 1
	// longestRest bounds a rest, whatever the clock did meanwhile.
	longestRest = 2 * time.Second
	// After a failure the keeper waits, longer each time.
	firstPause, longestPause = time.Minute, time.Hour
)

// A keeper keeps snapshots of the past, one every so many entries. The writer
// passes it the states that are to be kept; what is missing, of another version of
// the fold or can't be used is made from the entries, from the oldest on. If the
// process dies the next one goes on where this one was: what is kept is kept.
type keeper struct {
	l     *Ledger
	every store.Index
	rest  time.Duration // the longest
	wake  chan struct{} // holds a token while there may be something to do
	over  chan struct{} // closed when run has ended
	end   context.CancelFunc

	mu     sync.Mutex           // guards the fields below
	size   store.Index          // of the ledger, as far as states were passed
	passed []access.State       // to be kept, oldest first
	kept   map[store.Index]bool // what there is; nil until it was looked at
	low    store.Index          // up to here nothing is missing
}

func newKeeper(l *Ledger) *keeper {
	return &keeper{
		l: l, every: cmp.Or(l.keepEvery, keepEvery), rest: cmp.Or(l.longestRest, longestRest),
		wake: make(chan struct{}, 1), over: make(chan struct{}), size: l.now.Load().state.Next(),
	}
}

// begin starts the goroutine that keeps. stop ends it.
func (k *keeper) begin() {
	ctx, cancel := context.WithCancel(context.Background())
	k.end = cancel
	go k.run(ctx) // ended by stop
}

func (k *keeper) stop() {
	k.end()
	<-k.over
}

// pass hands over states of which all entries are durable and published.
func (k *keeper) pass(states []access.State) {
	if len(states) == 0 {
		return
	}
	k.mu.Lock()
	k.passed = append(k.passed, states...)
	k.passed = k.passed[max(0, len(k.passed)-mostPassed):]
	k.mu.Unlock()
	k.grown(states[len(states)-1].Next())
}

// grown says that the ledger has size entries.
func (k *keeper) grown(size store.Index) {
	k.mu.Lock()
	k.size = max(k.size, size)
	k.mu.Unlock()
	k.signal()
}

// spoiled says that what is kept of size entries can't be used.
func (k *keeper) spoiled(size store.Index) {
	k.mu.Lock()
	delete(k.kept, size)
	k.low = min(k.low, (size-1)/k.every*k.every)
	k.mu.Unlock()
	k.signal()
}

func (k *keeper) signal() {
	select {
	case k.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// Kept returns how many snapshots of the past there are, and how many there should
// be. Where some are missing, after an upgrade, At may take long.
func (l *Ledger) Kept() (there, due int) {
	k := l.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	due = int(k.size / k.every)
	if k.kept == nil {
		return 0, due
	}
	for size := k.every; size <= k.size; size += k.every {
		if k.kept[size] {
			there++
		}
	}
	return there, due
}

// run is the keeper's goroutine.
func (k *keeper) run(ctx context.Context) {
	defer close(k.over)
	var last past // what was folded last
	pause := firstPause
	for ctx.Err() == nil {
		state, size, err := k.due(ctx)
		if err == nil && size == 0 {
			last = past{}
			wait(ctx, k.wake, 0)
			continue
		}
		var rest time.Duration
		if err == nil {
			rest, err = k.work(ctx, state, size, &last)
		}
		if err != nil && ctx.Err() == nil {
			k.l.Log.Warn("a snapshot of the past could not be kept", "error", err)
			last, rest, pause = past{}, pause, min(2*pause, longestPause)
		} else if err == nil {
			pause = firstPause
		}
		wait(ctx, nil, rest)
	}
}

// wait returns when ctx is done, something arrives or, unless it is 0, after a
// time.
func wait(ctx context.Context, wake <-chan struct{}, d time.Duration) {
	var after <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		after = timer.C
	} else if wake == nil {
		return
	}
	select {
	case <-ctx.Done():
	case <-wake:
	case <-after:
	}
}

// work keeps the snapshot of a size and returns for how long to rest then.
func (k *keeper) work(ctx context.Context, state access.State, size store.Index, last *past) (time.Duration, error) {
	before, began := k.l.now.Load(), k.l.Now()
	if err := k.make(ctx, state, size, last); err != nil {
		return 0, err
	}
	rest := restIdle * k.l.Now().Sub(began)
	if k.l.now.Load() != before {
		rest *= restBusy
	}
	return min(rest, k.rest), nil
}

// make keeps a state that the writer passed, or else folds on from the last one.
func (k *keeper) make(ctx context.Context, state access.State, size store.Index, last *past) (err error) {
	if state.Next() == size {
		p := past{state: state}
		if p.tree, err = store.OpenTree(uint64(size), store.Hashes(ctx, k.l.Backend)); err != nil {
			return err
		}
		return k.save(ctx, p)
	}
	p := *last
	if p.tree == nil || p.state.Next() > size || size-p.state.Next() > k.every {
		if p, err = k.l.nearest(ctx, size); err != nil {
			return err
		}
	}
	if p, err = k.l.advance(ctx, p, size, keepAhead); err != nil {
		return err
	}
	*last = p
	return k.save(ctx, p)
}

// due returns what is to be kept next: its size, 0 where nothing is, and its state
// where the writer passed it.
func (k *keeper) due(ctx context.Context) (access.State, store.Index, error) {
	if err := k.look(ctx); err != nil {
		return access.State{}, 0, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.passed) > 0 {
		s := k.passed[0]
		k.passed = k.passed[1:]
		if !k.kept[s.Next()] {
			return s, s.Next(), nil
		}
	}
	for size := k.low + k.every; size <= k.size; size += k.every {
		if !k.kept[size] {
			return access.State{}, size, nil
		}
		k.low = size
	}
	return access.State{}, 0, nil
}

// look finds out what is kept, once there may be something.
func (k *keeper) look(ctx context.Context) error {
	k.mu.Lock()
	known, size := k.kept != nil, k.size
	k.mu.Unlock()
	if known || size < k.every {
		return nil
	}
	all, err := k.l.Backend.KeptSnapshots(ctx)
	if err != nil {
		return err
	}
	kept := map[store.Index]bool{}
	for _, s := range all {
		kept[store.Index(s.Size)] = s.Version == access.FoldVersion
	}
	k.mu.Lock()
	k.kept = kept
	k.mu.Unlock()
	if there, due := k.l.Kept(); there < due {
		k.l.Log.Info("snapshots of the past are being made; until then questions about it may take long", "missing", due-there, "of", due)
	}
	return nil
}

// save keeps a past that holds against the tree.
func (k *keeper) save(ctx context.Context, p past) error {
	if err := k.l.prove(ctx, k.l.now.Load(), p); err != nil {
		return err
	}
	s, err := sealPast(k.l.SnapshotKey, p)
	if err != nil {
		return err
	}
	if err := k.l.Backend.KeepSnapshot(ctx, s); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept[store.Index(s.Size)] = true
	return nil
}
