package ledger

import (
	"fmt"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
)

// MaxClockAhead is how far the clock may run ahead of the second one.
const MaxClockAhead = 2 * time.Second

// A clock is the system's clock held against a second one that can't be set: the
// time since the machine started. A step forward between two looks is noticed;
// slewing, which moves both, is not one.
type clock struct {
	now    func() time.Time
	uptime func() time.Duration
	// The last look at which both agreed.
	wall time.Time
	up   time.Duration
}

// newClock takes the system's clock as right to begin with. Without a second
// clock it is the monotonic reading of the first.
func newClock(now func() time.Time, uptime func() time.Duration) *clock {
	start := now()
	if uptime == nil {
		uptime = func() time.Duration { return now().Sub(start) }
	}
	return &clock{now: now, uptime: uptime, wall: start.Round(0), up: uptime()}
}

// read returns the moment, or a refusal while the clock is ahead.
func (c *clock) read() (time.Time, error) {
	wall, up := c.now(), c.uptime()
	ahead := wall.Round(0).Sub(c.wall) - (up - c.up)
	if ahead > MaxClockAhead {
		return wall, &access.Refusal{
			Kind:    access.Clock,
			Message: fmt.Sprintf("the server's clock jumped ahead by %s, so nothing is decided", ahead.Round(time.Second)),
			Hint:    "set the server's clock right; if it is right now: vaultpamd clock accept",
		}
	}
	if up-c.up > time.Minute {
		c.accept(wall, up)
	}
	return wall, nil
}

// accept takes both clocks as right.
func (c *clock) accept(wall time.Time, up time.Duration) {
	c.wall, c.up = wall.Round(0), up
}
