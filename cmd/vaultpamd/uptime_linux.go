package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// started is the fallback for a kernel without CLOCK_BOOTTIME.
var started = time.Now()

// uptime is the time since the machine started, suspension included: no setting
// of the clock changes it (clock_gettime(2)).
func uptime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return time.Since(started)
	}
	return time.Duration(t.Nano())
}
