package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the slow evaluator's own time zones, where the machine has none

	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/store"
)

// What windows do when clocks change, as the stretches of one night in which
// they are open.
func TestHoursWhenClocksChange(t *testing.T) {
	tests := []struct {
		name, hours, from, to string
		want                  string // open stretches, in UTC
	}{
		// Berlin, 29 March 2026: 02:00 becomes 03:00 at 01:00 UTC.
		{"a skipped begin takes effect at the change", "Sun 02:30-06:00 Europe/Berlin", "2026-03-28T12:00Z", "2026-03-29T12:00Z", "29T01:00-29T04:00"},
		{"a skipped end takes effect at the change", "Sun 01:00-02:30 Europe/Berlin", "2026-03-28T12:00Z", "2026-03-29T12:00Z", "29T00:00-29T01:00"},
		{"a window in the skipped hour is not", "Sun 02:10-02:50 Europe/Berlin", "2026-03-28T12:00Z", "2026-03-29T12:00Z", ""},
		{"a window up to the skipped hour", "Sun 01:00-02:00 Europe/Berlin", "2026-03-28T12:00Z", "2026-03-29T12:00Z", "29T00:00-29T01:00"},
		{"a night that is an hour shorter", "Sat 22:00-06:00 Europe/Berlin", "2026-03-28T12:00Z", "2026-03-29T12:00Z", "28T21:00-29T04:00"},
		// Berlin, 25 October 2026: 03:00 becomes 02:00 at 01:00 UTC.
		{"a repeated begin", "Sun 02:30-06:00 Europe/Berlin", "2026-10-24T12:00Z", "2026-10-25T12:00Z", "25T00:30-25T01:00 25T01:30-25T05:00"},
		{"a repeated end", "Sun 01:00-02:30 Europe/Berlin", "2026-10-24T12:00Z", "2026-10-25T12:00Z", "24T23:00-25T00:30 25T01:00-25T01:30"},
		{"a window in the repeated hour is twice", "Sun 02:15-02:30 Europe/Berlin", "2026-10-24T12:00Z", "2026-10-25T12:00Z", "25T00:15-25T00:30 25T01:15-25T01:30"},
		{"the whole repeated hour", "Sun 02:00-03:00 Europe/Berlin", "2026-10-24T12:00Z", "2026-10-25T12:00Z", "25T00:00-25T02:00"},
		{"a night that is an hour longer", "Sat 22:00-06:00 Europe/Berlin", "2026-10-24T12:00Z", "2026-10-25T12:00Z", "24T20:00-25T05:00"},
		// Lord Howe goes by half an hour, in the south: 5 April 2026 02:00 becomes
		// 01:30 at 15:00 UTC the day before; 4 October 02:00 becomes 02:30.
		{"half an hour back", "Sun 01:45-03:00 Australia/Lord_Howe", "2026-04-04T06:00Z", "2026-04-05T06:00Z", "04T14:45-04T15:00 04T15:15-04T16:30"},
		{"half an hour on", "Sun 02:15-03:00 Australia/Lord_Howe", "2026-10-03T06:00Z", "2026-10-04T06:00Z", "03T15:30-03T16:00"},
		// Offsets with half and quarter hours, and no daylight saving.
		{"Kolkata", "Mon 09:00-10:00 Asia/Kolkata", "2026-11-22T12:00Z", "2026-11-23T12:00Z", "23T03:30-23T04:30"},
		{"Kathmandu", "Mon 09:00-10:00 Asia/Kathmandu", "2026-11-22T12:00Z", "2026-11-23T12:00Z", "23T03:15-23T04:15"},
		{"Tokyo", "Sun 02:30-03:00 Asia/Tokyo", "2026-03-28T12:00Z", "2026-03-29T12:00Z", "28T17:30-28T18:00"},
		// Troll goes by two hours: 29 March 2026, 01:00 becomes 03:00.
		{"two hours on", "Sun 00:30-03:30 Antarctica/Troll", "2026-03-28T12:00Z", "2026-03-29T12:00Z", "29T00:30-29T01:30"},
		// São Paulo's last daylight saving skipped midnight: 4 November 2018,
		// 00:00 became 01:00. Saturday's hours end there, Sunday's begin at 01:00.
		{"midnight is skipped", "Sat 23:00-24:00; Sun 00:00-02:00 America/Sao_Paulo", "2018-11-03T12:00Z", "2018-11-04T12:00Z", "04T02:00-04T04:00"},
		{"over a skipped midnight", "Sat 23:00-00:30 America/Sao_Paulo", "2018-11-03T12:00Z", "2018-11-04T12:00Z", "04T02:00-04T03:00"},
		// And repeated 23:00 to 24:00 of Saturday 17 February 2018.
		{"midnight comes twice", "Sat 23:30-00:30 America/Sao_Paulo", "2018-02-17T12:00Z", "2018-02-18T12:00Z", "18T01:30-18T02:00 18T02:30-18T03:30"},
		// Samoa went from Thursday 29 to Saturday 31 December 2011, at 10:00 UTC.
		{"a day that is not", "Fri 00:00-24:00 Pacific/Apia", "2011-12-29T00:00Z", "2012-01-01T00:00Z", ""},
		{"nor what would run into it", "Thu 22:00-02:00 Pacific/Apia", "2011-12-29T12:00Z", "2012-01-01T00:00Z", "30T08:00-30T10:00"},
		{"nor out of it", "Fri 22:00-02:00 Pacific/Apia", "2011-12-29T12:00Z", "2012-01-01T00:00Z", "30T10:00-30T12:00"},
	}
	for _, tt := range tests {
		from, to := minuteOf(t, tt.from), minuteOf(t, tt.to)
		if got := stretches(hours(t, tt.hours), from, to); got != tt.want {
			t.Errorf("%s: %s is open %q, want %q", tt.name, tt.hours, got, tt.want)
		}
	}
}

func minuteOf(t *testing.T, text string) time.Time {
	t.Helper()
	m, err := time.Parse("2006-01-02T15:04Z", text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// stretches goes from opening to closing.
func stretches(h store.Hours, from, to time.Time) string {
	var found []string
	for from.Before(to) {
		opens, ok := h.Opens(from)
		if !ok || !opens.Before(to) {
			break
		}
		closes, ok := h.Closes(opens)
		if !ok {
			return "for ever"
		}
		found = append(found, opens.Format("02T15:04-")+closes.Format("02T15:04"))
		from = closes
	}
	return strings.Join(found, " ")
}

// A slowWindow is a window as the property test drew it.
type slowWindow struct {
	days     [7]bool // Sunday is 0
	from, to string  // HH:MM
}

// slowOpen looks at a clock on the wall and compares what it reads.
func slowOpen(windows []slowWindow, place *time.Location, at time.Time) bool {
	wall := at.In(place)
	shows, today := wall.Format("15:04"), wall.Weekday()
	yesterday := (today + 6) % 7
	for _, w := range windows {
		switch {
		case w.from < w.to && w.days[today] && w.from <= shows && shows < w.to,
			w.from > w.to && w.days[today] && w.from <= shows,
			w.from > w.to && w.days[yesterday] && shows < w.to:
			return true
		}
	}
	return false
}

func (w slowWindow) String() string {
	var days []string
	for day, on := range w.days {
		if on {
			days = append(days, time.Weekday(day).String()[:3])
		}
	}
	return fmt.Sprintf("%s %s-%s", strings.Join(days, ","), w.from, w.to)
}

// Minute by minute, around changes of the clocks and wherever else.
func TestHoursAgainstAClockOnTheWall(t *testing.T) {
	around := map[string][]string{
		"Europe/Berlin":       {"2026-03-29T01:00Z", "2026-10-25T01:00Z"},
		"America/New_York":    {"2026-03-08T07:00Z", "2026-11-01T06:00Z"},
		"America/St_Johns":    {"2006-04-02T03:31Z", "2026-03-08T05:30Z"},
		"America/Sao_Paulo":   {"2018-02-18T02:00Z", "2018-11-04T03:00Z"},
		"Australia/Lord_Howe": {"2026-04-04T15:00Z", "2026-10-03T15:30Z"},
		"Australia/Adelaide":  {"2026-04-04T16:30Z", "2026-10-03T16:30Z"},
		"Pacific/Apia":        {"2011-12-30T10:00Z", "2021-04-03T14:00Z"},
		"Africa/Casablanca":   {"2020-04-19T02:00Z", "2020-05-31T02:00Z"},
		"Europe/Dublin":       {"2026-03-29T01:00Z", "2026-10-25T01:00Z"},
		"Antarctica/Troll":    {"2026-03-29T01:00Z", "2026-10-25T01:00Z"},
		"Asia/Kathmandu":      {"2026-03-29T01:00Z", "1985-12-31T18:30Z"},
		"Asia/Pyongyang":      {"2015-08-14T15:00Z", "2018-05-04T15:00Z"},
		"UTC":                 {"2026-12-31T23:00Z"},
	}
	var places []string
	for place := range around {
		places = append(places, place)
	}
	clock := rapid.Custom(func(t *rapid.T) string {
		return fmt.Sprintf("%02d:%02d", rapid.OneOf(rapid.IntRange(0, 4), rapid.IntRange(0, 23)).Draw(t, "hour"), rapid.SampledFrom([]int{0, 1, 15, 30, 45, 59}).Draw(t, "minute"))
	})
	drawn := rapid.Custom(func(t *rapid.T) slowWindow {
		w := slowWindow{from: clock.Draw(t, "from"), to: clock.Draw(t, "to")}
		w.days[rapid.IntRange(0, 6).Draw(t, "day")] = true
		for day := range w.days {
			w.days[day] = w.days[day] || rapid.Bool().Draw(t, "on")
		}
		return w
	})
	check(t, 50, 20_000, func(t *rapid.T) {
		place := rapid.SampledFrom(places).Draw(t, "place")
		windows := rapid.SliceOfN(drawn.Filter(func(w slowWindow) bool { return w.from != w.to }), 1, 3).Draw(t, "windows")
		var texts []string
		for _, w := range windows {
			texts = append(texts, w.String())
		}
		h, err := store.ParseHours(strings.Join(texts, "; ") + " " + place)
		if err != nil {
			t.Fatal(err)
		}
		loc, err := time.LoadLocation(place)
		if err != nil {
			t.Fatal(err)
		}
		begin, err := time.Parse("2006-01-02T15:04Z", rapid.SampledFrom(around[place]).Draw(t, "change"))
		if err != nil {
			t.Fatal(err)
		}
		begin = begin.Add(-36 * time.Hour)
		checkMinutes(t, h, begin, 4*24*60, func(at time.Time) bool { return slowOpen(windows, loc, at) })
	})
}

// checkMinutes compares every minute with what the clock says, and what is said
// to come next with what comes.
func checkMinutes(t *rapid.T, h store.Hours, begin time.Time, minutes int, open func(time.Time) bool) {
	closes, canClose := h.Closes(begin)
	opens, _ := h.Opens(begin)
	for m := range minutes {
		at := begin.Add(time.Duration(m) * time.Minute)
		want := open(at)
		if got := h.Open(at); got != want {
			t.Fatalf("%s at %v: open %t, want %t", h, at, got, want)
		}
		if got := h.Open(at.Add(time.Minute - 1)); got != want {
			t.Fatalf("%s at the end of %v: open %t, want %t", h, at, got, want)
		}
		if (!want && canClose && at.Before(closes)) || want && canClose && at.Equal(closes) || want && at.Before(opens) || !want && at.Equal(opens) {
			t.Fatalf("%s: %v has open %t, but from before then it closes at %v and opens at %v", h, at, want, closes, opens)
		}
		if !want && !canClose {
			t.Fatalf("%s never closes, but is closed at %v", h, at)
		}
		// From where one of them came true the next is asked for.
		if at.Equal(closes) || at.Equal(opens) {
			next := at.Add(time.Second)
			closes, canClose = h.Closes(next)
			opens, _ = h.Opens(next)
		}
	}
}

func BenchmarkHoursOpen(b *testing.B) {
	h := hours(b, "Mon-Fri 08:00-18:00; Sat 09:00-12:00 Europe/Berlin")
	at := time.Unix(1_793_000_000, 0)
	for b.Loop() {
		h.Open(at)
		at = at.Add(time.Minute)
	}
}

func BenchmarkHoursCloses(b *testing.B) {
	h := hours(b, "Mon-Fri 08:00-18:00; Sat 09:00-12:00 Europe/Berlin")
	at := time.Unix(1_793_000_000, 0)
	for b.Loop() {
		h.Closes(at)
		at = at.Add(time.Minute)
	}
}
