package store

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Conditions are what has to be there besides a grant. The zero Conditions ask
// for nothing. Their numbers are CBOR map keys and are for ever, as those of
// events are.
type Conditions struct {
	// Reason asks for a sentence of why.
	Reason bool `cbor:"1,keyasint,omitempty"`
	// Ticket asks for a ticket whose whole text fits.
	Ticket TicketPattern `cbor:"2,keyasint,omitempty"`
	// Approvals is how many people of Approvers have to agree, none of whom is
	// the requester. Approvers is the index of the entry that began the group, so
	// that a group keeps its grants when it is renamed; it is 0 with no Approvals.
	Approvals uint64 `cbor:"3,keyasint,omitempty"`
	Approvers Index  `cbor:"4,keyasint,omitempty"`
	// Passkey asks for a passkey's touch within so many minutes before, 0 for none.
	Passkey uint64 `cbor:"5,keyasint,omitempty"`
	// Longest is how many minutes a session lasts at most, 0 for no such limit.
	Longest uint64 `cbor:"6,keyasint,omitempty"`
}

// The bounds of conditions.
const (
	MaxApprovals      = 8
	MaxPasskeyMinutes = 24 * 60
	MaxLongestMinutes = 31 * 24 * 60
)

// IsZero reports whether nothing is asked for.
func (c Conditions) IsZero() bool { return c == Conditions{} }

// Check holds conditions to their bounds.
func (c Conditions) Check() error {
	if c.Ticket != "" {
		if _, err := ParseTicketPattern(string(c.Ticket)); err != nil {
			return err
		}
	}
	return check(want{c.Approvals <= MaxApprovals, "at most 8 approvals"},
		want{(c.Approvals == 0) == (c.Approvers == 0), "a group of approvers with a number of approvals, and no group without one"},
		want{c.Passkey <= MaxPasskeyMinutes, "a passkey's touch within at most 1440 minutes (a day)"},
		want{c.Longest <= MaxLongestMinutes, "a longest session of at most 44640 minutes (31 days)"})
}

// A TicketPattern is what a ticket's text has to look like, as a regular
// expression in the syntax of RE2 that fits the whole text: INC-[0-9]+ refuses
// "see INC-1". At most 128 bytes of printable ASCII, without ^ and $ around it,
// without groups that capture (they are written (?:…)), and such that it does not fit an
// empty text.
type TicketPattern string

const (
	maxTicketPattern = 128 // bytes
	// MaxTicket bounds a ticket's text, in bytes.
	MaxTicket = 128
)

var errTicketPattern = errors.New("ticket pattern: want a regular expression such as INC-[0-9]+")

// ParseTicketPattern returns s as a TicketPattern.
func ParseTicketPattern(s string) (TicketPattern, error) {
	if s == "" {
		return "", errTicketPattern
	}
	if len(s) > maxTicketPattern {
		return "", fmt.Errorf("ticket pattern of %d bytes: want at most %d", len(s), maxTicketPattern)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) || strings.Trim(s, " ") != s {
		return "", fmt.Errorf("ticket pattern %q: want printable ASCII without spaces around it", clip(s))
	}
	if strings.HasPrefix(s, "^") || strings.HasSuffix(s, "$") {
		return "", fmt.Errorf("ticket pattern %q: fits the whole text anyway; leave ^ and $ away", clip(s))
	}
	// The pattern is looked at alone first, so that a parenthesis in it can't
	// close the one that is put around it.
	alone, err := regexp.Compile(s)
	if err != nil {
		return "", fmt.Errorf("ticket pattern %q: %w", clip(s), err)
	}
	if alone.NumSubexp() > 0 {
		return "", fmt.Errorf("ticket pattern %q: write groups as (?:…)", clip(s))
	}
	whole, err := TicketPattern(s).compile()
	if err != nil {
		return "", fmt.Errorf("ticket pattern %q: %w", clip(s), err)
	}
	if whole.MatchString("") {
		return "", fmt.Errorf("ticket pattern %q: fits an empty text, so it would ask for nothing", clip(s))
	}
	return TicketPattern(s), nil
}

func (p TicketPattern) compile() (*regexp.Regexp, error) {
	return regexp.Compile(`\A(?:` + string(p) + `)\z`)
}

// Fits reports whether a ticket's whole text fits. What is no pattern fits
// nothing.
func (p TicketPattern) Fits(ticket string) bool {
	if p == "" || len(ticket) > MaxTicket {
		return false
	}
	whole, err := p.compile()
	return err == nil && whole.MatchString(ticket)
}

// LongestSession returns how long a session lasts at most, and false where
// nothing bounds it.
func (c Conditions) LongestSession() (time.Duration, bool) {
	return time.Duration(c.Longest) * time.Minute, c.Longest != 0
}

// PasskeyWithin returns how old a passkey's touch may be, and false where none
// is asked for.
func (c Conditions) PasskeyWithin() (time.Duration, bool) {
	return time.Duration(c.Passkey) * time.Minute, c.Passkey != 0
}
