package store

import (
	"strings"
	"time"
)

// Length writes how long something lasts as people type it: 1h, 1h30m, 90s is 1m30s.
func Length(d time.Duration) string {
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Length is the Millis as a time that passes, and not as a moment.
func (m Millis) Length() string { return Length(time.Duration(m) * time.Millisecond) }
