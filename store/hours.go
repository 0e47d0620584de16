package store

import (
	"slices"
	"time"
)

// Hours are the weekly hours in which a grant holds, on the clocks of one place:
//
//	Mon-Fri 08:00-18:00 Europe/Berlin
//	Mon-Fri 08:00-18:00; Sat 09:00-12:00 Europe/Berlin
//	Fri 22:00-02:00 America/New_York
//	Mon-Sun 00:00-24:00 UTC
//
// A window has days, and times from 00:00 to 24:00 in steps of a minute, the end
// not included. One that ends before it begins runs over midnight into the day
// behind its own: the third example is open on Saturday at 01:00. Windows may
// overlap. The time zone is an IANA name of ZoneDatabase and stands once, at the
// end.
//
// Hours are open at a moment when what a clock on the wall shows then, weekday
// and time, lies in a window: nothing else is asked. So, when clocks change:
//
//   - An edge that is skipped, 02:30 when 02:00 becomes 03:00, takes effect at
//     the change: 02:30-06:00 opens, and 01:00-02:30 closes, when clocks show
//     03:00. A window that lies in the skipped time is not open that day.
//   - Times that come twice, 02:00 to 03:00 when 03:00 becomes 02:00, are in a
//     window both times: 02:15-02:30 opens twice, 02:30-06:00 is open until
//     clocks go back and opens again at the second 02:30, 01:00-06:00 is open
//     throughout, an hour longer than it is otherwise.
//   - A weekday that a place leaves out (Friday 30 December 2011 on Samoa) has no
//     hours, and neither has what a window would have run over into it.
//
// The zero Hours are none: they are never open, and only CBOR may hold them.
type Hours struct {
	windows []window // as String lists them
	name    string   // of the zone
	zone    *time.Location
	// changes are the minutes of the week at which what is open closes and what
	// is closed opens; begins says which it is before the first of them. None:
	// always open.
	changes []int
	begins  bool
}

// A window is from and to in minutes of the day, to up to 24 hours behind from,
// on each of its days.
type window struct {
	days     weekdays
	from, to int
}

// weekdays is a set; Monday is bit 0.
type weekdays uint8

const (
	minutesPerDay  = 24 * 60
	minutesPerWeek = 7 * minutesPerDay
	// The epoch was a Thursday.
	epochMinute = 3 * minutesPerDay
)

// Open reports whether clocks show a time of a window at t.
func (h Hours) Open(t time.Time) bool {
	if h.zone == nil {
		return false
	}
	if len(h.changes) == 0 {
		return true
	}
	minute, _ := h.clock(t)
	return h.openAt(minute)
}

// openAt reports whether a minute of the week is in a window.
func (h Hours) openAt(minute int) bool {
	before, at := slices.BinarySearch(h.changes, minute)
	if at {
		before++
	}
	return h.begins != (before%2 == 1)
}

// Closes returns the first moment from t on at which the hours are not open,
// which is t itself when they are not open at t. It returns false when they
// never close.
func (h Hours) Closes(t time.Time) (time.Time, bool) {
	if h.zone == nil {
		return t.UTC(), true
	}
	return h.next(t, false)
}

// Opens returns the first moment from t on at which the hours are open, which is
// t itself when they are open at t. It returns false for the zero Hours.
func (h Hours) Opens(t time.Time) (time.Time, bool) {
	if h.zone == nil {
		return time.Time{}, false
	}
	return h.next(t, true)
}

// next returns the first moment from t on at which Open answers as is wanted. It
// goes from one change of the clocks to the next, between which the minutes of
// the week pass one by one.
func (h Hours) next(t time.Time, open bool) (time.Time, bool) {
	if len(h.changes) == 0 {
		return t.UTC(), open
	}
	for {
		minute, second := h.clock(t)
		if h.openAt(minute) == open {
			return t.UTC(), true
		}
		change := time.Unix(t.Unix()-int64(second)+60*int64(h.untilChange(minute)), 0)
		_, end := t.In(h.zone).ZoneBounds()
		if end.IsZero() || change.Before(end) {
			return change.UTC(), true
		}
		t = end
	}
}

// untilChange returns how many minutes lie between a minute of the week and the
// next change.
func (h Hours) untilChange(minute int) int {
	i, at := slices.BinarySearch(h.changes, minute)
	if at {
		i++
	}
	if i == len(h.changes) {
		return minutesPerWeek - minute + h.changes[0]
	}
	return h.changes[i] - minute
}

// clock returns what clocks show at t: the minute since Monday 00:00, and the
// second of that minute.
func (h Hours) clock(t time.Time) (minute, second int) {
	_, offset := t.In(h.zone).Zone()
	wall := t.Unix() + int64(offset) + 60*epochMinute
	const week = 60 * minutesPerWeek
	inWeek := int((wall%week + week) % week)
	return inWeek / 60, inWeek % 60
}

// setChanges works out when the windows, all together, open and close.
func (h *Hours) setChanges() {
	var open [minutesPerWeek]bool
	for _, w := range h.windows {
		for day := range 7 {
			for m := w.from; w.days.has(day) && m < w.to; m++ {
				open[(day*minutesPerDay+m)%minutesPerWeek] = true
			}
		}
	}
	last := open[minutesPerWeek-1]
	h.begins = last
	for m, now := range open {
		if now != last {
			h.changes = append(h.changes, m)
		}
		last = now
	}
}

func (d weekdays) has(day int) bool { return d>>day&1 == 1 }

// IsZero reports whether h are no hours.
func (h Hours) IsZero() bool { return h.zone == nil }

// Equal reports whether the hours have the same text.
func (h Hours) Equal(o Hours) bool { return h.String() == o.String() }

// MarshalText returns the canonical text, "" for the zero Hours.
func (h Hours) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText is ParseHours.
func (h *Hours) UnmarshalText(text []byte) error {
	parsed, err := ParseHours(string(text))
	if err == nil {
		*h = parsed
	}
	return err
}

// MarshalCBOR returns the canonical text as a CBOR text string.
func (h Hours) MarshalCBOR() ([]byte, error) { return cborCodec.enc.Marshal(h.String()) }

// UnmarshalCBOR reads what MarshalCBOR wrote and no other text.
func (h *Hours) UnmarshalCBOR(data []byte) error { return decodeText(data, h, ParseHours) }
