package inventory

import (
	"os"
	"path/filepath"
	"testing"
)

// dataDir returns the directory of the labelled data, or skips the test.
func dataDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("WEIR_DATA")
	if dir == "" {
		dir = "../../../shared/data"
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no labelled data at %s: set WEIR_DATA", dir)
	}
	return dir
}

func TestLabelledInventories(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(dataDir(t), "*", "inventory*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no inventories: %v", err)
	}
	for _, f := range files {
		inv, err := Load([]string{f})
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if len(inv.Resources())+len(inv.Networks()) == 0 || len(inv.Warnings()) > 0 {
			t.Errorf("%s: %d resources, %d networks, warnings %q", f, len(inv.Resources()), len(inv.Networks()), inv.Warnings())
		}
		for _, r := range inv.Resources() {
			for _, a := range r.Addresses {
				if got, _ := inv.Lookup(a); got != r {
					t.Errorf("%s: Lookup(%s) = %v, want %s", f, a, got, r.ID)
				}
			}
		}
		for _, n := range inv.Networks() {
			a := n.Prefix.Addr().Next()
			if got, _ := inv.Lookup(a); got == nil || got.ID != a.String() || got.Kind != n.Kind {
				t.Errorf("%s: Lookup(%s) = %v", f, a, got)
			}
		}
	}
}
