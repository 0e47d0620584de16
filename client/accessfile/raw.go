package accessfile

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// The file as YAML has it: texts with their lines, which a reader turns into
// values.

type rawFile struct {
	Version    scalar         `yaml:"version"`
	Manages    scalars        `yaml:"manages"`
	Groups     named          `yaml:"groups"`
	Targets    named          `yaml:"targets"`
	Grants     []rawGrant     `yaml:"grants"`
	Guardrails []rawGuardrail `yaml:"guardrails"`
}

type rawRule struct {
	Name    scalar  `yaml:"name"`
	Targets scalars `yaml:"targets"`
	Select  scalar  `yaml:"select"`
	Logins  scalars `yaml:"logins"`
	From    scalar  `yaml:"from"`
	Until   scalar  `yaml:"until"`
	Hours   scalar  `yaml:"hours"`
}

type rawGrant struct {
	rawRule    `yaml:",inline"`
	To         scalar        `yaml:"to"`
	For        scalars       `yaml:"for"`
	Conditions rawConditions `yaml:"conditions"`
}

type rawGuardrail struct {
	rawRule `yaml:",inline"`
	Against scalar  `yaml:"against"`
	Forbid  scalars `yaml:"forbid"`
}

type rawConditions struct {
	Reason   scalar      `yaml:"reason"`
	Ticket   scalar      `yaml:"ticket"`
	Approval rawApproval `yaml:"approval"`
	Passkey  scalar      `yaml:"passkey"`
	Longest  scalar      `yaml:"longest"`
}

type rawApproval struct {
	Count scalar `yaml:"count"`
	Of    scalar `yaml:"of"`
}

// A scalar is one text as it is written, whatever YAML would make of it: a member
// called "no" is no boolean. A line of 0 is a text that is not there.
type scalar struct {
	text string
	line int
}

// UnmarshalYAML takes one text.
func (s *scalar) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode {
		return lineError(n.Line, "want one text here")
	}
	*s = scalar{text: n.Value, line: n.Line}
	return nil
}

func (s scalar) there() bool { return s.line != 0 }

// scalars is a list of texts. YAML's decoder would leave out of a list what it
// takes for nothing at all, a member called "null".
type scalars []scalar

// UnmarshalYAML takes a list of texts.
func (l *scalars) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.SequenceNode {
		return lineError(n.Line, "want a list here")
	}
	for _, c := range n.Content {
		var s scalar
		if err := s.UnmarshalYAML(c); err != nil {
			return err
		}
		*l = append(*l, s)
	}
	return nil
}

// named is a mapping from names to whatever each section has, in its order.
type named []namedNode

type namedNode struct {
	name  scalar
	value *yaml.Node
}

// UnmarshalYAML takes a mapping apart.
func (m *named) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return lineError(n.Line, "want names here, as NAME: …")
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		var name scalar
		if err := name.UnmarshalYAML(n.Content[i]); err != nil {
			return err
		}
		*m = append(*m, namedNode{name, n.Content[i+1]})
	}
	return nil
}

// lineError is one of the errors that YAML's decoder collects.
func lineError(line int, format string, args ...any) error {
	return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: ", line) + fmt.Sprintf(format, args...)}}
}
