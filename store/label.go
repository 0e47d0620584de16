package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A TargetLabel says something about a target that selectors ask for: env=prod.
//
// Key and value are 1 to 63 of a-z 0-9 . _ -, beginning and ending with a letter
// or digit; "in" and "notin" are no keys, because they are words of selectors.
// Upper case is refused rather than folded: two labels never differ by case
// alone, so a rule about env=prod can't be missed by a host labelled env=Prod.
// What is a TargetLabel is a label of Kubernetes too; what Kubernetes knows
// beyond it are upper case, empty values and keys with a domain (example.com/env).
type TargetLabel struct {
	_     struct{} `cbor:",toarray"`
	Key   string
	Value string
}

// TargetLabels are the labels of one target: at most 32, sorted by key, one for
// each key. Their text form is key=value, joined by commas, "" for none.
type TargetLabels []TargetLabel

const (
	maxLabelWord    = 63
	maxTargetLabels = 32
)

// ParseTargetLabel reads KEY=VALUE.
func ParseTargetLabel(s string) (TargetLabel, error) {
	key, value, ok := strings.Cut(s, "=")
	l := TargetLabel{Key: key, Value: value}
	if !ok {
		return TargetLabel{}, fmt.Errorf("label %q: want KEY=VALUE", clip(s))
	}
	if err := l.check(); err != nil {
		return TargetLabel{}, err
	}
	return l, nil
}

// ParseTargetLabels reads labels joined by commas, in any order and with spaces
// around the commas.
func ParseTargetLabels(s string) (TargetLabels, error) {
	if strings.Trim(s, " ") == "" {
		return nil, nil
	}
	var all TargetLabels
	for text := range strings.SplitSeq(s, ",") {
		l, err := ParseTargetLabel(strings.Trim(text, " "))
		if err != nil {
			return nil, err
		}
		if len(all) == maxTargetLabels {
			return nil, errTooManyLabels
		}
		all = append(all, l)
	}
	return NewTargetLabels(all...)
}

// NewTargetLabels returns the labels as the set that they are, sorted. A key with
// two values is refused.
func NewTargetLabels(labels ...TargetLabel) (TargetLabels, error) {
	all := slices.Clone(TargetLabels(labels))
	slices.SortFunc(all, compareLabels)
	all = slices.Compact(all)
	if err := all.Check(); err != nil {
		return nil, err
	}
	return all, nil
}

var errTooManyLabels = fmt.Errorf("more than %d labels: a target has at most so many", maxTargetLabels)

// Check holds the labels to what a set of them promises.
func (ls TargetLabels) Check() error {
	if len(ls) > maxTargetLabels {
		return errTooManyLabels
	}
	for i, l := range ls {
		if err := l.check(); err != nil {
			return err
		}
		switch {
		case i == 0 || ls[i-1].Key < l.Key:
		case ls[i-1].Key == l.Key:
			return fmt.Errorf("label %s: given twice, as %s and %s", l.Key, ls[i-1].Value, l.Value)
		default:
			return errors.New("labels are not sorted by their keys")
		}
	}
	return nil
}

// Get returns the value that a key has.
func (ls TargetLabels) Get(key string) (string, bool) {
	i, ok := slices.BinarySearchFunc(ls, key, func(l TargetLabel, key string) int { return strings.Compare(l.Key, key) })
	if !ok {
		return "", false
	}
	return ls[i].Value, true
}

func (l TargetLabel) String() string { return l.Key + "=" + l.Value }

func (ls TargetLabels) String() string {
	texts := make([]string, len(ls))
	for i, l := range ls {
		texts[i] = l.String()
	}
	return strings.Join(texts, ",")
}

func (l TargetLabel) check() error {
	if err := checkLabelKey(l.Key); err != nil {
		return err
	}
	return checkLabelWord("value", l.Value)
}

func checkLabelKey(key string) error {
	if key == "in" || key == "notin" {
		return fmt.Errorf("label key %q: is a word of selectors, want another", key)
	}
	return checkLabelWord("key", key)
}

func checkLabelWord(what, s string) error {
	if isLabelWord(s) {
		return nil
	}
	if lower := strings.ToLower(s); isLabelWord(lower) {
		return fmt.Errorf("label %s %q: labels are lower case: want %q", what, s, lower)
	}
	return fmt.Errorf("label %s %q: want 1 to %d of a-z 0-9 . _ -, beginning and ending with a letter or digit", what, clip(s), maxLabelWord)
}

func isLabelWord(s string) bool {
	if len(s) == 0 || len(s) > maxLabelWord || !isLowerOrDigit(s[0]) || !isLowerOrDigit(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isLowerOrDigit(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func isLowerOrDigit(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

func compareLabels(a, b TargetLabel) int {
	return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.Value, b.Value))
}
