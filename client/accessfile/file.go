package accessfile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vaultpam/vaultpam/store"
)

// Version is the version of the format that is written.
const Version = 1

// A File is what an access file says. Its lists are in the order that Write
// writes, which normal makes.
type File struct {
	Manages    []Section
	Groups     []Group
	Targets    []Target
	Grants     []Grant
	Guardrails []Guardrail
	// Bots are those of a server, sorted; no file manages them.
	Bots []store.Handle
}

// A Section is a part of the file.
type Section string

const (
	SectionGroups     Section = "groups"
	SectionTargets    Section = "targets"
	SectionGrants     Section = "grants"
	SectionGuardrails Section = "guardrails"
)

// Sections lists the sections in the order in which they are written.
func Sections() []Section {
	return []Section{SectionGroups, SectionTargets, SectionGrants, SectionGuardrails}
}

// A Place is where something stands, in a file or on a server. It is no part of
// what is said there.
type Place struct {
	Line   int    // of the file; 0 on a server
	Called string // what the file calls the rule that an item of a plan is from
	ID     uint64 // of the grant or guardrail, on a server
	// Requested are the grants that answer requests by this one. They go with it.
	Requested []uint64
}

// A Group is a named set of people.
type Group struct {
	Place
	Name    store.GroupName
	Members []store.Handle
}

// A Target is the labels of a registered target.
type Target struct {
	Place
	Name   store.TargetName
	Labels store.TargetLabels
}

// A Rule is what grants and guardrails have in common. Targets are named or
// selected, never both. A From or Until of 0 is none.
type Rule struct {
	Place
	// Name is what the file calls a rule, for those who read the file and its plan.
	// The server keeps none.
	Name    string
	Subject Subject
	Targets []store.TargetName
	Select  store.Selector
	Logins  []store.Login
	From    store.Millis
	Until   store.Millis
	Hours   store.Hours
}

// A Grant allows.
type Grant struct {
	Rule
	For        store.Purposes
	Conditions Conditions
}

// A Guardrail forbids, whatever grants say. Without logins it is for all; Forbid
// is nil where everything is forbidden.
type Guardrail struct {
	Rule
	Forbid store.Purposes
}

// Conditions are store.Conditions with the approvers by name. Passkey and Longest
// are minutes.
type Conditions struct {
	Reason    bool
	Ticket    store.TicketPattern
	Approvals uint64
	Approvers store.GroupName
	Passkey   uint64
	Longest   uint64
}

// A Subject is whom a rule is about: user:carol, group:ops, bot:ci, or everyone,
// which only a guardrail may be about.
type Subject struct {
	Kind SubjectKind
	Name string
}

// A SubjectKind is a kind of subject.
type SubjectKind string

const (
	SubjectUser     SubjectKind = "user"
	SubjectGroup    SubjectKind = "group"
	SubjectBot      SubjectKind = "bot"
	SubjectEveryone SubjectKind = "everyone"
)

// ParseSubject reads a subject.
func ParseSubject(s string) (Subject, error) {
	if s == string(SubjectEveryone) {
		return Subject{Kind: SubjectEveryone}, nil
	}
	kind, name, _ := strings.Cut(s, ":")
	var err error
	switch SubjectKind(kind) {
	case SubjectUser, SubjectBot:
		_, err = store.ParseHandle(name)
	case SubjectGroup:
		_, err = store.ParseGroupName(name)
	default:
		err = fmt.Errorf("subject %.80q: want user:HANDLE, group:NAME, bot:HANDLE, or everyone for a guardrail", s)
	}
	if err != nil {
		return Subject{}, err
	}
	return Subject{Kind: SubjectKind(kind), Name: name}, nil
}

func (s Subject) String() string {
	if s.Kind == SubjectEveryone {
		return string(s.Kind)
	}
	return string(s.Kind) + ":" + s.Name
}

// parseName reads the name of a rule, whose grammar is that of groups' names.
func parseName(s string) (string, error) {
	if _, err := store.ParseGroupName(s); err != nil {
		return "", fmt.Errorf("name %.80q: want 1 to 64 of a-z 0-9 . _ -, beginning with a letter or digit", s)
	}
	return s, nil
}

// IsManaged reports whether the file manages a section.
func (f File) IsManaged(s Section) bool { return slices.Contains(f.Manages, s) }

// normal brings everything into the order in which it is written.
func (f *File) normal() {
	slices.SortFunc(f.Manages, func(a, b Section) int { return slices.Index(Sections(), a) - slices.Index(Sections(), b) })
	slices.SortFunc(f.Groups, func(a, b Group) int { return strings.Compare(string(a.Name), string(b.Name)) })
	for i := range f.Groups {
		slices.Sort(f.Groups[i].Members)
		f.Groups[i].Members = slices.Compact(f.Groups[i].Members)
	}
	slices.SortFunc(f.Targets, func(a, b Target) int { return strings.Compare(string(a.Name), string(b.Name)) })
	for i := range f.Grants {
		f.Grants[i].normal()
	}
	for i := range f.Guardrails {
		f.Guardrails[i].normal()
	}
	slices.SortStableFunc(f.Grants, func(a, b Grant) int { return compareItems(a, b) })
	slices.SortStableFunc(f.Guardrails, func(a, b Guardrail) int { return compareItems(a, b) })
}

func (r *Rule) normal() {
	slices.Sort(r.Targets)
	r.Targets = slices.Compact(r.Targets)
	slices.Sort(r.Logins)
	r.Logins = slices.Compact(r.Logins)
}
