package accessfile

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/vaultpam/vaultpam/store"
)

// everything is how a guardrail says that nothing is left.
const everything = "everything"

// A reader turns texts into values and collects what is wrong with them.
type reader struct{ errs []error }

func (r *reader) fail(line int, err error) {
	r.errs = append(r.errs, fmt.Errorf("line %d: %w", line, err))
}

func (r *reader) err() error {
	if more := len(r.errs) - maxErrors; more > 0 {
		return errors.Join(append(r.errs[:maxErrors:maxErrors], fmt.Errorf("and %d more", more))...)
	}
	return errors.Join(r.errs...)
}

// one reads a text, if it is there.
func one[T any](r *reader, s scalar, parse func(string) (T, error)) T {
	var none T
	if !s.there() {
		return none
	}
	value, err := parse(s.text)
	if err != nil {
		r.fail(s.line, err)
		return none
	}
	return value
}

// list reads texts, each of which has to be something.
func list[T any](r *reader, texts scalars, parse func(string) (T, error)) []T {
	var values []T
	for _, s := range texts {
		values = append(values, one(r, s, parse))
	}
	return values
}

func (r *reader) file(raw rawFile) File {
	if raw.Version.text != strconv.Itoa(Version) {
		r.fail(max(1, raw.Version.line), fmt.Errorf("version %.80q: want version: %d", raw.Version.text, Version))
	}
	f := File{Manages: list(r, raw.Manages, parseSection)}
	if len(f.Manages) == 0 {
		r.fail(1, fmt.Errorf("want manages: the sections that this file is the whole truth of, of %s", joined(Sections())))
	}
	for i, s := range f.Manages {
		if slices.Contains(f.Manages[:i], s) {
			r.fail(raw.Manages[i].line, fmt.Errorf("%s: given twice", s))
		}
	}
	for _, g := range raw.Groups {
		f.Groups = append(f.Groups, r.group(g))
	}
	for _, t := range raw.Targets {
		f.Targets = append(f.Targets, r.target(t))
	}
	for _, g := range raw.Grants {
		f.Grants = append(f.Grants, r.grant(g))
	}
	for _, g := range raw.Guardrails {
		f.Guardrails = append(f.Guardrails, r.guardrail(g))
	}
	return f
}

func parseSection(s string) (Section, error) {
	if !slices.Contains(Sections(), Section(s)) {
		return "", fmt.Errorf("section %.80q: want one of %s", s, joined(Sections()))
	}
	return Section(s), nil
}

func (r *reader) group(n namedNode) Group {
	var members scalars
	r.decode(n.value, &members)
	return Group{Name: one(r, n.name, store.ParseGroupName), Members: list(r, members, store.ParseHandle)}
}

func (r *reader) target(n namedNode) Target {
	var pairs named
	r.decode(n.value, &pairs)
	t := Target{Name: one(r, n.name, store.ParseTargetName)}
	for _, p := range pairs {
		var value scalar
		r.decode(p.value, &value)
		label := one(r, scalar{p.name.text + "=" + value.text, p.name.line}, store.ParseTargetLabel)
		t.Labels = append(t.Labels, label)
	}
	if len(r.errs) > 0 {
		return t
	}
	labels, err := store.NewTargetLabels(t.Labels...)
	if err != nil {
		r.fail(n.name.line, err)
	}
	t.Labels = labels
	return t
}

// decode reads a part of the file that holds texts alone, so that no field of it
// can be misspelt.
func (r *reader) decode(n *yaml.Node, to any) {
	if err := n.Decode(to); err != nil {
		r.errs = append(r.errs, yamlError(err))
	}
}

func (r *reader) rule(raw rawRule, subject scalar) Rule {
	return Rule{
		Name:    one(r, raw.Name, parseName),
		Subject: one(r, subject, ParseSubject),
		Targets: list(r, raw.Targets, store.ParseTargetName),
		Select:  one(r, raw.Select, store.ParseSelector),
		Logins:  list(r, raw.Logins, store.ParseLogin),
		From:    one(r, raw.From, parseMoment),
		Until:   one(r, raw.Until, parseMoment),
		Hours:   one(r, raw.Hours, store.ParseHours),
	}
}

func (r *reader) grant(raw rawGrant) Grant {
	return Grant{
		Rule: r.rule(raw.rawRule, raw.To),
		For:  r.purposes(raw.For),
		Conditions: Conditions{
			Reason:    one(r, raw.Conditions.Reason, parseYes),
			Ticket:    one(r, raw.Conditions.Ticket, store.ParseTicketPattern),
			Approvals: one(r, raw.Conditions.Approval.Count, parseCount),
			Approvers: one(r, raw.Conditions.Approval.Of, store.ParseGroupName),
			Passkey:   one(r, raw.Conditions.Passkey, parseMinutes),
			Longest:   one(r, raw.Conditions.Longest, parseMinutes),
		},
	}
}

func (r *reader) guardrail(raw rawGuardrail) Guardrail {
	g := Guardrail{Rule: r.rule(raw.rawRule, raw.Against)}
	switch {
	case len(raw.Forbid) == 1 && raw.Forbid[0].text == everything:
	case len(raw.Forbid) == 0:
		line := max(1, raw.Against.line)
		r.fail(line, fmt.Errorf("want forbid: purposes, or [%s]", everything))
	default:
		g.Forbid = r.purposes(raw.Forbid)
	}
	return g
}

// purposes reads uses and presets, each of which is a text of its own.
func (r *reader) purposes(texts scalars) store.Purposes {
	var uses []store.Use
	before := len(r.errs)
	for _, part := range list(r, texts, parseUse) {
		uses = append(uses, part...)
	}
	if len(uses) == 0 || len(r.errs) > before {
		return nil
	}
	purposes, err := store.NewPurposes(uses...)
	if err != nil {
		r.fail(texts[0].line, err)
	}
	return purposes
}

// parseUse reads NAME, NAME=LIMIT, or the name of a preset, which is written out.
func parseUse(s string) (store.Purposes, error) {
	if strings.Contains(s, ";") {
		return nil, fmt.Errorf("purpose %.80q: want one for each item of the list", s)
	}
	if preset, err := store.ParsePreset(s); err == nil {
		return preset.Purposes(), nil
	}
	return store.ParsePurposes(s)
}

func parseYes(s string) (bool, error) {
	if s != "true" && s != "false" {
		return false, fmt.Errorf("%.80q: want true or false", s)
	}
	return s == "true", nil
}

func parseCount(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != s {
		return 0, fmt.Errorf("count %.80q: want a number from 1 on", s)
	}
	return n, nil
}
