package relay

import (
	"net/netip"
	"sync"
	"time"
)

// Limits bound what connections may cost. A zero field means its default.
type Limits struct {
	Handshake        time.Duration // from accept until a key is proved: 20 s
	Touch            time.Duration // that a person may take to touch a passkey: 2 min
	Connect          time.Duration // from there until the target has let us in: 30 s
	Pending          int           // connections without a proved key: 100
	PendingPerSource int           // of these from one address (IPv6: one /64): 10
	Channels         int           // open channels of one connection: 64
	Forwards         int           // forwarded connections of one session at a time: 256
	Keepalive        time.Duration // between questions whether a peer lives: 30 s
	Farewell         time.Duration // for the last words to a user: 500 ms
	Stop             time.Duration // for a session's last entry: 10 s
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&l.Handshake, 20 * time.Second},
		{&l.Touch, 2 * time.Minute},
		{&l.Connect, 30 * time.Second},
		{&l.Keepalive, 30 * time.Second},
		{&l.Farewell, 500 * time.Millisecond},
		{&l.Stop, 10 * time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	for _, n := range []struct {
		field *int
		value int
	}{{&l.Pending, 100}, {&l.PendingPerSource, 10}, {&l.Channels, 64}, {&l.Forwards, 256}} {
		if *n.field <= 0 {
			*n.field = n.value
		}
	}
	return l
}

// A waitingRoom counts connections that have not proved a key yet.
type waitingRoom struct {
	limit, perSource int

	mu      sync.Mutex // guards the fields below
	total   int
	sources map[netip.Prefix]int
}

func newWaitingRoom(l Limits) *waitingRoom {
	return &waitingRoom{limit: l.Pending, perSource: l.PendingPerSource, sources: map[netip.Prefix]int{}}
}

// enter returns the function that leaves again, which may be called more than
// once, or nil where there is no room.
func (w *waitingRoom) enter(source netip.Addr) func() {
	bits := 32
	if source.Is6() {
		bits = 64
	}
	prefix := netip.PrefixFrom(source.WithZone(""), bits).Masked()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.total >= w.limit || w.sources[prefix] >= w.perSource {
		return nil
	}
	w.total++
	w.sources[prefix]++
	return sync.OnceFunc(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.total--
		if w.sources[prefix]--; w.sources[prefix] == 0 {
			delete(w.sources, prefix)
		}
	})
}
