package accessfile

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/vaultpam/vaultpam/store"
)

// Write returns the file's text in its one form: everything sorted, rules with
// names before those without. Parse reads it as the same File. What Parse would
// refuse is refused.
func Write(f File) ([]byte, error) {
	f = f.clone()
	f.normal()
	var errs []error
	for _, p := range f.problems() {
		errs = append(errs, fmt.Errorf("%s: %w", p.section, p.err))
	}
	if len(f.Manages) == 0 {
		errs = append(errs, errors.New("the file manages nothing"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("writing an access file: %w", err)
	}
	root := mapping()
	add(root, "version", text(strconv.Itoa(Version))).HeadComment = "Access as code. Of the sections in manages this file is the whole truth: what\nis on the server and not in here goes. The others stay as they are."
	root.Content[1].Tag = "!!int"
	add(root, "manages", flow(f.Manages))
	writeSection(root, f, "Groups: NAME: [HANDLE, …]", groups(f.Groups))
	writeSection(root, f, "Labels of targets, of those named here: TARGET: {KEY: VALUE, …}", targets(f.Targets))
	writeSection(root, f, "Grants allow. A name is the file's own; the server keeps none.", rules(f.Grants, SectionGrants, grant))
	writeSection(root, f, "Guardrails forbid, whatever grants say.", rules(f.Guardrails, SectionGuardrails, guardrail))
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(root), enc.Close()); err != nil {
		return nil, fmt.Errorf("writing an access file: %w", err)
	}
	return out.Bytes(), nil
}

// clone returns a File whose lists may be sorted.
func (f File) clone() File {
	f.Manages, f.Groups, f.Targets = slices.Clone(f.Manages), slices.Clone(f.Groups), slices.Clone(f.Targets)
	f.Grants, f.Guardrails = slices.Clone(f.Grants), slices.Clone(f.Guardrails)
	for i := range f.Groups {
		f.Groups[i].Members = slices.Clone(f.Groups[i].Members)
	}
	for i := range f.Grants {
		f.Grants[i].Rule = f.Grants[i].Rule.clone()
	}
	for i := range f.Guardrails {
		f.Guardrails[i].Rule = f.Guardrails[i].Rule.clone()
	}
	return f
}

func (r Rule) clone() Rule {
	r.Targets, r.Logins = slices.Clone(r.Targets), slices.Clone(r.Logins)
	return r
}

func mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode} }

// text is a string, which the encoder quotes where it would be read as something
// else.
func text(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }

func flow[T ~string](texts []T) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, s := range texts {
		n.Content = append(n.Content, text(string(s)))
	}
	return n
}

// add adds a field and returns its key, which is where comments go.
func add(to *yaml.Node, key string, value *yaml.Node) *yaml.Node {
	k := text(key)
	to.Content = append(to.Content, k, value)
	return k
}

// addText adds a field that is left out where it is empty.
func addText(to *yaml.Node, key, value string) {
	if value != "" {
		add(to, key, text(value))
	}
}

// writeSection adds a section that is managed.
func writeSection(root *yaml.Node, f File, comment string, s sectionNode) {
	if f.IsManaged(s.section) {
		add(root, string(s.section), s.node).HeadComment = "\n" + comment
	}
}

type sectionNode struct {
	section Section
	node    *yaml.Node
}

func groups(all []Group) sectionNode {
	n := mapping()
	for _, g := range all {
		add(n, string(g.Name), flow(g.Members))
	}
	return sectionNode{SectionGroups, n}
}

func targets(all []Target) sectionNode {
	n := mapping()
	for _, t := range all {
		labels := mapping()
		labels.Style = yaml.FlowStyle
		for _, l := range t.Labels {
			add(labels, l.Key, text(l.Value))
		}
		add(n, string(t.Name), labels)
	}
	return sectionNode{SectionTargets, n}
}

func rules[T Item](all []T, s Section, write func(*yaml.Node, T)) sectionNode {
	n := &yaml.Node{Kind: yaml.SequenceNode}
	for _, r := range all {
		item := mapping()
		write(item, r)
		n.Content = append(n.Content, item)
	}
	if len(all) == 0 {
		n.Style = yaml.FlowStyle
	}
	return sectionNode{s, n}
}

func grant(n *yaml.Node, g Grant) {
	addText(n, "name", g.Name)
	add(n, "to", text(g.Subject.String()))
	rule(n, g.Rule)
	add(n, "for", purposes(g.For))
	moments(n, g.Rule)
	if g.Conditions != (Conditions{}) {
		add(n, "conditions", conditions(g.Conditions))
	}
}

func guardrail(n *yaml.Node, g Guardrail) {
	addText(n, "name", g.Name)
	add(n, "against", text(g.Subject.String()))
	rule(n, g.Rule)
	if g.Forbid == nil {
		add(n, "forbid", flow([]string{everything}))
	} else {
		add(n, "forbid", purposes(g.Forbid))
	}
	moments(n, g.Rule)
}

func rule(n *yaml.Node, r Rule) {
	if len(r.Targets) > 0 {
		add(n, "targets", flow(r.Targets))
	}
	addText(n, "select", r.Select.String())
	if len(r.Logins) > 0 {
		add(n, "logins", flow(r.Logins))
	}
}

func moments(n *yaml.Node, r Rule) {
	if r.From != 0 {
		add(n, "from", text(formatMoment(r.From)))
	}
	if r.Until != 0 {
		add(n, "until", text(formatMoment(r.Until)))
	}
	addText(n, "hours", r.Hours.String())
}

func purposes(ps store.Purposes) *yaml.Node {
	var texts []string
	for _, u := range ps {
		if len(u.Limits) == 0 {
			texts = append(texts, string(u.Purpose))
		}
		for _, l := range u.Limits {
			texts = append(texts, string(u.Purpose)+"="+l)
		}
	}
	return flow(texts)
}

func conditions(c Conditions) *yaml.Node {
	n := mapping()
	if c.Reason {
		add(n, "reason", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"})
	}
	addText(n, "ticket", string(c.Ticket))
	if c.Approvals != 0 {
		approval := mapping()
		approval.Style = yaml.FlowStyle
		add(approval, "count", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.FormatUint(c.Approvals, 10)})
		add(approval, "of", text(string(c.Approvers)))
		add(n, "approval", approval)
	}
	if c.Passkey != 0 {
		add(n, "passkey", text(formatMinutes(c.Passkey)))
	}
	if c.Longest != 0 {
		add(n, "longest", text(formatMinutes(c.Longest)))
	}
	return n
}
