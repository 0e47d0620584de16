package docs_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

var (
	rowStart = regexp.MustCompile(`^\| (S\d+) \|`)
	// A test may hold several requirements: TestS10S41R17RestoreDrill.
	numbered   = regexp.MustCompile(`^(?:Test|Fuzz)((?:[SR]\d+)+)`)
	number     = regexp.MustCompile(`S\d+`)
	scriptLine = regexp.MustCompile(`(?m)^# (S\d+)\b`)
)

// A holder is what shows that a requirement holds: a test in its file, or a
// testscript, whose name is then empty.
type holder struct {
	path, name string // path from the top of the tree
}

func (h holder) String() string { return strings.TrimSuffix(h.path+" "+h.name, " ") }

type holders map[holder]bool

// inTree returns the tests and scripts that carry each number, and all tests.
func inTree(t *testing.T) (carrying map[string]holders, tests holders) {
	t.Helper()
	carrying, tests = map[string]holders{}, holders{}
	carry := func(id string, h holder) {
		if carrying[id] == nil {
			carrying[id] = holders{}
		}
		carrying[id][h] = true
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != root && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		case strings.HasSuffix(rel, "_test.go"):
			for _, name := range testsIn(t, path) {
				tests[holder{rel, name}] = true
				if m := numbered.FindStringSubmatch(name); m != nil {
					for _, id := range number.FindAllString(m[1], -1) {
						carry(id, holder{rel, name})
					}
				}
			}
		case strings.HasSuffix(rel, ".txtar") && strings.HasSuffix(filepath.ToSlash(filepath.Dir(rel)), "testdata/script"):
			script, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range scriptLine.FindAllSubmatch(script, -1) {
				carry(string(m[1]), holder{path: rel})
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return carrying, tests
}

// testsIn returns the tests and fuzz targets of a file, whatever system it is
// for.
func testsIn(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if ok && f.Recv == nil && (strings.HasPrefix(f.Name.Name, "Test") || strings.HasPrefix(f.Name.Name, "Fuzz")) {
			names = append(names, f.Name.Name)
		}
	}
	return names
}

// A row is a requirement's line of threat-model.md.
type row struct {
	number int
	shown  holders
}

// threatModel returns the rows, and everything that is linked to anywhere.
func threatModel(t *testing.T) (map[string]row, page) {
	t.Helper()
	p := read(t, filepath.Join(root, "docs", "threat-model.md"))
	rows, at := map[string]row{}, map[int]string{}
	for _, l := range p.lines {
		m := rowStart.FindStringSubmatch(l.text)
		if m == nil || l.code {
			continue
		}
		if _, twice := rows[m[1]]; twice {
			t.Errorf("threat-model.md:%d: a second row for %s", l.number, m[1])
		}
		rows[m[1]], at[l.number] = row{l.number, holders{}}, m[1]
	}
	for _, l := range p.links() {
		if h, ok := p.holder(l); ok && at[l.number] != "" {
			rows[at[l.number]].shown[h] = true
		}
	}
	return rows, p
}

// holder returns the test or script that a link is meant for.
func (p page) holder(l reference) (holder, bool) {
	path, _, inside := p.resolve(l.target)
	rel, err := filepath.Rel(root, path)
	if !inside || err != nil {
		return holder{}, false
	}
	rel = filepath.ToSlash(rel)
	name := strings.Trim(l.text, "`")
	switch {
	case strings.HasSuffix(rel, ".txtar"):
		return holder{path: rel}, true
	case strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Fuzz"):
		return holder{rel, name}, true
	}
	return holder{}, false
}

// What the page names is there: tests, scripts with a line for the requirement,
// and the code that holds it.
func TestThreatModelNamesWhatIsThere(t *testing.T) {
	carrying, tests := inTree(t)
	rows, p := threatModel(t)
	for id, r := range rows {
		for h := range r.shown {
			if h.name == "" && !carrying[id][h] {
				t.Errorf("threat-model.md:%d: %s has no line `# %s`", r.number, h, id)
			}
		}
	}
	named := 0
	for _, l := range p.links() {
		name := strings.Trim(l.text, "`")
		if h, ok := p.holder(l); ok && h.name != "" {
			named++
			if !tests[h] {
				t.Errorf("threat-model.md:%d: %s does not declare %s", l.number, h.path, h.name)
			}
		} else if path, _, inside := p.resolve(l.target); !ok && inside && filepath.Ext(path) == ".go" && filepath.Base(path) != name {
			if !declared(t, path)[name] {
				t.Errorf("threat-model.md:%d: %s does not declare %s", l.number, path, name)
			}
		}
	}
	if named < 100 {
		t.Errorf("only %d tests are named", named)
	}
}

// Every test and script that carries a number stands in that number's row.
func TestThreatModelNamesEveryTest(t *testing.T) {
	carrying, _ := inTree(t)
	rows, _ := threatModel(t)
	for id, all := range carrying {
		r, ok := rows[id]
		if !ok {
			t.Errorf("threat-model.md has no row for %s", id)
		}
		for h := range all {
			if !r.shown[h] {
				t.Errorf("threat-model.md: %s is not in the row of %s", h, id)
			}
		}
	}
}

// What is said to be held is shown by something that carries its number.
func TestThreatModelIsWhole(t *testing.T) {
	carrying, _ := inTree(t)
	rows, _ := threatModel(t)
	var want []string
	for _, span := range [][2]int{{1, 12}, {30, 35}, {38, 41}} {
		for n := span[0]; n <= span[1]; n++ {
			want = append(want, "S"+strconv.Itoa(n))
		}
	}
	for _, id := range want {
		if _, ok := rows[id]; !ok {
			t.Errorf("threat-model.md has no row for %s", id)
		}
	}
	for id, r := range rows {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(r.shown)), func(h holder) bool { return carrying[id][h] }) {
			t.Errorf("threat-model.md:%d: nothing in the row of %s carries its number", r.number, id)
		}
	}
}

// TestS31CryptoIsRecent: x/crypto is the one that was looked at, or a later one.
// Whether that one has holes is for a database to say that this test has not.
func TestS31CryptoIsRecent(t *testing.T) {
	const crypto, least = "golang.org/x/crypto", "v0.58.0"
	path := filepath.Join(root, "go.mod")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := cryptoIsRecent(data, crypto, least); err != nil {
		t.Error(err)
	}
	for name, change := range map[string][2]string{
		"older":    {crypto + " v", crypto + " v0.57.9 // v"},
		"absent":   {crypto + " v", "example.com/crypto v"},
		"replaced": {"\nrequire (", "\nreplace " + crypto + " => example.com/crypto v1.0.0\n\nrequire ("},
	} {
		spoiled := bytes.Replace(data, []byte(change[0]), []byte(change[1]), 1)
		if cryptoIsRecent(spoiled, crypto, least) == nil {
			t.Errorf("%s: not noticed", name)
		}
	}
}

func cryptoIsRecent(gomod []byte, crypto, least string) error {
	f, err := modfile.Parse("go.mod", gomod, nil)
	if err != nil {
		return err
	}
	for _, r := range f.Replace {
		if r.Old.Path == crypto {
			return fmt.Errorf("%s is replaced by %s", crypto, r.New)
		}
	}
	for _, r := range f.Require {
		if r.Mod.Path == crypto && semver.Compare(r.Mod.Version, least) >= 0 {
			return nil
		}
	}
	return fmt.Errorf("want %s %s or later", crypto, least)
}
