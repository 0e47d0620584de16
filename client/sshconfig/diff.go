package sshconfig

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// contextLines is how much a unified diff shows around a change.
const contextLines = 3

// Diff returns all changes as unified diffs, one hunk a file. It is safe to
// print: whatever a terminal would act on is written as an escape.
func (p Plan) Diff() string {
	var b strings.Builder
	for _, change := range p.Changes {
		change.writeDiff(&b)
	}
	return b.String()
}

func (c Change) writeDiff(b *strings.Builder) {
	from, to := lines(c.Old), lines(c.New)
	head := 0
	for head < len(from) && head < len(to) && from[head] == to[head] {
		head++
	}
	tail := 0
	for tail < len(from)-head && tail < len(to)-head && from[len(from)-1-tail] == to[len(to)-1-tail] {
		tail++
	}
	start := max(0, head-contextLines)
	more := min(tail, contextLines)
	fromEnd, toEnd := len(from)-tail, len(to)-tail
	fmt.Fprintf(b, "--- %s\n+++ %s\n", fileName(c.Path, c.Old), fileName(c.Path, c.New))
	fmt.Fprintf(b, "@@ -%s +%s @@\n", span(start, fromEnd+more), span(start, toEnd+more))
	writeLines(b, ' ', from[start:head])
	writeLines(b, '-', from[head:fromEnd])
	writeLines(b, '+', to[head:toEnd])
	writeLines(b, ' ', from[fromEnd:fromEnd+more])
}

// span is a range of lines as a hunk's header counts them: from 1, and from
// the line before when there are none.
func span(start, end int) string {
	if start == end {
		return fmt.Sprintf("%d,0", start)
	}
	return fmt.Sprintf("%d,%d", start+1, end-start)
}

func writeLines(b *strings.Builder, sign byte, all []string) {
	for _, line := range all {
		text, ended := strings.CutSuffix(line, "\n")
		b.WriteByte(sign)
		b.WriteString(visible(strings.TrimSuffix(text, "\r")))
		b.WriteByte('\n')
		if !ended {
			b.WriteString("\\ No newline at end of file\n")
		}
	}
}

func fileName(path string, content []byte) string {
	if content == nil {
		return "/dev/null"
	}
	return visible(path)
}

func lines(content []byte) []string {
	var all []string
	for line := range bytes.Lines(content) {
		all = append(all, string(line))
	}
	return all
}

// visible writes whatever is not printable, apart from a tab, as an escape.
func visible(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\t' || unicode.IsPrint(r):
			b.WriteString(s[i : i+size])
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
		i += size
	}
	return b.String()
}
