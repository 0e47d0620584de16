package notice

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/vaultpam/vaultpam/store"
)

// maxWaiting bounds what waits on one way.
const maxWaiting = 1000

// A retry says how what could not be sent is tried again.
type retry struct {
	first, most time.Duration // the pauses, which double
	life        time.Duration // after which it is given up
	step        time.Duration // how long a change of the clock may go unnoticed
}

func defaultRetry() retry {
	return retry{first: 5 * time.Second, most: 15 * time.Minute, life: 24 * time.Hour, step: time.Minute}
}

// pause returns how long to wait after so many failures: between half of it and
// all of it, so that not everybody comes back at once.
func (r retry) pause(failures int, random io.Reader) time.Duration {
	d := r.first
	for range failures - 1 {
		if d *= 2; d >= r.most {
			d = r.most
			break
		}
	}
	var b [8]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return d
	}
	half := d / 2
	return half + time.Duration(binary.BigEndian.Uint64(b[:])%uint64(half+1))
}

// asked is a pause that is as long as the receiver wants it, up to the longest.
func (r retry) asked(pause time.Duration, err error) time.Duration {
	var later laterError
	if errors.As(err, &later) {
		return max(pause, min(later.after, r.most))
	}
	return pause
}

// A permanentError is the answer to a notice that will never be taken.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// A laterError is an answer that says when to come again.
type laterError struct {
	error
	after time.Duration
}

func (e laterError) Unwrap() error { return e.error }

// An aloneError is the answer to one notice, and says nothing about others on the
// same way.
type aloneError struct{ error }

func (e aloneError) Unwrap() error { return e.error }

// A channel is one way out and what waits for it.
type channel struct {
	way   way
	send  func(context.Context, *delivery) error
	bound int           // of what waits
	wake  chan struct{} // holds one token while something new waits

	mu      sync.Mutex // guards what follows
	waiting []*pending // the oldest first
	refused int        // new ones that room let go and nobody has confirmed
	dropped int        // since the start
}

// A pending delivery is tried when it is due.
type pending struct {
	*delivery
	due      time.Time
	failures int
	sent     bool // and not yet taken out of the side table
	busy     bool
	leaving  bool // to make room for others, once that is durable
}

func newChannel(w way, send func(context.Context, *delivery) error) *channel {
	return &channel{way: w, send: send, bound: maxWaiting, wake: make(chan struct{}, 1)}
}

// room makes room for new deliveries: the oldest of those that wait go, and of
// the new ones those for which there is none anyhow. It returns the new ones that
// may be added, and what takes the others away. Until that is durable they are
// there: leave or stay follows.
func (c *channel) room(fresh []*delivery) (kept []*delivery, gone []store.SideWrite) {
	c.mu.Lock()
	defer c.mu.Unlock()
	busy := 0
	if slices.ContainsFunc(c.waiting, func(p *pending) bool { return p.busy }) {
		busy = 1 // what is on its way stays
	}
	if over := len(fresh) + busy - c.bound; over > 0 {
		for _, d := range fresh[:over] {
			gone = append(gone, d.remove()...)
		}
		fresh, c.refused = fresh[over:], over
	}
	over := len(c.waiting) + len(fresh) - c.bound
	for _, p := range c.waiting {
		if over > 0 && !p.busy {
			p.leaving = true
			gone = append(gone, p.remove()...)
			over--
		}
	}
	return fresh, gone
}

// leave lets go of what had to make room, and says how many these were.
func (c *channel) leave() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := len(c.waiting)
	c.waiting = slices.DeleteFunc(c.waiting, func(p *pending) bool { return p.leaving })
	dropped := before - len(c.waiting) + c.refused
	c.dropped, c.refused = c.dropped+dropped, 0
	return dropped
}

// stay takes back what room did.
func (c *channel) stay() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.waiting {
		p.leaving = false
	}
	c.refused = 0
	c.awake()
}

// awake has the sender look. The caller holds the lock.
func (c *channel) awake() {
	select {
	case c.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// add lets a delivery wait.
func (c *channel) add(d *delivery, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, &pending{delivery: d, due: now})
	c.awake()
}

// next takes what is due first, or says how long until something is.
func (c *channel) next(now time.Time, step time.Duration) (*pending, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var first *pending
	for _, p := range c.waiting {
		if !p.leaving && (first == nil || p.due.Before(first.due)) {
			first = p
		}
	}
	if first == nil {
		return nil, step
	}
	if first.due.After(now) {
		return nil, min(first.due.Sub(now), step)
	}
	first.busy = true
	return first, 0
}

func (c *channel) again(p *pending, due time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.busy, p.due = false, due
}

func (c *channel) done(p *pending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = slices.DeleteFunc(c.waiting, func(x *pending) bool { return x == p })
}

// deliver sends what is due until ctx is done. A way that does not work is tried
// with growing pauses, however much waits for it, and one that asks for a pause
// gets it. A notice that alone is not taken holds the others up for the shortest
// pause only.
func (n *Notices) deliver(ctx context.Context, c *channel) error {
	failures := 0
	for {
		p, idle := c.next(n.Now(), n.retry.step)
		if p == nil {
			if !wait(ctx, idle, c.wake) {
				return nil
			}
			continue
		}
		err := n.try(ctx, c, p)
		if err == nil {
			failures = 0
			continue
		}
		failures++
		if errors.As(err, new(aloneError)) {
			failures = 1
		}
		if !wait(ctx, n.retry.asked(n.retry.pause(failures, n.Random), err), nil) {
			return nil
		}
	}
}

// try sends one delivery and settles what becomes of it. Its error says that it
// waits for another time. If the process dies between sending and marking, it is
// sent again with the same ID.
func (n *Notices) try(ctx context.Context, c *channel, p *pending) error {
	log := n.Log.With("way", c.way.String(), "kind", string(p.kind), "entry", uint64(p.entry))
	if !p.sent {
		err := c.send(ctx, p.delivery)
		if err != nil && ctx.Err() != nil {
			return ctx.Err() // it was not the receiver's fault
		}
		var never permanentError
		switch {
		case err == nil:
		case errors.As(err, &never):
			log.Error("a notice is not taken, and given up", "error", err)
		case store.At(n.Now())-p.Made >= store.Millis(n.retry.life/time.Millisecond):
			log.Error("a notice could not be sent for a day, and is given up", "error", err)
		default:
			in := n.later(c, p, err)
			log.Warn("a notice could not be sent, and is tried again", "in", in.Round(time.Second).String(), "error", err)
			return err
		}
		p.sent = true // or given up: it is not tried again
	}
	// Who stops now has sent it all the same.
	if err := n.backend.WriteSide(context.WithoutCancel(ctx), p.remove()); err != nil {
		log.Error("a notice was sent and can't be marked as sent: after a restart it is sent again", "error", err)
		n.later(c, p, err)
		return err
	}
	c.done(p)
	return nil
}

// later lets a delivery wait for another try, and says how long.
func (n *Notices) later(c *channel, p *pending, err error) time.Duration {
	p.failures++
	in := n.retry.asked(n.retry.pause(p.failures, n.Random), err)
	c.again(p, n.Now().Add(in))
	return in
}
