package sshconfig

import (
	"bytes"
	"path/filepath"
	"strings"
)

var byteOrderMark = []byte("\xef\xbb\xbf")

// includeArg is the path that the Include line of dir names.
func includeArg(dir string) string {
	return filepath.ToSlash(filepath.Join(dir, ConfigFile))
}

// withInclude returns content with one Include of arg before everything that
// ssh acts on: ssh takes the first value of a setting, and an Include below a
// Host line would hold for that host alone. Other bytes stay as they are.
func withInclude(content []byte, arg string) []byte {
	if includeInPlace(content, arg) {
		return content
	}
	ending := "\n"
	if i := bytes.IndexByte(content, '\n'); i > 0 && content[i-1] == '\r' {
		ending = "\r\n"
	}
	rest := withoutInclude(content, arg)
	var b bytes.Buffer
	if after, found := bytes.CutPrefix(rest, byteOrderMark); found {
		b.Write(byteOrderMark)
		rest = after
	}
	b.WriteString(`Include "` + arg + `"` + ending)
	b.Write(rest)
	return b.Bytes()
}

// withoutInclude returns content without the lines that are an Include of arg
// and nothing else.
func withoutInclude(content []byte, arg string) []byte {
	mark := []byte{}
	if after, found := bytes.CutPrefix(content, byteOrderMark); found {
		mark, content = byteOrderMark, after
	}
	out := append(make([]byte, 0, len(content)+len(mark)), mark...)
	for line := range bytes.Lines(content) {
		if !isInclude(line, arg) {
			out = append(out, line...)
		}
	}
	return out
}

// includeInPlace says that the first line ssh acts on is the Include of arg,
// and that there is no second one.
func includeInPlace(content []byte, arg string) bool {
	content, _ = bytes.CutPrefix(content, byteOrderMark)
	first, count := false, 0
	seen := false
	for line := range bytes.Lines(content) {
		text := bytes.TrimSpace(line)
		if isInclude(line, arg) {
			count++
			first = first || !seen
		}
		seen = seen || len(text) > 0 && text[0] != '#'
	}
	return first && count == 1
}

// isInclude reads a line the way ssh_config(5) does: a keyword in any case,
// then blanks or one "=", then the argument, with or without double quotes.
func isInclude(line []byte, arg string) bool {
	text := strings.TrimSpace(string(line))
	const keyword = "include"
	if len(text) <= len(keyword) || !strings.EqualFold(text[:len(keyword)], keyword) {
		return false
	}
	value := strings.TrimLeft(text[len(keyword):], " \t=")
	if len(value) == len(text)-len(keyword) && value[0] != '"' {
		return false
	}
	return value == arg || value == `"`+arg+`"`
}
