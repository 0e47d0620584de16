package inventory

import (
	"errors"
	"fmt"
	"strings"
)

// ReadAnsibleINI reads an inventory in Ansible's INI format: hosts with ranges and
// variables, [group], [group:children] and [group:vars]. The problems are of
// lines that were left out; those of a host are its own. The error is of a file
// that can't be read at all.
func ReadAnsibleINI(data []byte) (targets []Target, problems []string, err error) {
	if len(data) > MaxSize {
		return nil, nil, tooLarge("inventory", len(data))
	}
	r := iniReader{ansible: newAnsible(), section: groupUngrouped, kind: iniHosts}
	line := 0
	for text := range strings.SplitSeq(string(data), "\n") {
		line++
		text = strings.TrimSpace(text)
		if text == "" || text[0] == '#' || text[0] == ';' {
			continue
		}
		r.at = line
		if err := r.line(text); errors.Is(err, errTooMany) {
			return nil, nil, err
		} else if err != nil {
			r.problem(line, "%v", err)
		}
	}
	return r.targets()
}

type iniKind string

const (
	iniHosts    iniKind = ""
	iniChildren iniKind = "children"
	iniVars     iniKind = "vars"
	iniUnknown  iniKind = "unknown" // lines of it are left out
)

type iniReader struct {
	*ansible
	section string
	kind    iniKind
}

func (r *iniReader) line(text string) error {
	if text[0] == '[' {
		if ok, err := r.header(text); ok || err != nil {
			return err
		}
	}
	if r.kind == iniUnknown {
		return nil
	}
	g, err := r.group(r.section)
	if err != nil {
		return err
	}
	switch r.kind {
	case iniVars:
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return fmt.Errorf("%.80q: want NAME=VALUE", text)
		}
		setVar(g.vars, strings.TrimSpace(name), unquote(strings.TrimSpace(value)))
		return nil
	case iniChildren:
		child, _, _ := strings.Cut(text, "#")
		child = strings.TrimSpace(child)
		if child == "" || strings.ContainsAny(child, " \t:]") {
			return fmt.Errorf("%.80q: want a group's name", text)
		}
		return r.addChild(g, child)
	}
	return r.hostLine(g, text)
}

// header reads [GROUP] and [GROUP:KIND]. A line that only begins like one is a
// host's: [2001:db8::5]:22, or a range.
func (r *iniReader) header(text string) (bool, error) {
	inside, after, ok := strings.Cut(text[1:], "]")
	after = strings.TrimSpace(after)
	if !ok || after != "" && after[0] != '#' || strings.ContainsAny(inside, " \t") {
		return false, nil
	}
	name, kind, _ := strings.Cut(inside, ":")
	if name == "" || strings.Contains(kind, ":") {
		return false, nil
	}
	r.section, r.kind = name, iniKind(kind)
	switch r.kind {
	case iniHosts, iniChildren, iniVars:
		_, err := r.group(name)
		return true, err
	}
	r.kind = iniUnknown
	return true, fmt.Errorf("section %.80q: want [GROUP], [GROUP:children] or [GROUP:vars]; its lines are left out", inside)
}

func (r *iniReader) hostLine(g *group, text string) error {
	words, err := splitWords(text)
	if err != nil || len(words) == 0 {
		return err
	}
	host, port := splitPort(words[0])
	names := []string{host}
	if !isAddress(host) {
		if names, err = expand(host); err != nil {
			return err
		}
	}
	vars := map[string]string{}
	if port != "" {
		vars["ansible_port"] = port
	}
	for _, w := range words[1:] {
		name, value, ok := strings.Cut(w, "=")
		if !ok {
			return fmt.Errorf("%.80q: want NAME=VALUE behind a host", w)
		}
		setVar(vars, name, unquote(value))
	}
	for _, name := range names {
		if err := r.addHost(g, name, vars); err != nil {
			return err
		}
	}
	return nil
}

// splitWords splits as a POSIX shell does with comments, and as ansible does.
func splitWords(s string) ([]string, error) {
	var words []string
	var word strings.Builder
	var quote byte
	begun := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote == 0 && (c == ' ' || c == '\t'):
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
			continue
		case quote == 0 && c == '#':
			i = len(s)
			continue
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\' && quote != '\'' && i+1 < len(s) && (quote == 0 || s[i+1] == '"' || s[i+1] == '\\'):
			i++
			word.WriteByte(s[i])
		default:
			word.WriteByte(c)
		}
		begun = true
	}
	if quote != 0 {
		return nil, errors.New("a quotation has no end")
	}
	if begun {
		words = append(words, word.String())
	}
	return words, nil
}

// unquote takes off the quotes that ansible reads as those of a string.
func unquote(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] && strings.Count(s, s[:1]) == 2 {
		return s[1 : len(s)-1]
	}
	return s
}
