package ledger

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

const (
	// maxBatch bounds how many commands one transaction takes.
	maxBatch = 512
	// maxConflicts bounds how often a batch is decided anew because another
	// writer was faster.
	maxConflicts = 100
)

// A Result is what became of a command.
type Result struct {
	First  store.Index // index of its first entry
	Events []store.Event
	Time   store.Millis
	// unsigned awaits its signature, if the command was for a certificate.
	unsigned *ca.Unsigned
}

// A request is a command that waits for the writer.
type request struct {
	command access.Command
	side    []store.SideWrite
	done    chan struct{} // closed when result and err are set
	result  Result
	err     error
}

// Do has a command decided and, where the rules allow it, returns after its
// entries are durable. The side writes become durable with them, or not at all.
//
// Errors are an *access.Refusal or *access.StepsRefusal, or wrap store.ErrFull (nothing happened),
// store.ErrUncertain (it is not known what happened) or ErrStopped.
func (l *Ledger) Do(ctx context.Context, c access.Command, side ...store.SideWrite) (Result, error) {
	r := &request{command: c, side: side, done: make(chan struct{})}
	l.mu.Lock()
	if l.closing || l.failure != nil {
		err := errors.Join(ErrStopped, l.failure)
		l.mu.Unlock()
		return Result{}, err
	}
	l.queue = append(l.queue, r)
	l.mu.Unlock()
	l.signal()
	select {
	case <-r.done:
		return r.result, r.err
	case <-ctx.Done():
		// The command may still become entries; its caller is gone.
		return Result{}, ctx.Err()
	}
}

// write is the writer's goroutine.
func (l *Ledger) write() {
	defer func() {
		<-l.saved // nothing uses the back end when Close returns
		l.keeper.stop()
		close(l.stopped)
	}()
	for {
		// Whoever is about to ask does so first: a batch costs a write to the disk,
		// however many commands it holds.
		runtime.Gosched()
		batch, last := l.take()
		if len(batch) > 0 {
			if err := l.commit(batch); err != nil {
				l.stop(err)
				return
			}
			continue
		}
		if last {
			l.saveLast()
			return
		}
		<-l.wake
	}
}

// take returns what waits, and whether nothing more will come.
func (l *Ledger) take() ([]*request, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.queue), maxBatch)
	batch := l.queue[:n:n]
	l.queue = l.queue[n:]
	return batch, l.closing
}

// stop refuses what waits and whatever comes.
func (l *Ledger) stop(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failure = cause
	for _, r := range l.queue {
		r.err = errors.Join(ErrStopped, cause)
		close(r.done)
	}
	l.queue = nil
	close(l.changed) // whoever watches the state must look at Err
	l.changed = make(chan struct{})
	l.Log.Error("the ledger's writer stopped", "error", cause)
}

// commit decides a batch, appends it and answers it. It returns an error where
// the writer has to stop.
func (l *Ledger) commit(batch []*request) error {
	ctx := context.Background() // a batch runs to its end, whoever waits for it
	for range maxConflicts {
		draft := l.decide(batch)
		err := l.append(ctx, draft)
		switch {
		case err == nil:
			l.publish(draft)
			answer(batch, nil)
			l.saveSnapshot(l.every)
			return nil
		case errors.Is(err, store.ErrConflict):
			if err := l.catchUp(ctx); err != nil {
				answer(batch, errors.Join(store.ErrUncertain, err))
				return err
			}
		case errors.Is(err, store.ErrFull):
			answer(batch, err)
			return nil
		default:
			err = errors.Join(store.ErrUncertain, err)
			answer(batch, err)
			return err
		}
	}
	answer(batch, fmt.Errorf("%w: other writers were faster %d times", store.ErrConflict, maxConflicts))
	return nil
}

// answer tells everybody in a batch what became of their command. Where the
// append failed, refusals count for nothing either: they may rest on entries
// before them in the batch that never came to be.
func answer(batch []*request, err error) {
	for _, r := range batch {
		if err != nil {
			r.result, r.err = Result{}, err
		}
		close(r.done)
	}
}

// A draft is a batch that was decided and is not durable.
type draft struct {
	base    *view
	state   access.State
	records []store.Record
	side    []store.SideWrite
	texts   map[store.Commitment]string
	passed  []access.State // those that are to be kept
	tree    *store.Tree
	signed  []byte
	// accepted says that the clock was accepted as right.
	accepted bool
}

// decide turns each command of a batch into entries, against the state after
// the one before it.
func (l *Ledger) decide(batch []*request) *draft {
	base := l.now.Load()
	d := &draft{base: base, state: base.state, texts: map[store.Commitment]string{}}
	for _, r := range batch {
		r.result, r.err = Result{}, nil
		now, err := l.clock.read()
		if _, accepts := r.command.(access.AcceptClock); err != nil && !accepts {
			r.err = err
			continue
		}
		decision, at, err := access.Decide(d.state, r.command, now)
		r.err = err
		if len(decision.Events) == 0 {
			continue
		}
		if err := l.draw(d, r, decision, at); err != nil {
			r.err = fmt.Errorf("deciding %T: %w", r.command, err)
		}
	}
	return d
}

// draw adds a decision's entries to the draft, all or none of them.
func (l *Ledger) draw(d *draft, r *request, decision access.Decision, at store.Millis) error {
	for _, o := range decision.Openings {
		if o.Field == store.FieldHandle || o.Field == store.FieldSSO { // as loadTexts has it
			d.texts[o.Commit()] = o.Text
		}
	}
	state, records := d.state, make([]store.Record, 0, len(decision.Events))
	var passed []access.State
	for _, event := range decision.Events {
		e := &store.Entry{Index: state.Next(), Time: at, Actor: decision.Actor, Event: event}
		data, err := e.Encode()
		if err != nil {
			return err
		}
		// What the next start could not read back would be the end of the ledger.
		if e, err = store.DecodeEntry(data); err != nil {
			return err
		}
		if state, err = access.Apply(state, e, func(c store.Commitment) (string, bool) { return l.text(d, c) }); err != nil {
			return err
		}
		records = append(records, store.NewRecord(data, e))
		if state.Next()%l.keeper.every == 0 {
			passed = append(passed, state)
		}
	}
	for _, o := range decision.Openings {
		w, err := o.SideWrite()
		if err != nil {
			return err
		}
		d.side = append(d.side, w)
	}
	r.result = Result{First: d.state.Next(), Events: decision.Events, Time: at, unsigned: decision.Certificate}
	d.side = append(d.side, r.side...)
	d.records = append(d.records, records...)
	d.passed = append(d.passed, passed...)
	if _, ok := r.command.(access.AcceptClock); ok {
		d.accepted = true
	}
	d.state = state
	return nil
}

func (l *Ledger) text(d *draft, c store.Commitment) (string, bool) {
	if t, ok := d.texts[c]; ok {
		return t, true
	}
	return l.texts.lookup(c)
}

// append makes a draft durable.
func (l *Ledger) append(ctx context.Context, d *draft) error {
	if len(d.records) == 0 {
		return nil
	}
	leaves := make([][]byte, len(d.records))
	for i, r := range d.records {
		leaves[i] = r.Data
	}
	tree, hashes, err := d.base.tree.Append(leaves)
	if err != nil {
		return err
	}
	signed, err := l.signer.Checkpoint(tree)
	if err != nil {
		return err
	}
	d.tree, d.signed = tree, signed
	reach(beforeAppend)
	err = l.Backend.Append(ctx, store.Batch{
		Expect:     store.Head{Size: d.base.tree.Size(), Checkpoint: d.base.checkpoint},
		Records:    d.records,
		Hashes:     hashes,
		Checkpoint: signed,
		Side:       d.side,
	})
	if err == nil {
		reach(afterAppend)
	}
	return err
}

// publish makes a durable draft what everybody sees.
func (l *Ledger) publish(d *draft) {
	if len(d.records) == 0 {
		return
	}
	l.texts.add(d.texts)
	if d.accepted {
		l.clock.accept(l.Now(), l.clock.uptime())
	}
	l.show(&view{state: d.state, tree: d.tree, checkpoint: d.signed})
	l.keeper.pass(d.passed)
}

func (l *Ledger) show(v *view) {
	l.now.Store(v)
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
}
