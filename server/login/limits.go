package login

import (
	"bytes"
	"net/netip"
	"time"

	"github.com/vaultpam/vaultpam/store"
)

// The limits on failed sign-ins. NIST SP 800-63B, section 3.2.2, asks for at most
// 100 consecutive failures at an account: limitUnknown from machines that nobody
// knows and limitPerDevice from each of maxDevices others make 100. Failures from
// one are not held against the other, or a stranger could lock somebody out.
// docs/decisions/0013 has the figures and what was left aside.
const (
	window         = 15 * time.Minute
	limitPerPair   = 10 // of account and source, then the wait doubles
	limitFree      = 20 // of an account from anywhere, then the wait doubles
	limitUnknown   = 60 // of an account from anywhere, in a row
	limitPerDevice = 10 // of an account's device, in a row
	limitPerSource = 100
	longestPair    = 4 * time.Hour
	longestUnknown = 24 * time.Hour
)

// A limit is what one counter of failures allows.
type limit struct {
	key  []byte
	most uint64 // as many failures are free of any wait
	// pause is the wait after so many failures; nil: until somebody gets in.
	pause func(failures uint64) time.Duration
	// keep is after what time the failures count for nothing; 0 is never.
	keep time.Duration
	// from says which failure pause and keep are measured from.
	from counted
}

// counted is which failure a counter dates from.
type counted int

const (
	fromLast  counted = iota // each failure begins the wait anew
	fromFirst                // the window stands
)

// doubling is a wait that begins with the window behind the free failures, and
// doubles with every further one.
func doubling(free uint64, longest time.Duration) func(uint64) time.Duration {
	return func(failures uint64) time.Duration {
		wait := window
		for n := free; n < failures && wait < longest; n++ {
			wait *= 2
		}
		return min(wait, longest)
	}
}

func ofPair(a account, source string) limit {
	return limit{attemptKey(a.id, source), limitPerPair, doubling(limitPerPair, longestPair), 24 * time.Hour, fromLast}
}

func ofPace(a account) limit {
	return limit{attemptKey(a.id, paceSuffix), limitFree, doubling(limitFree, longestUnknown), 7 * 24 * time.Hour, fromLast}
}

// ofAccount never forgets, but for handles that nobody has: of those there are as
// many as strangers make up.
func ofAccount(a account) limit {
	l := limit{attemptKey(a.id, ""), limitUnknown, nil, 0, fromLast}
	if !a.known {
		l.keep = 30 * 24 * time.Hour
	}
	return l
}

func ofSource(source string) limit {
	return limit{attemptKey(store.UserID{}, source), limitPerSource, func(uint64) time.Duration { return window }, window, fromFirst}
}

func ofDevice(a account, hash store.Hash) limit {
	return limit{attemptKey(a.id, devicePrefix+string(hash[:])), limitPerDevice, nil, deviceLife, fromLast}
}

// What stands behind the account in a counter's key is a source's prefix, or one
// of these, which no prefix begins with.
const (
	paceSuffix   = "pace"
	devicePrefix = "device:"
)

// limitOf returns the limit that a counter belongs to.
func limitOf(key []byte, known func(store.UserID) bool) limit {
	id, suffix := store.UserID(key[:len(store.UserID{})]), string(key[len(store.UserID{}):])
	a := account{id, known(id)}
	switch {
	case suffix == "":
		return ofAccount(a)
	case suffix == paceSuffix:
		return ofPace(a)
	case bytes.HasPrefix([]byte(suffix), []byte(devicePrefix)):
		return limit{key, limitPerDevice, nil, deviceLife, fromLast}
	case id.IsZero():
		return ofSource(suffix)
	}
	return ofPair(a, suffix)
}

// keepShut is how long a handle that nobody has stays shut, so that waiting does
// not tell it from somebody's.
const keepShut = 400 * 24 * time.Hour

// over reports whether a counter's failures count for nothing any more.
func (l limit) over(c counter, now time.Time) bool {
	keep := l.keep
	if l.pause == nil && c.Failures >= l.most && keep != 0 {
		keep = keepShut
	}
	return keep != 0 && now.Sub(time.Unix(c.Since, 0)) >= keep
}

// add counts another failure.
func (l limit) add(c counter, now time.Time) counter {
	if l.over(c, now) {
		c.Failures = 0
	}
	if c.Failures == 0 || l.from == fromLast {
		c.Since = now.Unix()
	}
	c.Failures++
	return c
}

// forEver is the wait where waiting does not help.
const forEver time.Duration = -1

// wait returns how long the next attempt has to wait, with so many being checked
// at this moment.
func (l limit) wait(c counter, pending uint64, now time.Time) time.Duration {
	if l.over(c, now) {
		c.Failures = 0
	}
	if c.Failures >= l.most {
		if l.pause == nil {
			return forEver
		}
		if left := time.Unix(c.Since, 0).Add(l.pause(c.Failures)).Sub(now); left > 0 {
			return left
		}
	}
	if pending > 0 && c.Failures+pending >= l.most {
		return time.Second // those that are being checked may succeed
	}
	return 0
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

// network is a source's prefix, or nothing where it is not known.
func network(source netip.Addr) string {
	if !source.IsValid() {
		return ""
	}
	return prefix(source)
}

func attemptKey(user store.UserID, suffix string) []byte {
	return append(user[:], suffix...)
}
