package store

import (
	"context"
	"fmt"
	"slices"
)

const (
	// listWindow is how many entries are compared with their lists at a time.
	listWindow = 32768
	// listPage is how many indexes of a list are counted at a time.
	listPage = 65536
)

// A listCheck compares what a back end finds with the entries. Within a window
// every list that an entry of it belongs to is compared, so that nothing may be
// missing; in the end every list is counted, so that nothing may be too much.
type listCheck struct {
	b      Backend
	from   Index
	window map[Query][]Index
	counts map[Query]int
}

func newListCheck(b Backend) *listCheck {
	return &listCheck{b: b, window: map[Query][]Index{}, counts: map[Query]int{}}
}

// add takes note of the lists that a record belongs to.
func (l *listCheck) add(r Record, at Index) {
	users, targets := []UserID{{}}, []Index{0}
	if !r.User.IsZero() {
		users = append(users, r.User)
	}
	if r.Target != 0 {
		targets = append(targets, r.Target)
	}
	for _, u := range users {
		for _, t := range targets {
			q := Query{Type: r.Type, User: u, Target: t}
			l.window[q] = append(l.window[q], at)
			l.counts[q]++
		}
	}
}

// page compares the window, if it is full. The entries so far end before to.
func (l *listCheck) page(ctx context.Context, to Index) ([]string, error) {
	if to-l.from < listWindow {
		return nil, nil
	}
	return l.compare(ctx, to)
}

func (l *listCheck) compare(ctx context.Context, to Index) ([]string, error) {
	var wrong []string
	for q, want := range l.window {
		q.From, q.To = l.from, to
		got, err := l.b.Find(ctx, q)
		if err != nil {
			return wrong, err
		}
		if !slices.Equal(got, want) {
			wrong = append(wrong, fmt.Sprintf("%s finds %d entries between %d and %d, and there are %d", listOf(q), len(got), l.from, to-1, len(want)))
			delete(l.counts, Query{Type: q.Type, User: q.User, Target: q.Target}) // said once
		}
	}
	clear(l.window)
	l.from = to
	slices.Sort(wrong)
	return wrong, nil
}

// finish compares what is left, and counts every list.
func (l *listCheck) finish(ctx context.Context) ([]string, error) {
	var end Index
	for _, at := range l.window {
		end = max(end, at[len(at)-1]+1)
	}
	var wrong []string
	if end > l.from {
		var err error
		if wrong, err = l.compare(ctx, end); err != nil {
			return wrong, err
		}
	}
	var counted []string
	for q, want := range l.counts {
		got, err := l.count(ctx, q)
		if err != nil {
			return wrong, err
		}
		if got != want {
			counted = append(counted, fmt.Sprintf("%s finds %d entries, and there are %d", listOf(q), got, want))
		}
	}
	slices.Sort(counted)
	return append(wrong, counted...), nil
}

func (l *listCheck) count(ctx context.Context, q Query) (int, error) {
	n := 0
	for q.Limit = listPage; ; {
		got, err := l.b.Find(ctx, q)
		if err != nil {
			return 0, err
		}
		n += len(got)
		if len(got) < listPage {
			return n, nil
		}
		q.From = got[len(got)-1] + 1
	}
}

// listOf names a list in words.
func listOf(q Query) string {
	s := "the list of " + string(q.Type)
	if !q.User.IsZero() {
		s += " of user " + q.User.String()
	}
	if q.Target != 0 {
		s += fmt.Sprintf(" of target %d", q.Target)
	}
	return s
}
