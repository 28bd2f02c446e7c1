package scenario

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The examples of the reference page are scenarios, and the page names every
// shape and every word.
func TestReferencePage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "reference", "scenario.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	parts := strings.Split(page, "```scn\n")
	if len(parts) < 5 {
		t.Fatalf("%d examples", len(parts)-1)
	}
	for i, p := range parts[1:] {
		example, _, _ := strings.Cut(p, "```")
		s, err := Parse("example.scn", example)
		if err != nil {
			t.Errorf("example %d: %v", i+1, err)
			continue
		}
		if flows, _ := s.Flows().Read(nil); len(flows) == 0 {
			t.Errorf("example %d makes no flows", i+1)
		}
	}
	for _, s := range shapes() {
		if !strings.Contains(page, "| `"+s.name) {
			t.Errorf("the shape %s is not on the page", s.name)
		}
	}
	for _, list := range [][]string{resourceWords(), intelWords(), statements()} {
		for _, w := range list {
			if !strings.Contains(page, `"`+w+`"`) {
				t.Errorf("the word %s is not in the grammar", w)
			}
		}
	}
}
