package house

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// requirement is one module of go.mod.
type requirement struct {
	path     string
	indirect bool
}

// requirements reads the require blocks of go.mod.
func requirements(t *testing.T) []requirement {
	t.Helper()
	var out []requirement
	block := false
	for line := range strings.Lines(string(read(t, "go.mod"))) {
		line = strings.TrimSpace(line)
		switch {
		case line == "require (":
			block = true
			continue
		case line == ")":
			block = false
			continue
		case strings.HasPrefix(line, "require "):
			line = strings.TrimPrefix(line, "require ")
		case !block:
			continue
		}
		if fields := strings.Fields(line); len(fields) >= 2 {
			out = append(out, requirement{path: fields[0], indirect: strings.HasSuffix(line, "// indirect")})
		}
	}
	if len(out) == 0 {
		t.Fatal("no requirement found in go.mod")
	}
	return out
}

// within reports whether an import path lies in a module.
func within(imported, mod string) bool {
	return imported == mod || strings.HasPrefix(imported, mod+"/")
}

// nested reports whether a directory of the tree belongs to a Go module of its
// own: it, or one above it below the root, has a go.mod.
func nested(t *testing.T, dir string) bool {
	t.Helper()
	for ; dir != "."; dir = path.Dir(dir) {
		if _, err := os.Stat(filepath.Join(root(t), filepath.FromSlash(dir), "go.mod")); err == nil {
			return true
		}
	}
	return false
}

// TestModules holds that go.mod names exactly what the tree imports: a module
// that nothing imports does not belong there, and what is imported is direct.
func TestModules(t *testing.T) {
	_, all := sources(t)
	var imported []string
	for _, s := range all {
		if nested(t, s.dir) {
			continue // its own go.mod names what it imports
		}
		for _, p := range s.imports() {
			if strings.Contains(strings.Split(p, "/")[0], ".") && p != module && !strings.HasPrefix(p, module+"/") && !slices.Contains(imported, p) {
				imported = append(imported, p)
			}
		}
	}
	reqs := requirements(t)
	used := map[string]bool{}
	for _, p := range imported {
		best := -1
		for i, r := range reqs {
			if within(p, r.path) && (best < 0 || len(r.path) > len(reqs[best].path)) {
				best = i
			}
		}
		if best < 0 {
			t.Errorf("%s is imported and in no module of go.mod", p)
			continue
		}
		if reqs[best].indirect && !used[reqs[best].path] {
			t.Errorf("%s is imported and marked indirect in go.mod: run go mod tidy", reqs[best].path)
		}
		used[reqs[best].path] = true
	}
	for _, r := range reqs {
		if !r.indirect && !used[r.path] {
			t.Errorf("%s is a direct module that nothing imports: run go mod tidy", r.path)
		}
	}
}

// TestEveryModuleIsDecided holds that each direct module stands, with its
// licence and the reason for it, in the decision record of dependencies.
func TestEveryModuleIsDecided(t *testing.T) {
	record := string(read(t, "docs/decisions/0003-dependencies.md"))
	for _, r := range requirements(t) {
		if !r.indirect && !strings.Contains(record, "`"+r.path+"`") {
			t.Errorf("docs/decisions/0003-dependencies.md does not name %s", r.path)
		}
	}
}
