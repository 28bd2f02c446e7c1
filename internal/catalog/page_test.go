package catalog

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-net/weir"
)

// reference is the directory of the generated pages.
const reference = "../../docs/reference"

// TestPages holds the committed pages to the catalogue; -update writes them.
func TestPages(t *testing.T) {
	want := map[string]string{}
	for _, lang := range Langs() {
		want[pageName("rules", lang)] = RuleIndex(lang)
		for _, typ := range weir.AlertTypes() {
			want["rules/"+pageName(string(typ), lang)] = RulePage(typ, lang)
		}
	}
	if *update {
		if err := os.MkdirAll(filepath.Join(reference, "rules"), 0o750); err != nil {
			t.Fatal(err)
		}
		for name, text := range want {
			if err := os.WriteFile(filepath.Join(reference, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, text := range want {
		have, err := os.ReadFile(filepath.Join(reference, name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(text, string(have)); diff != "" {
			t.Errorf("%s is stale, run the test with -update: (-want +have)\n%s", name, diff)
		}
	}
	entries, err := os.ReadDir(filepath.Join(reference, "rules"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := want["rules/"+e.Name()]; !ok {
			t.Errorf("rules/%s belongs to no rule", e.Name())
		}
	}
}

// TestPageSections holds the fixed sections, their order and the links.
func TestPageSections(t *testing.T) {
	for _, lang := range Langs() {
		h := pageHeadings(lang)
		sections := []string{h.description, h.measured, h.formula, h.defaults, h.guards, h.falsePositives, h.evidence, h.response, h.scenario}
		for _, typ := range weir.AlertTypes() {
			page := RulePage(typ, lang)
			at := 0
			for _, s := range sections {
				i := strings.Index(page[at:], "\n## "+s+"\n")
				if i < 0 {
					t.Errorf("%s %s: no section %q in its place", typ, lang, s)
					continue
				}
				at += i
			}
			e, _ := Lookup(typ)
			if e.Erratum != "" {
				if _, err := os.Stat(filepath.Join("../..", e.Erratum)); err != nil {
					t.Errorf("%s: %v", typ, err)
				}
				if _, err := os.Stat(filepath.Join(reference, "rules", "../../"+strings.TrimPrefix(e.Erratum, "docs/"))); err != nil {
					t.Errorf("%s: link: %v", typ, err)
				}
			}
		}
	}
	if got := RulePage("Nothing", EN); got != "" {
		t.Errorf("page of an unknown rule: %q", got)
	}
}
