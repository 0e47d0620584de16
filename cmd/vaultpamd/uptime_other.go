//go:build !linux

package main

import "time"

var started = time.Now()

// uptime is the monotonic time since the program started: no setting of the
// clock changes it.
func uptime() time.Duration { return time.Since(started) }
