package inventory

import (
	"fmt"
	"slices"
	"strings"
)

// Limit returns the targets that a pattern names, as ansible's --limit does: hosts
// and groups by name or with * and ?, joined by commas; "!" takes out, and "&"
// keeps only. A term that fits nothing is an error: a typing error must not leave
// a host out, or let it in, unseen.
func Limit(targets []Target, pattern string) ([]Target, error) {
	var in, only, out []string
	for term := range strings.SplitSeq(pattern, ",") {
		term = strings.TrimSpace(term)
		name := strings.TrimLeft(term, "!&")
		if name == "" || len(term)-len(name) > 1 {
			return nil, fmt.Errorf("limit %.80q: want hosts and groups, joined by commas, each with ! or & before it or neither", pattern)
		}
		if !slices.ContainsFunc(targets, func(t Target) bool { return t.called(name) }) {
			return nil, fmt.Errorf("limit %.80q: no host and no group is called %.80q", pattern, name)
		}
		switch term[0] {
		case '!':
			out = append(out, name)
		case '&':
			only = append(only, name)
		default:
			in = append(in, name)
		}
	}
	var kept []Target
	for _, t := range targets {
		missed := slices.ContainsFunc(only, func(name string) bool { return !t.called(name) })
		if (len(in) == 0 || slices.ContainsFunc(in, t.called)) && !missed && !slices.ContainsFunc(out, t.called) {
			kept = append(kept, t)
		}
	}
	return kept, nil
}

// called reports whether a term of a limit means the target.
func (t Target) called(name string) bool {
	fits := func(s string) bool { return wildcardFits(name, s) }
	return name == groupAll || fits(t.Origin) || slices.ContainsFunc(t.Groups, fits)
}
