package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Selector chooses targets by their labels. Its grammar is that of label
// selectors in Kubernetes, over the labels that a TargetLabel can be:
//
//   - every target
//     env=prod, env==prod    the label has this value
//     env!=prod              the label has another value
//     role in (db,cache)     the label has one of the values
//     role notin (db,cache)  the label has none of them
//     env                    the label is there
//     !env                   the label is not there
//
// Commas join conditions, all of which have to hold; there is no "or" beside the
// lists, because two grants are one. Left out of Kubernetes' grammar are the
// comparisons > and <, empty values, and the empty selector, which there selects
// everything: here "*" is that, and nothing at all is refused.
//
// What env!=prod says about a target without the label depends on what follows
// from it, so there are two questions. A grant asks Allows, which wants the label
// to be there: a host that nobody has labelled yet is not opened by a grant for
// whatever is not production. A guardrail asks Forbids, which reads != and notin
// as Kubernetes does: the host that nobody has labelled is hit by what forbids
// everything outside of development. The rest means the same to both.
//
// The zero Selector is none: it selects nothing, and only CBOR may hold it.
type Selector struct {
	all   bool
	terms []term // sorted, none twice
}

// A term is one condition of a selector.
type term struct {
	key    string
	op     operator
	values []string // sorted; of opIn and opNotIn
}

type operator byte

const (
	opIn operator = 1 << iota
	opNotIn
	opExists
	opAbsent
)

// What a selector may hold.
const (
	maxSelectorText   = 2048 // bytes as typed
	maxSelectorTerms  = 16
	maxSelectorValues = 32 // of one condition
)

// Allows reports whether a grant for these targets is one for a target with
// these labels. A label that is not there fulfils no condition but !key.
func (s Selector) Allows(labels TargetLabels) bool { return s.selects(labels, opAbsent) }

// Forbids reports whether a guardrail for these targets is one for a target with
// these labels. A label that is not there fulfils !key, key!=… and key notin (…).
func (s Selector) Forbids(labels TargetLabels) bool { return s.selects(labels, opAbsent|opNotIn) }

// selects reports whether all conditions hold, where missing are the operators
// that hold of a label that is not there. Conditions and labels are both sorted
// by key, so one walk along the two is enough.
func (s Selector) selects(labels TargetLabels, missing operator) bool {
	i := 0
	for _, t := range s.terms {
		for i < len(labels) && labels[i].Key < t.key {
			i++
		}
		there := i < len(labels) && labels[i].Key == t.key
		if there && !t.holds(labels[i].Value) || !there && t.op&missing == 0 {
			return false
		}
	}
	return s.all || len(s.terms) > 0
}

// holds reports whether the condition holds of a label with this value.
func (t term) holds(value string) bool {
	switch t.op {
	case opIn:
		return slices.Contains(t.values, value)
	case opNotIn:
		return !slices.Contains(t.values, value)
	case opExists:
		return true
	}
	return false
}

// All reports whether s is "*".
func (s Selector) All() bool { return s.all }

// IsZero reports whether s is no selector.
func (s Selector) IsZero() bool { return !s.all && len(s.terms) == 0 }

// Equal reports whether the selectors have the same text.
func (s Selector) Equal(o Selector) bool { return s.String() == o.String() }

// String returns the canonical text: conditions sorted by their keys, no space
// but around "in" and "notin", and a list of one as = or !=.
func (s Selector) String() string {
	if s.all {
		return "*"
	}
	texts := make([]string, len(s.terms))
	for i, t := range s.terms {
		texts[i] = t.String()
	}
	return strings.Join(texts, ",")
}

func (t term) String() string {
	list := strings.Join(t.values, ",")
	switch {
	case t.op == opIn && len(t.values) == 1:
		return t.key + "=" + list
	case t.op == opIn:
		return t.key + " in (" + list + ")"
	case t.op == opNotIn && len(t.values) == 1:
		return t.key + "!=" + list
	case t.op == opNotIn:
		return t.key + " notin (" + list + ")"
	case t.op == opAbsent:
		return "!" + t.key
	}
	return t.key
}

// normal sorts the conditions and refuses those that no target can fulfil: a
// guardrail that never hits would look like one that does.
func (s *Selector) normal() error {
	slices.SortFunc(s.terms, func(a, b term) int { return strings.Compare(a.key+"\x00"+a.String(), b.key+"\x00"+b.String()) })
	s.terms = slices.CompactFunc(s.terms, func(a, b term) bool { return a.String() == b.String() })
	for first := 0; first < len(s.terms); {
		last := first
		for last < len(s.terms) && s.terms[last].key == s.terms[first].key {
			last++
		}
		if !satisfiable(s.terms[first:last]) {
			return fmt.Errorf("selector asks of %s what no target can fulfil: %s", s.terms[first].key, Selector{terms: s.terms[first:last]})
		}
		first = last
	}
	return nil
}

// satisfiable reports whether conditions on one key can hold together, in either
// reading. Where none of them names the values that are wanted, some value is
// always left.
func satisfiable(terms []term) bool {
	wanted := -1
	for i, t := range terms {
		if t.op == opAbsent && len(terms) > 1 {
			return false
		}
		if t.op == opIn {
			wanted = i
		}
	}
	return wanted < 0 || slices.ContainsFunc(terms[wanted].values, func(value string) bool {
		return !slices.ContainsFunc(terms, func(t term) bool { return !t.holds(value) })
	})
}

// MarshalText returns the canonical text, "" for the zero Selector.
func (s Selector) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is ParseSelector.
func (s *Selector) UnmarshalText(text []byte) error {
	parsed, err := ParseSelector(string(text))
	if err == nil {
		*s = parsed
	}
	return err
}

// MarshalCBOR returns the canonical text as a CBOR text string.
func (s Selector) MarshalCBOR() ([]byte, error) { return cborCodec.enc.Marshal(s.String()) }

// UnmarshalCBOR reads what MarshalCBOR wrote and no other text.
func (s *Selector) UnmarshalCBOR(data []byte) error {
	return decodeText(data, s, ParseSelector)
}

// decodeText reads a CBOR text string that is a value's canonical text. The
// empty text is the zero value, which is left out of an entry and stands in a
// snapshot.
func decodeText[T fmt.Stringer](data []byte, to *T, parse func(string) (T, error)) error {
	var text string
	if err := cborCodec.dec.Unmarshal(data, &text); err != nil {
		return err
	}
	var value T
	if text != "" {
		var err error
		if value, err = parse(text); err != nil {
			return err
		}
		if value.String() != text {
			return errors.New("text is not in its canonical form")
		}
	}
	*to = value
	return nil
}
