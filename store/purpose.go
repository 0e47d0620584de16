package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Purpose is a word for what a grant is for.
type Purpose string

// The purposes, in the order in which they are listed, and the limits each takes.
const (
	// PurposeShell is a shell on a terminal. No limits.
	PurposeShell Purpose = "shell"
	// PurposeExec is commands, with a terminal or without. Its limits are
	// patterns of commands (checkCommandPattern); without one, every command.
	PurposeExec Purpose = "exec"
	// PurposeNoTTY is a shell without a terminal, which echoes nothing of what is
	// typed into it. No limits.
	PurposeNoTTY Purpose = "no-tty"
	// PurposeSFTP is the sftp subsystem. Its limit is an SFTPAccess.
	PurposeSFTP Purpose = "sftp"
	// PurposeLocalForward is connections from the target onward (ssh -L, -D, -W).
	// Its limits are destinations (parseForward).
	PurposeLocalForward Purpose = "local-forward"
	// PurposeRemoteForward is listening on the target (ssh -R). Its limits are
	// what is listened on (parseForward).
	PurposeRemoteForward Purpose = "remote-forward"
	// PurposeAgentForward is the user's ssh-agent on the target. No limits.
	PurposeAgentForward Purpose = "agent-forward"
	// PurposeDirect is a target certificate for the user's own key, past the
	// relay. No limits.
	PurposeDirect Purpose = "direct"
)

// AllPurposes lists the purposes.
func AllPurposes() []Purpose {
	return []Purpose{
		PurposeShell, PurposeExec, PurposeNoTTY, PurposeSFTP,
		PurposeLocalForward, PurposeRemoteForward, PurposeAgentForward, PurposeDirect,
	}
}

func (p Purpose) order() int  { return slices.Index(AllPurposes(), p) }
func (p Purpose) valid() bool { return p.order() >= 0 }

// An SFTPAccess is what may be done by sftp. It has no paths: the host resolves
// them, through symbolic links, mounts and renames that the relay never sees, and
// a limit that can't be kept is worse than none. The account's permissions and
// sshd's ChrootDirectory keep paths.
type SFTPAccess string

const (
	SFTPReadOnly  SFTPAccess = "read-only"
	SFTPReadWrite SFTPAccess = "read-write"
)

// A Use is a purpose within limits, each in its canonical text, sorted.
type Use struct {
	_       struct{} `cbor:",toarray"`
	Purpose Purpose
	Limits  []string
}

// Purposes are what a grant is for, or what a guardrail forbids, each once and in
// the order of AllPurposes. The text form is NAME or NAME=LIMIT, joined by "; ",
// with the name repeated for each limit:
//
//	shell; exec=rsync --server *; exec=uptime; sftp=read-only
type Purposes []Use

// What purposes may hold.
const (
	maxPurposesText = 8 << 10 // bytes
	maxLimits       = 64      // of one purpose
	maxLimit        = 256     // bytes
)

// ParsePurposes reads the text form. Names may stand in any order.
func ParsePurposes(text string) (Purposes, error) {
	if len(text) > maxPurposesText {
		return nil, fmt.Errorf("purposes of %d bytes: want at most %d", len(text), maxPurposesText)
	}
	var uses []Use
	for item := range strings.SplitSeq(text, ";") {
		name, limit, limited := strings.Cut(strings.Trim(item, " "), "=")
		u := Use{Purpose: Purpose(strings.TrimRight(name, " "))}
		if limited {
			u.Limits = []string{strings.TrimLeft(limit, " ")}
		}
		uses = append(uses, u)
	}
	return NewPurposes(uses...)
}

// NewPurposes sorts and joins uses. Limits may stand in any of their forms; a
// purpose may not be given both with limits and without, because one of the two
// is not what is meant.
func NewPurposes(uses ...Use) (Purposes, error) {
	var all Purposes
	for _, u := range uses {
		if !u.Purpose.valid() {
			return nil, unknownPurpose(u.Purpose)
		}
		limits := make([]string, 0, len(u.Limits))
		for _, l := range u.Limits {
			limit, err := canonicalLimit(u.Purpose, l)
			if err != nil {
				return nil, err
			}
			limits = append(limits, limit)
		}
		i := slices.IndexFunc(all, func(o Use) bool { return o.Purpose == u.Purpose })
		if i < 0 {
			all = append(all, Use{Purpose: u.Purpose, Limits: limits})
			continue
		}
		if (len(all[i].Limits) == 0) != (len(limits) == 0) {
			return nil, fmt.Errorf("%s: given both with a limit and without one", u.Purpose)
		}
		all[i].Limits = append(all[i].Limits, limits...)
	}
	slices.SortFunc(all, func(a, b Use) int { return a.Purpose.order() - b.Purpose.order() })
	for i := range all {
		slices.Sort(all[i].Limits)
		all[i].Limits = slices.Compact(all[i].Limits)
	}
	if err := all.check(); err != nil {
		return nil, err
	}
	return all, nil
}

func unknownPurpose(p Purpose) error {
	return &WordError{What: "purpose", Word: clip(string(p)), Want: words(AllPurposes())}
}

// canonicalLimit returns the canonical text of one limit of a purpose.
func canonicalLimit(p Purpose, limit string) (string, error) {
	if len(limit) > maxLimit {
		return "", fmt.Errorf("%s: limit of %d bytes, want at most %d", p, len(limit), maxLimit)
	}
	switch p {
	case PurposeExec:
		return canonicalPattern(limit)
	case PurposeSFTP:
		if SFTPAccess(limit) != SFTPReadOnly && SFTPAccess(limit) != SFTPReadWrite {
			return "", fmt.Errorf("sftp=%s: want sftp=%s or sftp=%s; there is no limit of paths", clip(limit), SFTPReadOnly, SFTPReadWrite)
		}
		return limit, nil
	case PurposeLocalForward, PurposeRemoteForward:
		rule, err := parseForward(limit)
		if err != nil {
			return "", fmt.Errorf("%s: %w", p, err)
		}
		return rule.String(), nil
	}
	return "", fmt.Errorf("%s: takes no limit", p)
}

// check holds purposes to what grants and guardrails have in common.
func (ps Purposes) check() error {
	if len(ps) == 0 {
		return fmt.Errorf("no purpose: want one or more of %s", words(AllPurposes()))
	}
	for i, u := range ps {
		if !u.Purpose.valid() {
			return unknownPurpose(u.Purpose)
		}
		if i > 0 && ps[i-1].Purpose.order() >= u.Purpose.order() {
			return errors.New("purposes are not in their order")
		}
		if len(u.Limits) > maxLimits {
			return fmt.Errorf("%s: more than %d limits", u.Purpose, maxLimits)
		}
		for j, l := range u.Limits {
			limit, err := canonicalLimit(u.Purpose, l)
			if err != nil {
				return err
			}
			if limit != l || j > 0 && u.Limits[j-1] >= l {
				return fmt.Errorf("%s: limits are not in their canonical form", u.Purpose)
			}
		}
		if u.Purpose == PurposeSFTP && len(u.Limits) > 1 {
			return errors.New("sftp: want one limit, read-only or read-write")
		}
	}
	if len(ps.String()) > maxPurposesText {
		return fmt.Errorf("purposes of more than %d bytes", maxPurposesText)
	}
	return nil
}

// CheckGrant holds the purposes of a grant to their grammar. What is limited by
// its nature says its limit: everything is said as well (local-forward=*:*), and
// never by leaving it out.
func (ps Purposes) CheckGrant() error {
	if err := ps.check(); err != nil {
		return err
	}
	for _, u := range ps {
		switch {
		case len(u.Limits) > 0:
		case u.Purpose == PurposeSFTP:
			return errors.New("sftp: say sftp=read-only or sftp=read-write")
		case u.Purpose == PurposeLocalForward:
			return errors.New("local-forward: say where to, as local-forward=HOST:PORT; local-forward=*:* is everywhere")
		case u.Purpose == PurposeRemoteForward:
			return errors.New("remote-forward: say what is listened on, as remote-forward=localhost:PORT; remote-forward=*:* is everything")
		}
	}
	return nil
}

// CheckGuardrail holds the purposes that a guardrail forbids to their grammar. It
// forbids purposes as a whole, because to forbid a command or a destination by a
// pattern is a promise that nobody keeps: there is always another name for it. Of
// sftp alone a part is forbidden: sftp=read-write leaves reading.
func (ps Purposes) CheckGuardrail() error {
	if err := ps.check(); err != nil {
		return err
	}
	for _, u := range ps {
		switch {
		case len(u.Limits) == 0:
		case u.Purpose == PurposeSFTP && u.Limits[0] == string(SFTPReadWrite):
		case u.Purpose == PurposeSFTP:
			return errors.New("sftp=read-only: a guardrail forbids sftp, or sftp=read-write alone")
		default:
			return fmt.Errorf("%s=%s: a guardrail forbids %s as a whole, because what a pattern forbids goes by another name as well", u.Purpose, u.Limits[0], u.Purpose)
		}
	}
	return nil
}

// String returns the text form.
func (ps Purposes) String() string {
	var items []string
	for _, u := range ps {
		if len(u.Limits) == 0 {
			items = append(items, string(u.Purpose))
		}
		for _, l := range u.Limits {
			items = append(items, string(u.Purpose)+"="+l)
		}
	}
	return strings.Join(items, "; ")
}
