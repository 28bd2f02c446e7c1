package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"
)

// snippet parses the body of a file.
func snippet(t *testing.T, body string) (*token.FileSet, *ast.File) {
	t.Helper()
	set := token.NewFileSet()
	src := "package p\nimport (\"errors\"; \"sync\"; \"sync/atomic\")\n" + body
	f, err := parser.ParseFile(set, "p.go", src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return set, f
}
