package inventory

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// splitPort takes the port off the end of a host as inventories write it:
// db1:2222, [2001:db8::5]:2222, www[01:20]:2222.
func splitPort(s string) (host, port string) {
	if isAddress(s) {
		return s, ""
	}
	host, digits, ok := cutLast(s, ':')
	if ok && digits != "" && strings.Trim(digits, "0123456789") == "" && strings.Count(host, "[") == strings.Count(host, "]") {
		return unbracket(host), digits
	}
	return unbracket(s), ""
}

// unbracket takes the brackets off an address, not those of a range.
func unbracket(s string) string {
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		if addr, err := netip.ParseAddr(s[1 : len(s)-1]); err == nil {
			return addr.String()
		}
	}
	return s
}

func cutLast(s string, c byte) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, c)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// letters are in the order in which ansible counts them.
const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// expand writes out the ranges of a pattern: www[01:20], db-[a:f], n[1:9:2].
func expand(pattern string) ([]string, error) {
	done, rest := []string{""}, pattern
	for {
		head, tail, ok := strings.Cut(rest, "[")
		inside, after, closed := strings.Cut(tail, "]")
		if !ok {
			return combine(done, []string{head})
		}
		if !closed {
			return nil, fmt.Errorf("%.80q: a range has no end", pattern)
		}
		steps, err := expandRange(inside)
		if err != nil {
			return nil, fmt.Errorf("%.80q: %w", pattern, err)
		}
		if done, err = combine(done, []string{head}); err == nil {
			done, err = combine(done, steps)
		}
		if err != nil {
			return nil, err
		}
		rest = after
	}
}

func combine(first, second []string) ([]string, error) {
	if len(first)*len(second) > MaxTargets {
		return nil, errTooMany
	}
	var all []string
	for _, a := range first {
		for _, b := range second {
			all = append(all, a+b)
		}
	}
	return all, nil
}

// expandRange writes out BEGIN:END or BEGIN:END:STEP.
func expandRange(s string) ([]string, error) {
	bounds := strings.Split(s, ":")
	if len(bounds) != 2 && len(bounds) != 3 || bounds[len(bounds)-1] == "" || bounds[1] == "" {
		return nil, fmt.Errorf("range %.80q: want [BEGIN:END] or [BEGIN:END:STEP]", s)
	}
	step := 1
	if len(bounds) == 3 {
		var err error
		if step, err = strconv.Atoi(bounds[2]); err != nil || step < 1 {
			return nil, fmt.Errorf("range %.80q: want a step from 1 on", s)
		}
	}
	begin, end := bounds[0], bounds[1]
	if begin == "" {
		begin = "0"
	}
	if len(begin) == 1 && len(end) == 1 && strings.Contains(letters, begin) && strings.Contains(letters, end) {
		return count(strings.Index(letters, begin), strings.Index(letters, end), step, func(i int) string { return letters[i : i+1] })
	}
	width := 0
	if len(begin) > 1 && begin[0] == '0' {
		if width = len(begin); len(end) != width {
			return nil, fmt.Errorf("range %.80q: want as many digits at its end as at its beginning", s)
		}
	}
	from, err := strconv.ParseUint(begin, 10, 31)
	to, err2 := strconv.ParseUint(end, 10, 31)
	if err := errors.Join(err, err2); err != nil {
		return nil, fmt.Errorf("range %.80q: want two numbers or two letters", s)
	}
	return count(int(from), int(to), step, func(i int) string { return fmt.Sprintf("%0*d", width, i) })
}

func count(from, to, step int, name func(int) string) ([]string, error) {
	if from > to {
		return nil, errors.New("a range ends before it begins")
	}
	if (to-from)/step >= MaxTargets {
		return nil, errTooMany
	}
	var all []string
	for i := from; i <= to; i += step {
		all = append(all, name(i))
	}
	return all, nil
}
