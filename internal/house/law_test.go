package house

import (
	"slices"
	"strings"
	"testing"
)

// law is the table of allowed imports: for each room the rooms that its code
// may import besides itself. Every room but the root may import weir. A new
// arrow is a change to this table and needs a decision record.
func law() map[string][]string {
	return map[string][]string{
		"weir":      {},
		"wire":      {},
		"ingest":    {"wire"},
		"inventory": {},
		"intel":     {},
		"baseline":  {},
		"detect":    {"baseline"},
		"journal":   {},
		"archive":   {},
		"catalog":   {},
		"alert":     {},
		"store":     {},
		"export":    {"catalog"},
		"api":       {"catalog", "alert"},
		"scenario":  {"wire"},
		"engine": {
			"wire", "ingest", "inventory", "intel", "baseline", "detect", "journal", "archive",
			"catalog", "alert", "store", "export", "api", "scenario",
		},
		// The recorded attacks, embedded into the binary for its demo.
		"demo":     {},
		"cmd/weir": {"engine", "api", "catalog", "demo"},
		// The rooms below hold tests and measurements only, and may look at
		// everything. bench is a Go module of its own.
		"bench":       {"*"},
		"house":       {"*"},
		"integration": {"*"},
		"quality":     {"*"},
	}
}

// TestImportLaw holds the table of rooms: the executable architecture.
func TestImportLaw(t *testing.T) {
	table := law()
	_, all := sources(t)
	seen := map[string]bool{}
	for _, s := range all {
		own := room(s.dir)
		allowed, known := table[own]
		if !known {
			t.Errorf("%s: %q is no room of the house; a new room needs a line in this table and a decision record", s.name, own)
			continue
		}
		seen[own] = true
		for _, p := range s.imports() {
			if p != module && !strings.HasPrefix(p, module+"/") {
				if own == "weir" && !s.test && strings.Contains(strings.Split(p, "/")[0], ".") {
					t.Errorf("%s: the root imports the standard library only, not %s", s.name, p)
				}
				continue
			}
			other := room(strings.TrimPrefix(strings.TrimPrefix(p, module), "/"))
			if p == module {
				other = "weir"
			}
			switch {
			case other == own, other == "weir" && own != "weir", slices.Contains(allowed, "*"):
			case slices.Contains(allowed, other):
			case s.test:
				// Tests may look further upstream, for example to build their
				// input, but never at what lies downstream of their room.
				if slices.Contains(table[other], own) && other != "scenario" {
					t.Errorf("%s: the tests of %s must not import %s, which imports %s", s.name, own, other, own)
				}
			default:
				t.Errorf("%s: %s may not import %s (%s)", s.name, own, other, p)
			}
		}
	}
	for _, must := range []string{"weir", "house"} {
		if !seen[must] {
			t.Errorf("no file of %s seen: the walk misses part of the tree", must)
		}
	}
}

// TestLawIsAcyclic proves that the table itself lets water flow one way.
func TestLawIsAcyclic(t *testing.T) {
	table := law()
	var visit func(room string, path []string)
	visit = func(room string, path []string) {
		if slices.Contains(path, room) {
			t.Fatalf("the law has a cycle: %s", strings.Join(append(path, room), " -> "))
		}
		for _, next := range table[room] {
			if next == "*" {
				continue
			}
			if _, ok := table[next]; !ok {
				t.Fatalf("the law of %s names %s, which is no room", room, next)
			}
			visit(next, append(slices.Clone(path), room))
		}
	}
	for r := range table {
		visit(r, nil)
	}
}
