package house

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/weir-net/weir"
	"github.com/weir-net/weir/internal/catalog"
)

// TestReadmeTable holds the tables of the 15 alerts in both READMEs against the
// catalogue: the same alerts in the same order, with severity and tactic.
func TestReadmeTable(t *testing.T) {
	for page, lang := range map[string]catalog.Lang{"README.md": catalog.EN, "README.ja.md": catalog.JA} {
		var rows [][]string
		for line := range strings.Lines(string(read(t, page))) {
			if strings.HasPrefix(line, "| [`") || strings.HasPrefix(line, "| `") {
				cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
				for i := range cells {
					cells[i] = strings.TrimSpace(cells[i])
				}
				if id := regexp.MustCompile("`([A-Za-z0-9_]+)`").FindStringSubmatch(cells[0]); id != nil && weir.AlertType(id[1]).Valid() {
					rows = append(rows, append([]string{id[1]}, cells[1:]...))
				}
			}
		}
		var ids []string
		for _, r := range rows {
			ids = append(ids, r[0])
		}
		var want []string
		for _, a := range weir.AlertTypes() {
			want = append(want, string(a))
		}
		if !slices.Equal(ids, want) {
			t.Errorf("%s: the table has %v, want %v", page, ids, want)
			continue
		}
		for _, r := range rows {
			e, ok := catalog.Lookup(weir.AlertType(r[0]))
			if !ok {
				t.Fatalf("the catalogue has no %s", r[0])
			}
			if severity := catalog.SeverityName(e.Severity, lang); r[1] != severity {
				t.Errorf("%s: %s has severity %q, the catalogue %q", page, r[0], r[1], severity)
			}
			if tactic := catalog.TacticName(e.Tactic, lang); r[2] != tactic {
				t.Errorf("%s: %s has tactic %q, the catalogue %q", page, r[0], r[2], tactic)
			}
		}
	}
}

// TestReadmesAgree holds that both READMEs have the same sections and name the
// same commands.
func TestReadmesAgree(t *testing.T) {
	code := regexp.MustCompile("(?s)```[a-z]*\n(.*?)```")
	commands := func(page string) []string {
		var out []string
		for _, m := range code.FindAllStringSubmatch(string(read(t, page)), -1) {
			for line := range strings.Lines(m[1]) {
				if l, _, _ := strings.Cut(strings.TrimSpace(line), "#"); l != "" {
					out = append(out, strings.TrimSpace(l))
				}
			}
		}
		return out
	}
	en, ja := commands("README.md"), commands("README.ja.md")
	if len(en) == 0 {
		t.Fatal("README.md shows no command")
	}
	if !slices.Equal(en, ja) {
		t.Errorf("the commands differ:\n%s\n--- and ---\n%s", strings.Join(en, "\n"), strings.Join(ja, "\n"))
	}
	sections := func(page string) int { return strings.Count("\n"+string(read(t, page)), "\n## ") }
	if a, b := sections("README.md"), sections("README.ja.md"); a != b {
		t.Errorf("README.md has %d sections, README.ja.md %d", a, b)
	}
}

// TestNamedCode holds that where a page links a name to a Go file, the file has
// a declaration of that name.
func TestNamedCode(t *testing.T) {
	named := regexp.MustCompile("\\[`([A-Za-z]+)`\\]\\(([^)]+\\.go)\\)")
	const page = "docs/explanation/life-of-a-flow.md"
	found := named.FindAllStringSubmatch(string(read(t, page)), -1)
	if len(found) < 20 {
		t.Fatalf("%s names only %d pieces of code", page, len(found))
	}
	for _, m := range found {
		file := path.Join(path.Dir(page), m[2])
		declared := regexp.MustCompile(`(?m)^(func (\([^)]*\) )?|type )` + m[1] + `\b`)
		if !declared.Match(read(t, file)) {
			t.Errorf("%s: %s declares no %s", page, file, m[1])
		}
	}
}
