package main

import (
	"testing"
	"time"
)

func TestParseSince(t *testing.T) {
	zone := time.FixedZone("CET", 3600)
	now := time.Date(2026, 11, 23, 15, 0, 0, 0, zone)
	for in, want := range map[string]time.Time{
		"30d":                  now.AddDate(0, 0, -30),
		"2w":                   now.AddDate(0, 0, -14),
		"12h":                  now.Add(-12 * time.Hour),
		"1h30m":                now.Add(-90 * time.Minute),
		"2026-11-01":           time.Date(2026, 11, 1, 0, 0, 0, 0, zone),
		"2026-11-01T14:30":     time.Date(2026, 11, 1, 14, 30, 0, 0, zone),
		"2026-11-01 14:30:05":  time.Date(2026, 11, 1, 14, 30, 5, 0, zone),
		"2026-11-01T14:30:05Z": time.Date(2026, 11, 1, 14, 30, 5, 0, time.UTC),
	} {
		if got, err := parseSince(in, now, zone); err != nil || !got.Equal(want) {
			t.Errorf("%s: got %v (%v), want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "d", "-3d", "-1h", "99999d", "1.5d", "2026-13-01", "yesterday", "30", "3 d"} {
		if got, err := parseSince(in, now, zone); err == nil {
			t.Errorf("%q: accepted as %v", in, got)
		}
	}
}

func TestShellQuote(t *testing.T) {
	for in, want := range map[string]string{
		"/home/carol/.config/vaultpam": "/home/carol/.config/vaultpam",
		"/home/carol/my files":         "'/home/carol/my files'",
		"/home/o'neil":                 `'/home/o'\''neil'`,
		"":                             "''",
		"$(x)":                         "'$(x)'",
	} {
		if got := shellQuote(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}
