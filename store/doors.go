package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// A DoorKind is a kind of other way into a host: one that does not lead through
// VaultPAM.
type DoorKind string

// The kinds of doors. The account of a door is the one it leads into, or empty
// where it leads into any.
const (
	// DoorPassword lets in whoever knows a password, by the password method or
	// by keyboard-interactive.
	DoorPassword DoorKind = "password"
	// DoorKey lets in whoever holds a private key: a line of authorized_keys.
	DoorKey DoorKind = "authorized-key"
	// DoorKeysCommand lets in whomever a command of the host's allows.
	DoorKeysCommand DoorKind = "keys-command"
	// DoorAuthority lets in whomever another authority certifies.
	DoorAuthority DoorKind = "authority"
	// DoorPrincipals lets our own authority's certificates in under names that
	// VaultPAM does not decide about.
	DoorPrincipals DoorKind = "principals"
	// DoorHostBased lets in whomever another host vouches for.
	DoorHostBased DoorKind = "host-based"
	// DoorGSSAPI lets in whoever holds a Kerberos ticket.
	DoorGSSAPI DoorKind = "gssapi"
	// DoorNone is authentication by nothing at all: empty passwords.
	DoorNone DoorKind = "empty-password"
	// DoorCondition is a Match block whose conditions the check can't try out.
	DoorCondition DoorKind = "match-block"
	// DoorDaemon is another program that lets people in: a second sshd, dropbear,
	// telnetd, rlogind, rshd.
	DoorDaemon DoorKind = "daemon"
)

// DoorKinds lists all kinds.
func DoorKinds() []DoorKind {
	return []DoorKind{
		DoorPassword, DoorKey, DoorKeysCommand, DoorAuthority, DoorPrincipals,
		DoorHostBased, DoorGSSAPI, DoorNone, DoorCondition, DoorDaemon,
	}
}

func (k DoorKind) valid() bool { return slices.Contains(DoorKinds(), k) }

// What one report may hold. A host with more has its rest counted in Unread.
const (
	MaxDoors    = 2000
	maxDoorText = 256 // bytes of an account, a detail or an unread thing
)

// A Door is one other way into a host. Account and Detail are printable UTF-8 of
// at most 256 bytes, the same from one check to the next while nothing changed.
type Door struct {
	Kind    DoorKind
	Account string // of the host; "" for any
	Detail  string // what exactly: a fingerprint and a file, a setting
}

// A DoorReport is what a check of a host found: the other ways in, and what
// could not be looked at. Only a report with nothing in either says that there
// is no other way in.
type DoorReport struct {
	Doors  []Door
	Unread []string
}

// Text returns the report in its one text form, which an entry commits to: a
// line for each thing, sorted, none twice, fields separated by tabs.
//
//	door	KIND	ACCOUNT	DETAIL
//	unread	TEXT
func (r DoorReport) Text() (string, error) {
	lines := make([]string, 0, len(r.Doors)+len(r.Unread))
	for _, d := range r.Doors {
		if err := d.check(); err != nil {
			return "", err
		}
		lines = append(lines, strings.Join([]string{"door", string(d.Kind), d.Account, d.Detail}, "\t"))
	}
	for _, u := range r.Unread {
		if err := checkDoorText(u); err != nil || u == "" {
			return "", errors.Join(errors.New("unread"), err)
		}
		lines = append(lines, "unread\t"+u)
	}
	slices.Sort(lines)
	lines = slices.Compact(lines)
	if len(lines) > MaxDoors {
		return "", fmt.Errorf("report of %d lines, want at most %d", len(lines), MaxDoors)
	}
	return strings.Join(lines, "\n"), nil
}

// ParseDoorReport reads what Text wrote. Exactly one text stands for each report.
func ParseDoorReport(text string) (DoorReport, error) {
	var r DoorReport
	if text == "" {
		return r, nil
	}
	for line := range strings.SplitSeq(text, "\n") {
		switch f := strings.Split(line, "\t"); {
		case len(f) == 4 && f[0] == "door":
			r.Doors = append(r.Doors, Door{Kind: DoorKind(f[1]), Account: f[2], Detail: f[3]})
		case len(f) == 2 && f[0] == "unread":
			r.Unread = append(r.Unread, f[1])
		default:
			return DoorReport{}, fmt.Errorf("report line %q: want a door or what was unread", clip(line))
		}
	}
	again, err := r.Text()
	if err != nil {
		return DoorReport{}, err
	}
	if again != text {
		return DoorReport{}, errors.New("report is not sorted, or says something twice")
	}
	return r, nil
}

func (d Door) check() error {
	if !d.Kind.valid() {
		return fmt.Errorf("kind of door %q: want one of %v", clip(string(d.Kind)), DoorKinds())
	}
	if d.Detail == "" {
		return fmt.Errorf("door of kind %s: want a detail", d.Kind)
	}
	return errors.Join(checkDoorText(d.Account), checkDoorText(d.Detail))
}

func checkDoorText(s string) error {
	if len(s) > maxDoorText || !utf8.ValidString(s) {
		return fmt.Errorf("text of %d bytes: want UTF-8 of at most %d", len(s), maxDoorText)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || 0x80 <= r && r < 0xa0 || r == 0x2028 || r == 0x2029 }) {
		return fmt.Errorf("text %q: control characters", clip(s))
	}
	return nil
}
