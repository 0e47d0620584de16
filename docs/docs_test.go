// Package docs_test holds the documentation to the tree: that links lead
// somewhere, that what architecture.md names is where it says, and that every
// command in the documentation is one that the programs have.
//
// It reads sources and starts nothing. What a sentence claims about the code it
// cannot check.
package docs_test

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// root is the top of the tree, as seen from this package.
const root = ".."

// A page is a Markdown file. Its path is relative to the top of the tree.
type page struct {
	path  string
	lines []line
}

// A line knows whether it stands in a fenced code block.
type line struct {
	number int
	text   string
	code   bool
}

// files returns what in the tree has a name that ends so, as paths seen from
// here. What git does not track by convention is left out.
func files(t *testing.T, ending string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" || name == "dist") {
			return fs.SkipDir
		}
		if strings.HasSuffix(name, ending) {
			found = append(found, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// pages returns the documentation, without templates, whose links are not meant.
func pages(t *testing.T) []page {
	t.Helper()
	var found []page
	for _, path := range files(t, ".md") {
		if filepath.Base(path) != "template.md" {
			found = append(found, read(t, path))
		}
	}
	if len(found) < 10 {
		t.Fatalf("only %d pages found", len(found))
	}
	return found
}

func read(t *testing.T, path string) page {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p := page{path: filepath.ToSlash(strings.TrimPrefix(path, root+string(filepath.Separator)))}
	fenced := false
	for i, text := range strings.Split(string(data), "\n") {
		fence := strings.HasPrefix(strings.TrimSpace(text), "```")
		p.lines = append(p.lines, line{number: i + 1, text: text, code: fenced && !fence})
		fenced = fenced != fence
	}
	if fenced {
		t.Errorf("%s: a code block has no end", p.path)
	}
	return p
}

var (
	link = regexp.MustCompile(`\[([^\][]*)\]\(([^()\s]+)\)`)
	span = regexp.MustCompile("`([^`]+)`")
)

// A reference is a link, or a code span, on a line of prose.
type reference struct {
	text, target string
	number       int
}

func (p page) links() []reference {
	var found []reference
	for _, l := range p.lines {
		if l.code {
			continue
		}
		for _, m := range link.FindAllStringSubmatch(l.text, -1) {
			found = append(found, reference{text: m[1], target: m[2], number: l.number})
		}
	}
	return found
}

// spans returns the code spans that are not the text of a link.
func (p page) spans() []reference {
	var found []reference
	for _, l := range p.lines {
		if l.code {
			continue
		}
		for _, m := range span.FindAllStringSubmatch(link.ReplaceAllString(l.text, ""), -1) {
			found = append(found, reference{text: m[1], number: l.number})
		}
	}
	return found
}

// resolve returns the path of a link's target, as seen from here, and its
// heading. Links that leave the tree are not looked at.
func (p page) resolve(target string) (path, heading string, inside bool) {
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "" || u.Host != "" {
		return "", "", false
	}
	path = filepath.Join(root, filepath.FromSlash(p.path))
	if u.Path != "" {
		path = filepath.Join(filepath.Dir(path), filepath.FromSlash(u.Path))
	}
	return path, u.Fragment, true
}

func TestLinksResolve(t *testing.T) {
	checked := 0
	for _, p := range pages(t) {
		for _, l := range p.links() {
			path, heading, inside := p.resolve(l.target)
			if !inside {
				continue
			}
			checked++
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s:%d: [%s](%s): there is no such file", p.path, l.number, l.text, l.target)
				continue
			}
			if heading != "" && !slices.Contains(headings(read(t, path)), heading) {
				t.Errorf("%s:%d: [%s](%s): there is no such heading", p.path, l.number, l.text, l.target)
			}
		}
	}
	if checked < 100 {
		t.Errorf("only %d links found", checked)
	}
}

// headings returns the anchors that GitHub gives a page's headings: lower case,
// spaces as hyphens, no punctuation.
func headings(p page) []string {
	var found []string
	for _, l := range p.lines {
		text := strings.TrimLeft(l.text, "#")
		if l.code || text == l.text || !strings.HasPrefix(text, " ") {
			continue
		}
		found = append(found, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(text)))
	}
	return found
}
