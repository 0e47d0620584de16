package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// What hours may hold.
const (
	maxHoursText    = 512 // bytes as typed
	maxHoursWindows = 16
)

var weekdayNames = [7]string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}

// ParseHours reads windows and a time zone. Days are read in upper and lower
// case, may be lists (Mon,Wed-Fri) and may go over the weekend (Fri-Mon).
func ParseHours(text string) (Hours, error) {
	if len(text) > maxHoursText {
		return Hours{}, fmt.Errorf("hours of %d bytes: want at most %d", len(text), maxHoursText)
	}
	h, err := parseHours(text)
	if err != nil {
		return Hours{}, fmt.Errorf("hours %q: %w", clip(text), err)
	}
	return h, nil
}

func parseHours(text string) (Hours, error) {
	var h Hours
	texts := strings.Split(text, ";")
	for i, text := range texts {
		fields := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' })
		last := i == len(texts)-1
		switch {
		case last && len(fields) == 2:
			return Hours{}, errors.New("want a time zone at the end, such as Europe/Berlin or UTC")
		case last && len(fields) != 3:
			return Hours{}, errors.New("want days, times and a time zone, as in Mon-Fri 08:00-18:00 Europe/Berlin")
		case !last && len(fields) == 3:
			return Hours{}, errors.New("want one time zone for all windows, at the end")
		case !last && len(fields) != 2:
			return Hours{}, fmt.Errorf("window %q: want days and times, as in Mon-Fri 08:00-18:00", strings.TrimSpace(text))
		case i == maxHoursWindows:
			return Hours{}, fmt.Errorf("more than %d windows", maxHoursWindows)
		}
		w, err := parseWindow(fields[0], fields[1])
		if err != nil {
			return Hours{}, err
		}
		h.windows = append(h.windows, w)
		if last {
			h.name = fields[2]
		}
	}
	var err error
	if h.zone, err = zone(h.name); err != nil {
		return Hours{}, err
	}
	h.windows = mergeWindows(h.windows)
	h.setChanges()
	return h, nil
}

func parseWindow(days, times string) (window, error) {
	var w window
	var err error
	if w.days, err = parseWeekdays(days); err != nil {
		return window{}, err
	}
	from, to, ok := strings.Cut(times, "-")
	var fromOK, toOK bool
	w.from, fromOK = parseMinute(from)
	w.to, toOK = parseMinute(to)
	switch {
	case !ok || !fromOK || !toOK || w.from == minutesPerDay:
		return window{}, fmt.Errorf("times %q: want HH:MM-HH:MM, from 00:00 to 24:00", times)
	case w.from == w.to:
		return window{}, fmt.Errorf("times %q: begin and end are the same; a whole day is 00:00-24:00", times)
	case w.to < w.from:
		w.to += minutesPerDay
	}
	return w, nil
}

// parseMinute reads HH:MM as minutes of the day, up to 24:00.
func parseMinute(s string) (int, bool) {
	if len(s) != 5 || s[2] != ':' {
		return 0, false
	}
	for _, i := range []int{0, 1, 3, 4} {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	hour, minute := int(s[0]-'0')*10+int(s[1]-'0'), int(s[3]-'0')*10+int(s[4]-'0')
	total := hour*60 + minute
	return total, minute < 60 && total <= minutesPerDay
}

func parseWeekdays(s string) (weekdays, error) {
	var days weekdays
	for text := range strings.SplitSeq(s, ",") {
		first, last, isRange := strings.Cut(text, "-")
		if !isRange {
			last = first
		}
		from, to := weekday(first), weekday(last)
		if from < 0 || to < 0 {
			return 0, fmt.Errorf("days %q: want days of Mon Tue Wed Thu Fri Sat Sun, as in Mon-Fri or Sat,Sun", s)
		}
		for day := from; ; day = (day + 1) % 7 {
			if days.has(day) {
				return 0, fmt.Errorf("days %q: %s is named twice", s, weekdayNames[day])
			}
			days |= 1 << day
			if day == to {
				break
			}
		}
	}
	return days, nil
}

// weekday returns a day's number, Monday's being 0, or -1.
func weekday(name string) int {
	return slices.IndexFunc(weekdayNames[:], func(known string) bool { return len(name) == 3 && strings.EqualFold(name, known) })
}

// mergeWindows joins the days of windows with the same times and sorts.
func mergeWindows(windows []window) []window {
	days := map[window]weekdays{}
	for _, w := range windows {
		days[window{from: w.from, to: w.to}] |= w.days
	}
	var merged []window
	for w, d := range days {
		merged = append(merged, window{days: d, from: w.from, to: w.to})
	}
	slices.SortFunc(merged, func(a, b window) int {
		return cmp.Or(cmp.Compare(a.days.first(), b.days.first()), cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to))
	})
	return merged
}

// first returns the first day's number.
func (d weekdays) first() int {
	for day := range 7 {
		if d.has(day) {
			return day
		}
	}
	return 7
}

// String returns the canonical text: windows with the same times are one, in the
// order of their first days and times, and days are ranges from Monday to Sunday.
func (h Hours) String() string {
	if h.zone == nil {
		return ""
	}
	texts := make([]string, len(h.windows))
	for i, w := range h.windows {
		to := w.to
		if to > minutesPerDay {
			to -= minutesPerDay
		}
		texts[i] = fmt.Sprintf("%s %02d:%02d-%02d:%02d", w.days, w.from/60, w.from%60, to/60, to%60)
	}
	return strings.Join(texts, "; ") + " " + h.name
}

func (d weekdays) String() string {
	var runs []string
	for day := 0; day < 7; day++ {
		if !d.has(day) {
			continue
		}
		first := day
		for day < 6 && d.has(day+1) {
			day++
		}
		run := weekdayNames[first]
		if day > first {
			run += "-" + weekdayNames[day]
		}
		runs = append(runs, run)
	}
	return strings.Join(runs, ",")
}
