package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

var errEmptySelector = errors.New(`selector is empty: want conditions such as env=prod, or "*" for every target`)

// ParseSelector reads a selector. Spaces may stand between any two words.
func ParseSelector(text string) (Selector, error) {
	if len(text) > maxSelectorText {
		return Selector{}, fmt.Errorf("selector of %d bytes: want at most %d", len(text), maxSelectorText)
	}
	p := selectorParser{rest: text}
	p.space()
	if p.rest == "" {
		return Selector{}, errEmptySelector
	}
	if p.take("*") {
		if p.rest != "" {
			return Selector{}, fmt.Errorf(`selector %q: "*" is every target and stands alone`, clip(text))
		}
		return Selector{all: true}, nil
	}
	s, err := p.terms()
	if err == nil {
		err = s.normal()
	}
	if err == nil && len(s.String()) > maxSelectorText {
		err = fmt.Errorf("more than %d bytes in its canonical form", maxSelectorText)
	}
	if err != nil {
		return Selector{}, fmt.Errorf("selector %q: %w", clip(text), err)
	}
	return s, nil
}

// A selectorParser holds what is still to be read.
type selectorParser struct{ rest string }

func (p *selectorParser) space() { p.rest = strings.TrimLeft(p.rest, " ") }

// take takes a sign and the spaces behind it, if the sign is next.
func (p *selectorParser) take(sign string) bool {
	rest, ok := strings.CutPrefix(p.rest, sign)
	if ok {
		p.rest = rest
		p.space()
	}
	return ok
}

// word takes everything up to a sign or a space, and the spaces behind it.
func (p *selectorParser) word() string {
	end := strings.IndexAny(p.rest, " ,=!()")
	if end < 0 {
		end = len(p.rest)
	}
	word := p.rest[:end]
	p.rest = p.rest[end:]
	p.space()
	return word
}

func (p *selectorParser) terms() (Selector, error) {
	var s Selector
	for {
		if len(s.terms) == maxSelectorTerms {
			return Selector{}, fmt.Errorf("more than %d conditions", maxSelectorTerms)
		}
		t, err := p.term()
		if err != nil {
			return Selector{}, err
		}
		s.terms = append(s.terms, t)
		if p.rest == "" {
			return s, nil
		}
		if !p.take(",") {
			return Selector{}, fmt.Errorf("want a comma before %q", clip(p.rest))
		}
		if p.rest == "" {
			return Selector{}, errors.New("want another condition behind the last comma")
		}
	}
}

func (p *selectorParser) term() (term, error) {
	absent := p.take("!")
	key := p.word()
	if err := checkLabelKey(key); err != nil {
		return term{}, err
	}
	if absent {
		return term{key: key, op: opAbsent}, nil
	}
	switch {
	case p.take("!="):
		return p.compare(key, opNotIn)
	case p.take("=="), p.take("="):
		return p.compare(key, opIn)
	case p.rest == "" || p.rest[0] == ',':
		return term{key: key, op: opExists}, nil
	}
	switch word := p.word(); word {
	case "in":
		return p.list(key, opIn)
	case "notin":
		return p.list(key, opNotIn)
	default:
		return term{}, fmt.Errorf("%s: want one of =, !=, in (…), notin (…) or a comma behind it", key)
	}
}

func (p *selectorParser) compare(key string, op operator) (term, error) {
	value := p.word()
	if err := checkLabelWord("value", value); err != nil {
		return term{}, fmt.Errorf("%s: %w", key, err)
	}
	return term{key: key, op: op, values: []string{value}}, nil
}

func (p *selectorParser) list(key string, op operator) (term, error) {
	if !p.take("(") {
		return term{}, fmt.Errorf("%s: want values in parentheses behind in and notin", key)
	}
	t := term{key: key, op: op}
	for {
		value := p.word()
		if err := checkLabelWord("value", value); err != nil {
			return term{}, fmt.Errorf("%s: %w", key, err)
		}
		if len(t.values) == maxSelectorValues {
			return term{}, fmt.Errorf("%s: more than %d values", key, maxSelectorValues)
		}
		t.values = append(t.values, value)
		if p.take(")") {
			break
		}
		if !p.take(",") {
			return term{}, fmt.Errorf("%s: want a comma or a closing parenthesis behind %s", key, value)
		}
	}
	slices.Sort(t.values)
	t.values = slices.Compact(t.values)
	return t, nil
}
