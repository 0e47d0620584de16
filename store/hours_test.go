package store_test

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/store"
)

func hours(t testing.TB, text string) store.Hours {
	t.Helper()
	h, err := store.ParseHours(text)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHoursText(t *testing.T) {
	tests := []struct {
		text string
		want string // canonical; "!" and a part of the refusal
	}{
		{"Mon-Fri 08:00-18:00 Europe/Berlin", "Mon-Fri 08:00-18:00 Europe/Berlin"},
		{"  mon-FRI   08:00-18:00   Europe/Berlin ", "Mon-Fri 08:00-18:00 Europe/Berlin"},
		{"Sat 09:00-12:00;Mon-Fri 08:00-18:00 UTC", "Mon-Fri 08:00-18:00; Sat 09:00-12:00 UTC"},
		{"Sat 08:00-18:00; Mon-Thu 08:00-18:00 UTC", "Mon-Thu,Sat 08:00-18:00 UTC"},
		{"Fri-Mon 08:00-18:00 UTC", "Mon,Fri-Sun 08:00-18:00 UTC"},
		{"Fri,Tue,Wed 08:00-18:00 UTC", "Tue-Wed,Fri 08:00-18:00 UTC"},
		{"Fri 22:00-02:00 America/New_York", "Fri 22:00-02:00 America/New_York"},
		{"Fri 22:00-00:00 UTC", "Fri 22:00-24:00 UTC"},
		{"Sun-Sat 00:00-24:00 UTC", "Mon-Sun 00:00-24:00 UTC"},
		{"Mon 00:00-24:00 Asia/Kathmandu", "Mon 00:00-24:00 Asia/Kathmandu"},
		{"Mon 08:00-12:00; Mon 10:00-14:00 UTC", "Mon 08:00-12:00; Mon 10:00-14:00 UTC"},

		{"", "!want days, times and a time zone"},
		{"Mon-Fri", "!want days, times and a time zone"},
		{"Mon-Fri 08:00-18:00", "!want a time zone at the end"},
		{"Mon 08:00-18:00 UTC; Tue 08:00-18:00 UTC", "!one time zone"},
		{"Mon 08:00-18:00; Tue 08:00-18:00", "!want a time zone at the end"},
		{"Mon 08:00-18:00; UTC", "!want days, times"},
		{"Mon 08:00-18:00;; Tue 08:00-09:00 UTC", "!want days and times"},
		{"Mon 08:00-18:00; UTC;", "!want days"},
		{"Mo 08:00-18:00 UTC", "!want days of"},
		{"Monday 08:00-18:00 UTC", "!want days of"},
		{"Mon- 08:00-18:00 UTC", "!want days of"},
		{"Mon,,Tue 08:00-18:00 UTC", "!want days of"},
		{"Mon-Wed,Tue 08:00-18:00 UTC", "!Tue is named twice"},
		{"Mon 8:00-18:00 UTC", "!want HH:MM-HH:MM"},
		{"Mon 08:00 UTC", "!want HH:MM-HH:MM"},
		{"Mon 08:60-18:00 UTC", "!want HH:MM-HH:MM"},
		{"Mon 08:00-24:01 UTC", "!want HH:MM-HH:MM"},
		{"Mon 24:00-08:00 UTC", "!want HH:MM-HH:MM"},
		{"Mon +8:00-18:00 UTC", "!want HH:MM-HH:MM"},
		{"Mon 08:00-08:00 UTC", "!a whole day is"},
		{"Mon 08:00-18:00 europe/berlin", "!written Europe/Berlin"},
		{"Mon 08:00-18:00 Europe/Bonn", "!an IANA name"},
		{"Mon 08:00-18:00 Local", "!an IANA name"},
		{"Mon 08:00-18:00 +02:00", "!an IANA name"},
		{"Mon 08:00-18:00 ../../etc/localtime", "!an IANA name"},
		{"Mon\t08:00-18:00\tUTC", "!want days, times"},
		{strings.Repeat("Mon 08:00-18:00; ", 16) + "Mon 08:00-18:00 UTC", "!more than 16 windows"},
		{strings.Repeat(" ", 512) + "x", "!513 bytes"},
	}
	for _, tt := range tests {
		h, err := store.ParseHours(tt.text)
		if part, refused := strings.CutPrefix(tt.want, "!"); refused {
			if err == nil || !strings.Contains(err.Error(), part) || !h.IsZero() {
				t.Errorf("%q: %v, %v; want a refusal with %q", tt.text, h, err, part)
			}
			continue
		}
		if err != nil || h.String() != tt.want {
			t.Errorf("%q: %q, %v; want %q", tt.text, h, err, tt.want)
			continue
		}
		if again, err := store.ParseHours(h.String()); err != nil || !again.Equal(h) {
			t.Errorf("%q read again: %q, %v", tt.text, again, err)
		}
	}
}

func TestHoursOpen(t *testing.T) {
	const (
		office = "Mon-Fri 08:00-18:00 Europe/Berlin"
		night  = "Fri 22:00-02:00 America/New_York"
		week   = "Sun 20:00-04:00 UTC" // over the week's end
	)
	tests := []struct {
		hours, at string
		open      bool
	}{
		{office, "2026-11-23T07:59:59+01:00", false},
		{office, "2026-11-23T08:00:00+01:00", true},
		{office, "2026-11-23T17:59:59+01:00", true},
		{office, "2026-11-23T18:00:00+01:00", false},
		{office, "2026-11-22T12:00:00+01:00", false}, // a Sunday
		{office, "2026-07-01T07:00:00+01:00", true},  // 08:00 in summer
		{night, "2026-11-20T21:59:59-05:00", false},
		{night, "2026-11-20T22:00:00-05:00", true},
		{night, "2026-11-21T01:59:59-05:00", true},
		{night, "2026-11-21T02:00:00-05:00", false},
		{night, "2026-11-21T22:30:00-05:00", false},
		{week, "2026-11-22T20:00:00Z", true},
		{week, "2026-11-23T03:59:59Z", true},
		{week, "2026-11-23T04:00:00Z", false},
		{week, "2026-11-22T03:00:00Z", false},
		{"Mon-Sun 00:00-24:00 UTC", "2026-11-22T03:00:00Z", true},
		{"Mon 00:00-24:00 UTC", "2026-11-23T23:59:59.999Z", true},
		{"Mon 00:00-24:00 UTC", "2026-11-24T00:00:00Z", false},
		{"Thu 00:00-24:00 UTC", "1970-01-01T00:00:00Z", true},
		{"Wed 00:00-24:00 UTC", "1969-12-31T23:59:59.5Z", true},
	}
	for _, tt := range tests {
		if got := hours(t, tt.hours).Open(moment(t, tt.at)); got != tt.open {
			t.Errorf("%s at %s: open %t, want %t", tt.hours, tt.at, got, tt.open)
		}
	}
}

func moment(t testing.TB, text string) time.Time {
	t.Helper()
	m, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestHoursChange(t *testing.T) {
	always, zero := hours(t, "Mon-Sun 00:00-12:00; Mon-Sun 12:00-24:00 UTC"), store.Hours{}
	now := moment(t, "2026-11-23T12:00:00.5Z")
	if at, ok := always.Closes(now); ok {
		t.Errorf("what is always open closes at %v", at)
	}
	if at, ok := always.Opens(now); !ok || !at.Equal(now) {
		t.Errorf("what is always open opens at %v, %t", at, ok)
	}
	if at, ok := zero.Closes(now); !ok || !at.Equal(now) || zero.Open(now) {
		t.Errorf("the zero hours close at %v, %t", at, ok)
	}
	if at, ok := zero.Opens(now); ok {
		t.Errorf("the zero hours open at %v", at)
	}
	tests := []struct{ hours, at, closes, opens string }{
		{"Mon-Fri 08:00-18:00 Europe/Berlin", "2026-11-20T12:00:00.5+01:00", "2026-11-20T18:00:00+01:00", "2026-11-20T12:00:00.5+01:00"},
		{"Mon-Fri 08:00-18:00 Europe/Berlin", "2026-11-20T18:00:00+01:00", "2026-11-20T18:00:00+01:00", "2026-11-23T08:00:00+01:00"},
		{"Sun 20:00-04:00 UTC", "2026-11-22T21:00:00Z", "2026-11-23T04:00:00Z", "2026-11-22T21:00:00Z"},
		{"Mon 08:00-12:00; Mon 11:00-14:00 UTC", "2026-11-23T09:00:00Z", "2026-11-23T14:00:00Z", "2026-11-23T09:00:00Z"},
	}
	for _, tt := range tests {
		h := hours(t, tt.hours)
		if got, ok := h.Closes(moment(t, tt.at)); !ok || !got.Equal(moment(t, tt.closes)) {
			t.Errorf("%s at %s closes at %v, %t; want %s", tt.hours, tt.at, got, ok, tt.closes)
		}
		if got, ok := h.Opens(moment(t, tt.at)); !ok || !got.Equal(moment(t, tt.opens)) {
			t.Errorf("%s at %s opens at %v, %t; want %s", tt.hours, tt.at, got, ok, tt.opens)
		}
	}
}

// The time zones are the program's own, whatever the machine says: a process that
// is told that Berlin lies on Greenwich, as Go's own loader would believe it.
func TestHoursAskNoMachine(t *testing.T) {
	const noon, office = "2026-07-01T12:00:00+02:00", "Mon-Fri 12:00-12:01 Europe/Berlin"
	if !hours(t, office).Open(moment(t, noon)) {
		t.Fatalf("%s is not open at %s", office, noon)
	}
	if os.Getenv("TEST_IN_GREENWICH") != "" {
		place, err := time.LoadLocation("Europe/Berlin")
		if err != nil || moment(t, noon).In(place).Hour() != 10 {
			t.Errorf("the machine was not believed by %v (%v) either, so nothing was tried", place, err)
		}
		return
	}
	dir := t.TempDir()
	archive, err := zip.OpenReader("zoneinfo.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	utc, err := fs.ReadFile(archive, "UTC")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "Europe"), 0o700), os.WriteFile(filepath.Join(dir, "Europe", "Berlin"), utc, 0o600)); err != nil {
		t.Fatal(err)
	}
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHoursAskNoMachine$")
	again.Env = append(os.Environ(), "TEST_IN_GREENWICH=1", "ZONEINFO="+dir)
	if out, err := again.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// A newer database changes its version as well, and the release notes name the
// zones that differ.
func TestZoneDatabase(t *testing.T) {
	data, err := os.ReadFile("zoneinfo.zip")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	got := store.ZoneDatabase + " " + hex.EncodeToString(sum[:])
	if want := "2025c 8f55634d05f8bca1f7bc7c69c5933428c69357e0bdf565e5ba224e3f88ff12e8"; got != want {
		t.Errorf("time zone database %s, want %s", got, want)
	}
}

// Every zone of the database is one that hours can be in, and is right about a
// moment that Go's own copy of it knows.
func TestHoursInEveryZone(t *testing.T) {
	archive, err := zip.OpenReader("zoneinfo.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	at := moment(t, "2020-07-01T12:34:00Z")
	for _, f := range archive.File {
		h := hours(t, "Mon-Sun 08:00-18:00 "+f.Name)
		place, err := time.LoadLocation(f.Name)
		if err != nil {
			t.Error(err)
			continue
		}
		shows := at.In(place).Format("15:04")
		if got, want := h.Open(at), "08:00" <= shows && shows < "18:00"; got != want {
			t.Errorf("%s at %s: open %t, want %t", h, shows, got, want)
		}
	}
	if len(archive.File) < 500 {
		t.Errorf("only %d zones", len(archive.File))
	}
}

func FuzzParseHours(f *testing.F) {
	for _, text := range []string{"Mon-Fri 08:00-18:00 Europe/Berlin", "Fri 22:00-02:00; Sat-Mon 02:30-02:45 Australia/Lord_Howe", "mon 00:00-24:00 UTC"} {
		f.Add(text, int64(1_793_000_000))
	}
	f.Fuzz(func(t *testing.T, text string, second int64) {
		h, err := store.ParseHours(text)
		if err != nil {
			return
		}
		again, err := store.ParseHours(h.String())
		if err != nil || !again.Equal(h) || h.IsZero() {
			t.Fatalf("%q became %q, and that %q, %v", text, h, again, err)
		}
		// Three thousand years, to the nanosecond before and at each change.
		at := time.Unix(second%100_000_000_000, 0)
		for range 4 {
			opens, ok := h.Opens(at)
			if !ok || !h.Open(opens) || opens.Before(at) || !opens.Equal(at) && h.Open(opens.Add(-1)) {
				t.Fatalf("%s at %v opens at %v, %t", h, at, opens, ok)
			}
			closes, ok := h.Closes(opens)
			if !ok {
				return
			}
			if h.Open(closes) || closes.Before(opens) || !h.Open(closes.Add(-1)) {
				t.Fatalf("%s at %v closes at %v", h, opens, closes)
			}
			at = closes
		}
	})
}
