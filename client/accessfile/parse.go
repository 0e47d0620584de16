package accessfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// What a file may be.
const (
	MaxSize   = 4 << 20 // bytes
	maxDepth  = 8       // mappings and lists in each other
	maxErrors = 20      // shown of one file
)

// Parse reads a file. Its error has a line for each thing that is wrong, up to
// twenty, each with the number of the file's line.
func Parse(data []byte) (File, error) {
	if len(data) > MaxSize {
		return File{}, fmt.Errorf("access file of %d bytes: want at most %d", len(data), MaxSize)
	}
	root, err := document(data)
	if err != nil {
		return File{}, err
	}
	var raw rawFile
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&raw); err != nil {
		return File{}, yamlError(err)
	}
	r := reader{}
	f := r.file(raw)
	if len(r.errs) == 0 {
		// Problems name items by their places, so the order is still the file's.
		for _, p := range f.problems() {
			r.fail(lineOf(root, p.section, p.index), p.err)
		}
	}
	if len(r.errs) > 0 {
		return File{}, r.err()
	}
	f.place(root)
	f.normal()
	return f, nil
}

// place notes the lines of items that are in the file's order.
func (f *File) place(root *yaml.Node) {
	for i := range f.Groups {
		f.Groups[i].Line = lineOf(root, SectionGroups, i)
	}
	for i := range f.Targets {
		f.Targets[i].Line = lineOf(root, SectionTargets, i)
	}
	for i := range f.Grants {
		f.Grants[i].Line = lineOf(root, SectionGrants, i)
	}
	for i := range f.Guardrails {
		f.Guardrails[i].Line = lineOf(root, SectionGuardrails, i)
	}
}

// document reads the one document and refuses what would make a line of it mean
// something that is written elsewhere. Nothing is expanded yet.
func document(data []byte) (*yaml.Node, error) {
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, errors.New("the file is empty: want version and manages at least")
	case err != nil:
		return nil, yamlError(err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one YAML document")
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: want sections here, as groups: …", root.Line)
	}
	return root, plain(root, 0)
}

// plain refuses anchors, aliases, merge keys, tags and depth.
func plain(n *yaml.Node, depth int) error {
	switch {
	case depth > maxDepth:
		return fmt.Errorf("line %d: more than %d levels deep", n.Line, maxDepth)
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return fmt.Errorf("line %d: anchors and aliases are refused: write out what is meant", n.Line)
	case n.Style&yaml.TaggedStyle != 0:
		return fmt.Errorf("line %d: tags are refused", n.Line)
	case n.Tag == "!!merge":
		return fmt.Errorf("line %d: merge keys are refused: write out what is meant", n.Line)
	}
	for _, c := range n.Content {
		if err := plain(c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// lineOf returns the line at which an item of a section begins.
func lineOf(root *yaml.Node, s Section, index int) int {
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value != string(s) {
			continue
		}
		items := root.Content[i+1]
		if items.Kind == yaml.MappingNode {
			index *= 2
		}
		if index < len(items.Content) {
			return items.Content[index].Line
		}
		return items.Line
	}
	return root.Line
}

var (
	unknownField = regexp.MustCompile(`(?s)field (.*) not found in type \S+$`)
	wrongKind    = regexp.MustCompile(`(?s)cannot unmarshal !.* into (\S+)$`)
)

// yamlError says what is wrong in the file's words and not in the program's.
func yamlError(err error) error {
	var wrong *yaml.TypeError
	if !errors.As(err, &wrong) {
		return fmt.Errorf("not YAML: %s", oneLine(strings.TrimPrefix(err.Error(), "yaml: ")))
	}
	var all []error
	for _, text := range wrong.Errors {
		if m := unknownField.FindStringSubmatchIndex(text); m != nil {
			text = text[:m[0]] + fmt.Sprintf("there is no field %.80q here", text[m[2]:m[3]])
		}
		if m := wrongKind.FindStringSubmatchIndex(text); m != nil {
			want := "fields, as NAME: VALUE"
			if strings.HasPrefix(text[m[2]:m[3]], "[]") {
				want = "a list"
			}
			text = text[:m[0]] + "want " + want + " here"
		}
		all = append(all, errors.New(oneLine(text)))
	}
	return errors.Join(all[:min(len(all), maxErrors)]...)
}

// oneLine takes out what the file's own text brings into a message about it.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, text)
}
