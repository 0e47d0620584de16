package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// declared returns what a Go file declares: names, and members of types as
// "Type.Member", be they methods, fields or methods of an interface.
func declared(t *testing.T, path string) map[string]bool {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				name = receiver(d.Recv.List[0].Type) + "." + name
			}
			names[name] = true
		case *ast.GenDecl:
			for _, s := range d.Specs {
				addSpec(names, s)
			}
		}
	}
	return names
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

func addSpec(names map[string]bool, s ast.Spec) {
	switch s := s.(type) {
	case *ast.ValueSpec:
		for _, n := range s.Names {
			names[n.Name] = true
		}
	case *ast.TypeSpec:
		names[s.Name.Name] = true
		var members *ast.FieldList
		switch x := s.Type.(type) {
		case *ast.StructType:
			members = x.Fields
		case *ast.InterfaceType:
			members = x.Methods
		default:
			return
		}
		for _, m := range members.List {
			for _, n := range m.Names {
				names[s.Name.Name+"."+n.Name] = true
			}
		}
	}
}

// packages returns the directories that hold Go code beside tests, relative to
// the top of the tree.
func packages(t *testing.T) []string {
	t.Helper()
	var dirs []string
	for _, path := range files(t, ".go") {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, filepath.ToSlash(rel))
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// byPackage returns what each package declares, under the last part of its path.
func byPackage(t *testing.T) map[string]map[string]bool {
	t.Helper()
	all := map[string]map[string]bool{}
	for _, dir := range packages(t) {
		name := filepath.Base(dir)
		if all[name] != nil {
			t.Fatalf("two packages are called %s", name)
		}
		all[name] = map[string]bool{}
		files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			for n := range declared(t, f) {
				all[name][n] = true
			}
		}
	}
	return all
}

var (
	identifier = regexp.MustCompile(`^[A-Za-z_]\w*(\.[A-Za-z_]\w*)?$`)
	qualified  = regexp.MustCompile(`^([a-z]\w*)\.([A-Z]\w*(?:\.\w+)?)$`)
)

// A function that architecture.md links to is declared in the file behind the
// link, and a package is the directory of its name.
func TestArchitectureLinksAreRight(t *testing.T) {
	p := read(t, filepath.Join(root, "docs", "architecture.md"))
	functions := 0
	for _, l := range p.links() {
		name, ok := strings.CutPrefix(l.text, "`")
		name = strings.TrimSuffix(name, "`")
		path, _, inside := p.resolve(l.target)
		if !ok || !inside {
			continue
		}
		switch {
		case strings.HasSuffix(path, ".go") && identifier.MatchString(name):
			functions++
			if _, err := os.Stat(path); err != nil {
				t.Errorf("architecture.md:%d: `%s`: %v", l.number, name, err)
			} else if !declared(t, path)[name] {
				t.Errorf("architecture.md:%d: %s does not declare %s", l.number, path, name)
			}
		case filepath.ToSlash(path) != root+"/"+name:
			t.Errorf("architecture.md:%d: `%s` leads to %s", l.number, name, l.target)
		}
	}
	if functions < 50 {
		t.Errorf("only %d functions found", functions)
	}
}

// What stands in code spans without a link exists as well: paths of the tree,
// and exported names behind the name of their package.
func TestArchitectureNamesWhatIsThere(t *testing.T) {
	p := read(t, filepath.Join(root, "docs", "architecture.md"))
	names := byPackage(t)
	top := map[string]bool{}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		top[e.Name()] = true
	}
	for _, s := range p.spans() {
		first, _, deep := strings.Cut(s.text, "/")
		if strings.HasSuffix(s.text, ".go") || deep && top[first] {
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(s.text))); err != nil {
				t.Errorf("architecture.md:%d: `%s`: there is no such path", s.number, s.text)
			}
		}
		if m := qualified.FindStringSubmatch(s.text); m != nil && !names[m[1]][m[2]] {
			t.Errorf("architecture.md:%d: `%s`: there is no such name", s.number, s.text)
		}
	}
	// The diagrams, too.
	for _, l := range p.lines {
		if !l.code {
			continue
		}
		for word := range strings.FieldsSeq(l.text) {
			if m := qualified.FindStringSubmatch(word); m != nil && !names[m[1]][m[2]] {
				t.Errorf("architecture.md:%d: %s: there is no such name", l.number, word)
			}
		}
	}
}

// Every package has its row in the table of layers, and every row its package.
func TestArchitectureHasEveryPackage(t *testing.T) {
	listed := map[string]bool{}
	for _, l := range read(t, filepath.Join(root, "docs", "architecture.md")).links() {
		if name := strings.Trim(l.text, "`"); l.target == "../"+name {
			listed[name] = true
		}
	}
	for _, dir := range packages(t) {
		if !listed[dir] {
			t.Errorf("architecture.md: %s is in no layer", dir)
		}
	}
}
