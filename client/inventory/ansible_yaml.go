package inventory

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// inVault stands for a value that is encrypted. No value of a file can be it.
const inVault = "\x00vault"

// maxNodes bounds how much of a YAML file is walked, aliases written out.
const maxNodes = 2_000_000

// ReadAnsibleYAML reads an inventory in Ansible's YAML format, or what
// `ansible-inventory --list` prints of any inventory, dynamic ones included, which
// is the surest way to what Ansible itself makes of one. Aliases and merge keys
// are followed, up to a bound.
func ReadAnsibleYAML(data []byte) (targets []Target, problems []string, err error) {
	if len(data) > MaxSize {
		return nil, nil, tooLarge("inventory", len(data))
	}
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil, errors.New("the inventory is empty")
	} else if err != nil {
		return nil, nil, fmt.Errorf("inventory is not YAML: %s", oneLine(err.Error()))
	}
	r := yamlReader{ansible: newAnsible(), left: maxNodes}
	root, err := r.pairs(doc.Content[0])
	if err != nil {
		return nil, nil, err
	}
	for _, p := range root {
		if p.key == "_meta" {
			if err := r.list(root); err != nil {
				return nil, nil, err
			}
			return r.targets()
		}
	}
	for _, p := range root {
		if err := r.readGroup(p.key, p.value, 0); err != nil {
			return nil, nil, err
		}
	}
	return r.targets()
}

type yamlReader struct {
	*ansible
	left int // nodes that may still be walked
}

type pair struct {
	key   string
	value *yaml.Node
	line  int // of the key
}

var errTooLong = errors.New("inventory is too large once its aliases are written out")

// pairs returns a mapping's keys and values, aliases followed and merge keys
// written out: what the mapping has itself wins. Nothing at all is no pairs.
func (r *yamlReader) pairs(n *yaml.Node) ([]pair, error) {
	n = follow(n)
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil, nil
	}
	if n.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: want a mapping here, as NAME: …", n.Line)
	}
	return r.merged(n, 0)
}

func (r *yamlReader) merged(n *yaml.Node, depth int) ([]pair, error) {
	if depth > 20 {
		return nil, fmt.Errorf("line %d: merge keys are more than 20 deep", n.Line)
	}
	var own, merged []pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		if r.left--; r.left < 0 {
			return nil, errTooLong
		}
		key, value := follow(n.Content[i]), n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("line %d: want a text as a key", key.Line)
		}
		if key.Tag != "!!merge" {
			own = append(own, pair{key.Value, value, key.Line})
			continue
		}
		sources := []*yaml.Node{value}
		if v := follow(value); v.Kind == yaml.SequenceNode {
			sources = v.Content
		}
		if r.left -= len(sources); r.left < 0 {
			return nil, errTooLong
		}
		for _, s := range sources {
			if s = follow(s); s.Kind != yaml.MappingNode {
				return nil, fmt.Errorf("line %d: want a mapping to merge", s.Line)
			}
			more, err := r.merged(s, depth+1)
			if err != nil {
				return nil, err
			}
			merged = append(merged, more...)
		}
	}
	seen := map[string]bool{}
	var all []pair
	for _, p := range append(own, merged...) {
		if !seen[p.key] {
			all = append(all, p)
		}
		seen[p.key] = true
	}
	return all, nil
}

// follow returns what an alias stands for. YAML's parser has refused those that
// stand for nothing.
func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// readGroup reads a group's hosts, vars and children.
func (r *yamlReader) readGroup(name string, n *yaml.Node, depth int) error {
	if depth > 100 {
		return fmt.Errorf("line %d: groups are more than 100 deep", n.Line)
	}
	g, err := r.group(name)
	if err != nil {
		return err
	}
	parts, err := r.pairs(n)
	if err != nil {
		return err
	}
	for _, part := range parts {
		switch part.key {
		case "hosts", "vars", "children":
		default:
			r.problem(part.value.Line, "%.80q of group %.80q: want hosts, vars or children", part.key, name)
			continue
		}
		items, err := r.named(part.value)
		if err != nil {
			return err
		}
		for _, item := range items {
			switch part.key {
			case "hosts":
				err = r.host(g, item)
			case "vars":
				setVar(g.vars, item.key, value(item.value))
			case "children":
				if err = r.addChild(g, item.key); err == nil {
					err = r.readGroup(item.key, item.value, depth+1)
				}
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// named reads a mapping from names, or one name alone.
func (r *yamlReader) named(n *yaml.Node) ([]pair, error) {
	if f := follow(n); f.Kind == yaml.ScalarNode && f.Tag == "!!str" && f.Value != "" {
		return []pair{{f.Value, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: f.Line}, f.Line}}, nil
	}
	return r.pairs(n)
}

func (r *yamlReader) host(g *group, item pair) error {
	r.at = item.line
	host, port := splitPort(item.key)
	names := []string{host}
	if !isAddress(host) {
		var err error
		if names, err = expand(host); errors.Is(err, errTooMany) {
			return err
		} else if err != nil {
			r.problem(item.value.Line, "%v", err)
			return nil
		}
	}
	vars := map[string]string{}
	if port != "" {
		vars["ansible_port"] = port
	}
	all, err := r.pairs(item.value)
	if err != nil {
		return err
	}
	for _, v := range all {
		setVar(vars, v.key, value(v.value))
	}
	for _, name := range names {
		if r.left--; r.left < 0 {
			return errTooLong
		}
		if err := r.addHost(g, name, vars); err != nil {
			return err
		}
	}
	return nil
}

// value returns a variable's text.
func value(n *yaml.Node) string {
	n = follow(n)
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "!vault", n.Kind == yaml.MappingNode && len(n.Content) > 0 && strings.HasPrefix(n.Content[0].Value, "__ansible_vault"):
		return inVault
	case n.Kind == yaml.ScalarNode && n.Tag != "!!null":
		return strings.ReplaceAll(n.Value, "\x00", " ")
	}
	return ""
}

// list reads what ansible-inventory prints: each group's hosts and children by
// name, and every host's variables, its groups' among them.
func (r *yamlReader) list(root []pair) error {
	for _, p := range root {
		if p.key == "_meta" {
			continue
		}
		g, err := r.group(p.key)
		if err != nil {
			return err
		}
		parts, err := r.pairs(p.value)
		if err != nil {
			return err
		}
		for _, part := range parts {
			for _, name := range follow(part.value).Content {
				r.at = follow(name).Line
				if part.key == "hosts" {
					err = r.addHost(g, follow(name).Value, nil)
				}
				if part.key == "children" {
					err = r.addChild(g, follow(name).Value)
				}
				if err != nil {
					return err
				}
			}
		}
	}
	return r.meta(root)
}

// meta reads the variables of the hosts that are in a group.
func (r *yamlReader) meta(root []pair) error {
	for _, p := range root {
		if p.key != "_meta" {
			continue
		}
		parts, err := r.pairs(p.value)
		if err != nil {
			return err
		}
		for _, part := range parts {
			if part.key != "hostvars" {
				continue
			}
			hosts, err := r.pairs(part.value)
			if err != nil {
				return err
			}
			for _, h := range hosts {
				vars, err := r.pairs(h.value)
				if err != nil {
					return err
				}
				for _, v := range vars {
					if own, ok := r.hostVars[h.key]; ok {
						setVar(own, v.key, value(v.value))
					}
				}
			}
		}
	}
	return nil
}
