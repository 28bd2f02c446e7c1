package house

import (
	"bytes"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// update rewrites the generated pages: go test ./internal/house -update.
var update = flag.Bool("update", false, "rewrite generated pages")

// module is the module path of go.mod.
const module = "github.com/weir-net/weir"

// skipped are directories that are no part of the source tree.
var skipped = []string{".git", ".cache", "bin", "node_modules", "dist"}

// root returns the directory of go.mod.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatalf("the house tests must lie two levels below go.mod: %v", err)
	}
	return dir
}

// files returns the slash-separated paths, relative to the root, of all files
// of the tree for which keep holds.
func files(t *testing.T, keep func(name string) bool) []string {
	t.Helper()
	top := root(t)
	var out []string
	err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains(skipped, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(top, p)
		if err != nil {
			return err
		}
		if rel = filepath.ToSlash(rel); d.Type().IsRegular() && keep(rel) {
			out = append(out, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("walk the tree: %v", err)
	}
	if len(out) == 0 {
		t.Fatal("no files found: the test looks at the wrong place")
	}
	return out
}

// read returns the content of a file of the tree.
func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root(t), filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// lines counts the lines of a text.
func lines(b []byte) int {
	n := bytes.Count(b, []byte("\n"))
	if len(b) > 0 && b[len(b)-1] != '\n' {
		n++
	}
	return n
}

// code counts the lines of a Go file that are neither blank nor a line comment.
func code(b []byte) int {
	n := 0
	for line := range bytes.Lines(b) {
		if l := bytes.TrimSpace(line); len(l) > 0 && !bytes.HasPrefix(l, []byte("//")) {
			n++
		}
	}
	return n
}

// source is one parsed Go file.
type source struct {
	name      string // relative to the root
	dir       string // "." for the root
	test      bool
	generated bool
	lines     int // all lines
	code      int // lines that are neither blank nor comment
	file      *ast.File
}

// imports returns the import paths of the file.
func (s source) imports() []string {
	var out []string
	for _, i := range s.file.Imports {
		out = append(out, strings.Trim(i.Path.Value, `"`))
	}
	return out
}

// sources parses every Go file of the tree outside testdata.
func sources(t *testing.T) (*token.FileSet, []source) {
	t.Helper()
	names := files(t, func(n string) bool {
		return strings.HasSuffix(n, ".go") && !strings.Contains("/"+n, "/testdata/")
	})
	set := token.NewFileSet()
	var out []source
	for _, n := range names {
		b := read(t, n)
		f, err := parser.ParseFile(set, n, b, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatalf("parse: %v", err)
		}
		out = append(out, source{
			name: n, dir: path.Dir(n), test: strings.HasSuffix(n, "_test.go"),
			generated: ast.IsGenerated(f), lines: lines(b), code: code(b), file: f,
		})
	}
	return set, out
}

// room returns the room of a directory: "weir" for the root, "house" and the
// like for what lies under internal, "cmd/weir" and "integration" as they are.
func room(dir string) string {
	if dir == "." {
		return "weir"
	}
	parts := strings.Split(dir, "/")
	if parts[0] == "internal" && len(parts) > 1 {
		return parts[1]
	}
	return dir
}
