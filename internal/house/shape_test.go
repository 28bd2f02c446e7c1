package house

import (
	"errors"
	"go/ast"
	"go/importer"
	"go/token"
	"go/types"
	"path"
	"slices"
	"strings"
	"testing"
)

// Limits of size of what is neither a test nor generated: all lines of a file,
// and lines of code (without blank lines and comments) of a package.
const (
	maxFile    = 600
	maxPackage = 4000
)

// drawers are names that say what a package is for others and not what it
// knows. Source: house rule 2 in docs/decisions/0001-record-decisions.md.
func drawers() []string {
	return []string{
		"base", "common", "commons", "core", "helper", "helpers", "lib", "libs", "misc", "model", "models", "pkg",
		"shared", "stuff", "tool", "tools", "type", "types", "util", "utils",
	}
}

// TestShape holds the rules that need no types: names, sizes, documentation,
// and that nothing runs on import.
func TestShape(t *testing.T) {
	set, all := sources(t)
	documented := map[string]bool{}
	size := map[string]int{}
	for _, s := range all {
		if base := path.Base(s.dir); slices.Contains(drawers(), base) || slices.Contains(drawers(), s.file.Name.Name) {
			t.Errorf("%s: package %s is named for being useful to others, not for what it knows", s.name, base)
		}
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: init() runs behind the reader's back; call it by name", set.Position(f.Pos()))
			}
		}
		if s.test {
			continue
		}
		if !s.generated {
			size[s.dir] += s.code
			if s.lines > maxFile {
				t.Errorf("%s: %d lines, at most %d", s.name, s.lines, maxFile)
			}
		}
		want := "Package " + s.file.Name.Name + " "
		if s.file.Name.Name == "main" {
			want = "Command "
		}
		if doc := s.file.Doc.Text(); doc != "" {
			if !strings.HasPrefix(doc, want) && !strings.HasPrefix(doc, "Weir ") {
				t.Errorf("%s: the package comment must begin with %q", s.name, want)
			}
			documented[s.dir] = true
		} else if !documented[s.dir] {
			documented[s.dir] = false
		}
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s: the package has no doc comment", dir)
		}
	}
	for dir, n := range size {
		if n > maxPackage {
			t.Errorf("%s: %d lines of code, at most %d in a package", dir, n, maxPackage)
		}
	}
}

// blank imports every package as an empty one: the checker then still resolves
// what belongs to the package itself, which is all that TestNoGlobals needs.
type blank struct{}

func (blank) Import(p string) (*types.Package, error) {
	if p == "unsafe" {
		return importer.Default().Import(p)
	}
	pkg := types.NewPackage(p, path.Base(p))
	pkg.MarkComplete()
	return pkg, nil
}

// TestNoGlobals finds package-level state: variables of a synchronising type,
// and variables that anything writes to after their declaration.
func TestNoGlobals(t *testing.T) {
	set, all := sources(t)
	packages := map[string][]*ast.File{}
	for _, s := range all {
		if !s.test && !s.generated {
			packages[s.dir] = append(packages[s.dir], s.file)
		}
	}
	for dir, fs := range packages {
		for _, fault := range globals(set, dir, fs) {
			t.Error(fault)
		}
	}
}

// globals returns the faults of one package.
func globals(set *token.FileSet, dir string, fs []*ast.File) []string {
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}
	conf := types.Config{Importer: blank{}, Error: func(error) {}, FakeImportC: true}
	pkg, _ := conf.Check(dir, set, fs, info) // errors are expected: imports are blank
	var faults []string
	// global returns the package-level variable that an expression is rooted in.
	global := func(e ast.Expr) types.Object {
		for {
			switch x := e.(type) {
			case *ast.IndexExpr:
				e = x.X
			case *ast.SelectorExpr:
				e = x.X
			case *ast.StarExpr:
				e = x.X
			case *ast.ParenExpr:
				e = x.X
			case *ast.Ident:
				if v, ok := info.Uses[x].(*types.Var); ok && pkg != nil && v.Parent() == pkg.Scope() {
					return v
				}
				return nil
			default:
				return nil
			}
		}
	}
	report := func(at ast.Node, o types.Object, how string) {
		if o != nil {
			faults = append(faults, set.Position(at.Pos()).String()+": "+how+" the package-level variable "+o.Name()+
				"; make it a field or a function that returns a fresh value")
		}
	}
	for _, f := range fs {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				v, ok := spec.(*ast.ValueSpec)
				if !ok {
					continue
				}
				typed := []ast.Expr{v.Type}
				for _, value := range v.Values {
					if lit, ok := value.(*ast.CompositeLit); ok {
						typed = append(typed, lit.Type)
					}
					if u, ok := value.(*ast.UnaryExpr); ok {
						if lit, ok := u.X.(*ast.CompositeLit); ok {
							typed = append(typed, lit.Type)
						}
					}
				}
				for _, e := range typed {
					if synchronising(e) {
						faults = append(faults, set.Position(v.Pos()).String()+": "+v.Names[0].Name+" is shared state of the package; make it a field")
					}
				}
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch x := n.(type) {
			case *ast.AssignStmt:
				if x.Tok != token.DEFINE {
					for _, l := range x.Lhs {
						report(x, global(l), "writes to")
					}
				}
			case *ast.IncDecStmt:
				report(x, global(x.X), "writes to")
			case *ast.RangeStmt:
				if x.Tok == token.ASSIGN {
					report(x, global(x.Key), "writes to")
				}
			case *ast.CallExpr:
				if name, ok := x.Fun.(*ast.Ident); ok && len(x.Args) > 0 && (name.Name == "delete" || name.Name == "clear") {
					report(x, global(x.Args[0]), "writes to")
				}
			case *ast.UnaryExpr:
				if x.Op == token.AND {
					report(x, global(x.X), "takes the address of")
				}
			}
			return true
		})
	}
	return faults
}

// synchronising reports whether a type expression names a type of sync or
// sync/atomic, or a channel.
func synchronising(e ast.Expr) bool {
	switch x := e.(type) {
	case *ast.StarExpr:
		return synchronising(x.X)
	case *ast.IndexExpr:
		return synchronising(x.X)
	case *ast.ChanType:
		return true
	case *ast.SelectorExpr:
		p, ok := x.X.(*ast.Ident)
		return ok && (p.Name == "sync" || p.Name == "atomic")
	}
	return false
}

// TestGlobalsAreFound proves that TestNoGlobals can fail.
func TestGlobalsAreFound(t *testing.T) {
	cases := map[string]string{
		"assignment":  "var n int\nfunc f() { n = 1 }",
		"increment":   "var n int\nfunc f() { n++ }",
		"map write":   "var m = map[string]int{}\nfunc f() { m[\"a\"] = 1 }",
		"map delete":  "var m = map[string]int{}\nfunc f() { delete(m, \"a\") }",
		"field write": "var s struct{ n int }\nfunc f() { s.n = 1 }",
		"address":     "var n int\nfunc f() *int { return &n }",
		"mutex":       "var mu sync.Mutex",
		"once":        "var o = sync.Once{}",
		"pool":        "var p = &sync.Pool{}",
		"channel":     "var c chan int",
		"atomic":      "var a atomic.Pointer[int]",
	}
	for name, body := range cases {
		t.Run(name, func(t *testing.T) {
			set, f := snippet(t, body)
			if len(globals(set, "p", []*ast.File{f})) == 0 {
				t.Errorf("not found:\n%s", body)
			}
		})
	}
	fine := map[string]string{
		"table":      "var t = [...]string{\"a\"}\nfunc f(i int) string { return t[i] }",
		"error":      "var errA = errors.New(\"a\")\nfunc f() error { return errA }",
		"shadowed":   "var n = 1\nfunc f() int { n := 2; n++; return n }",
		"lazy value": "var v = sync.OnceValue(func() int { return 1 })\nfunc f() int { return v() }",
	}
	for name, body := range fine {
		t.Run(name, func(t *testing.T) {
			set, f := snippet(t, body)
			if got := globals(set, "p", []*ast.File{f}); len(got) > 0 {
				t.Error(errors.New(strings.Join(got, "\n")))
			}
		})
	}
}
