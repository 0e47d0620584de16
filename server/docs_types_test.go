package server_test

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// routeTypes reads behind each route of the table what it takes and answers, by the
// route's pattern: "ConfirmRequest → ConfirmResponse". It holds that to what its
// handler really takes and answers.
func routeTypes(t *testing.T) map[string]string {
	t.Helper()
	handled := handlerTypes(t)
	types := map[string]string{}
	file := parsed(t, filepath.Join("api", "route.go"))
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || v.Comment == nil || len(v.Values) != 1 {
			return true
		}
		route, ok := v.Values[0].(*ast.CompositeLit)
		if !ok || len(route.Elts) != 4 {
			return true
		}
		text := strings.TrimSpace(v.Comment.Text())
		said, _, _ := strings.Cut(text, ";")
		if name := v.Names[0].Name; handled[name] != "" && handled[name] != strings.TrimSpace(said) {
			t.Errorf("%s: the table says %q, its handler %q", name, said, handled[name])
		}
		types[literal(t, route.Elts[0])+" "+literal(t, route.Elts[1])] = text
		return true
	})
	return types
}

func literal(t *testing.T, e ast.Expr) string {
	t.Helper()
	s, err := strconv.Unquote(e.(*ast.BasicLit).Value)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func parsed(t *testing.T, path string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// handlerTypes reads the handlers of the API's routes, by the route's name.
func handlerTypes(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	methods, signatures := map[string]string{}, map[string]string{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		ast.Inspect(parsed(t, path), func(n ast.Node) bool {
			switch v := n.(type) {
			case *ast.CallExpr: // on(n, api.RouteStatus, n.status)
				if name, ok := v.Fun.(*ast.Ident); ok && name.Name == "on" && len(v.Args) == 3 {
					if route, ok := v.Args[1].(*ast.SelectorExpr); ok { // the socket's routes are no part of the table
						methods[route.Sel.Name] = v.Args[2].(*ast.SelectorExpr).Sel.Name
					}
				}
			case *ast.FuncDecl:
				if p, r := v.Type.Params, v.Type.Results; v.Recv != nil && p.NumFields() == 3 && r.NumFields() == 2 {
					signatures[v.Name.Name] = strings.TrimSpace(strings.TrimPrefix(
						typeText(t, p.List[len(p.List)-1].Type)+" → "+typeText(t, r.List[0].Type), "Empty"))
				}
			}
			return true
		})
	}
	types := map[string]string{}
	for route, method := range methods {
		if types[route] = signatures[method]; types[route] == "" {
			t.Errorf("the handler of %s was not found", route)
		}
	}
	if len(types) < 40 {
		t.Fatalf("only %d handlers were read", len(types))
	}
	return types
}

func typeText(t *testing.T, e ast.Expr) string {
	t.Helper()
	var b bytes.Buffer
	if err := format.Node(&b, token.NewFileSet(), e); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(b.String(), "api.", "")
}
