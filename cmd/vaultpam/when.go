package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// parseDuration reads "90m", "12h", "30d", "2w": what time.ParseDuration knows,
// and days of 24 hours and weeks. Nothing negative.
func parseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is not a duration: want 90m, 12h, 30d or 2w", s)
	var unit time.Duration
	switch {
	case strings.HasSuffix(s, "d"):
		unit = 24 * time.Hour
	case strings.HasSuffix(s, "w"):
		unit = 7 * 24 * time.Hour
	default:
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 {
			return 0, bad
		}
		return d, nil
	}
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 16)
	if err != nil {
		return 0, bad
	}
	return time.Duration(n) * unit, nil
}

// parseMoment reads a date or a time in the zone, or RFC 3339.
func parseMoment(s string, zone *time.Location) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	for _, layout := range []string{"2006-01-02", "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00"} {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time: want 2006-01-02, 2006-01-02T15:04 or 2006-01-02T15:04:05Z", s)
}

// parseSince reads a moment, or how long ago it was.
func parseSince(s string, now time.Time, zone *time.Location) (time.Time, error) {
	if d, err := parseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	t, err := parseMoment(s, zone)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither a time (2006-01-02, 2006-01-02T15:04) nor how long ago (90m, 12h, 30d)", s)
	}
	return t, nil
}
