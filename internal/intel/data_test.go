package intel

import (
	"os"
	"path/filepath"
	"testing"

	weir "github.com/weir-net/weir"
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

func TestLabelledFeeds(t *testing.T) {
	dir := dataDir(t)
	tests := []struct {
		file     string
		category weir.Category
		form     string
		least    int
	}{
		{"ipsum-4.txt", weir.CategoryMalicious, "list", 5000},
		{"ipsum-5.txt", weir.CategoryMalicious, "list", 1000},
		{"ipsum-6.txt", weir.CategoryMalicious, "list", 300},
		{"maltrail-conficker.txt", weir.CategoryC2, "list", 0},
		{"maltrail-elf_mirai.txt.gz", weir.CategoryC2, "list", 5000},
		{"maltrail-mass_scanner_cidr.txt", weir.CategoryScanner, "list", 500},
		{"maltrail-sinkhole_conficker.txt", weir.CategorySinkhole, "list", 5},
		{"misp-warninglist-googlebot.json.gz", "", "warninglist", 65},
		{"misp-warninglist-microsoft-azure.json.gz", "", "warninglist", 1000},
		{"misp-warninglist-public-dns-v4.json.gz", "", "warninglist", 10000},
		{"misp-warninglist-shodan-scanning.json.gz", "", "warninglist", 30},
		{"stix21-sco-examples-bundle.json", "", "stix", 0},
		{"stix21-sco-examples-bundle.json", weir.CategoryMalicious, "stix", 2},
	}
	for _, tt := range tests {
		table, rep, err := Load([]File{{Path: filepath.Join(dir, "ti-feeds-a", tt.file), Category: tt.category}}, 0)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		r := rep.Files[0]
		t.Logf("%s: %s %d, skipped %+v %s", tt.file, r.Form, r.Indicators, r.Skipped, r.Fault)
		if r.Form != tt.form || r.Indicators < tt.least || table.Len() != r.Indicators || r.Skipped.Malformed > r.Indicators/100+20 {
			t.Errorf("%s: %+v", tt.file, *r)
		}
	}
}
