package scenario

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/weir-net/weir"
)

// write makes files in a new directory and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLoadCase(t *testing.T) {
	dir := write(t, map[string]string{
		"one/case-in.yaml": `title: "a case"
group: author
files: [b.csv, "a*.csv"]
format: csv
sampling: 1/1000
inventory: [inventory.yaml]
intel:
  - {category: c2, file: list.txt}
  - {file: list.txt}
learnUntil: 2026-01-01T12:00:00Z
start: 2026-01-01T00:00:00Z
end: 2026-01-02T00:00:00.5Z
perspective: victim
complete: true
flows: [3, 4]
exit: [0, 3]
`,
		"one/truth.csv": "verdict,alert\nmust,SSH_*\n",
		"one/b.csv":     "", "one/a2.csv": "", "one/a1.csv": "", "one/inventory.yaml": "", "one/list.txt": "",
	})
	c, err := LoadCase(filepath.Join(dir, "one", "case-in.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	in := func(n string) string { return filepath.Join(dir, "one", n) }
	want := &Case{
		Path: in("case-in.yaml"), Name: "one-in", Title: "a case", Group: "author",
		Files: []string{in("b.csv"), in("a1.csv"), in("a2.csv")}, Format: weir.FormatCSV, Sampling: 1000,
		Inventory:  []string{in("inventory.yaml")},
		Intel:      []IntelFile{{weir.CategoryC2, in("list.txt")}, {"", in("list.txt")}},
		LearnUntil: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC), Start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		End: time.Date(2026, 1, 2, 0, 0, 0, 5e8, time.UTC), Truth: in("truth.csv"), Perspective: VictimSide, Complete: true,
		Flows: &[2]int64{3, 4}, Exit: []int{0, 3},
		Rows: []Row{{Line: 2, Verdict: Must, Alerts: []string{"SSH_*"}, Perspective: AnySide}},
	}
	if d := cmp.Diff(want, c); d != "" {
		t.Error(d)
	}
}

func TestCaseFaults(t *testing.T) {
	dir := write(t, map[string]string{"x.csv": ""})
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", ":1:1: the case is empty"},
		{"no YAML", "files: [x.csv\ntitle", ":2:1: no valid YAML"},
		{"no mapping", "- a\n", ":1:1: expected keys and values"},
		{"misspelt key", "files: [x.csv]\ninventori: [a]\n", `:2:1: unknown key "inventori"; did you mean inventory?`},
		{"key twice", "files: [x.csv]\nfiles: [x.csv]\n", ":2:1: the key files is there twice"},
		{"no files", "title: a\n", ":1:1: the key files is missing"},
		{"files are no list", "files: x.csv\n", ":1:8: expected a list of files"},
		{"missing file", "files:\n  - y.csv\n", ":2:5: no such file: " + filepath.Join(dir, "y.csv")},
		{"glob without a file", "files: ['y*.csv']\n", ":1:9: no such file"},
		{"unknown format", "files: [x.csv]\nformat: netflow\n", `:2:9: unknown format "netflow"`},
		{"sampling of zero", "files: [x.csv]\nsampling: 0\n", ":2:11: sampling"},
		{"bad time", "files: [x.csv]\nstart: yesterday\n", ":2:8: time"},
		{"bad perspective", "files: [x.csv]\nperspective: both\n", ":2:14: perspective"},
		{"bad complete", "files: [x.csv]\ncomplete: maybe\n", ":2:11: expected true or false"},
		{"flows the wrong way", "files: [x.csv]\nflows: [5, 4]\n", ":2:8: expected a number of flows"},
		{"exit is no list", "files: [x.csv]\nexit: 0\n", ":2:7: expected a list of exit codes"},
		{"unknown category", "files: [x.csv]\nintel:\n  - {category: evil, file: x.csv}\n", ":3:16: unknown category"},
		{"intel without file", "files: [x.csv]\nintel:\n  - {category: c2}\n", ":3:5: the key file is missing"},
		{"missing truth", "files: [x.csv]\ntruth: t.csv\n", ":2:8: no such file"},
	} {
		_, err := parseCase(filepath.Join(dir, "case.yaml"), []byte(c.text))
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), "case.yaml"+c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
}

func TestTruthFaults(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "t:1:1: the truth file is empty"},
		{"unknown column", "verdict,alarm\n", `t:1:9: unknown column "alarm"; did you mean alert?`},
		{"column twice", "verdict,alert,alert\n", "t:1:15: the column alert is there twice"},
		{"missing column", "verdict\n", "t:1:1: the column alert is missing"},
		{"verdict", "verdict,alert\nmight,DDOS\n", "t:2:1: verdict"},
		{"alert", "verdict,alert\nmust,SSH_Incoming_BF_OneToMore\n", "t:2:6: \"SSH_Incoming_BF_OneToMore\" is no alert type; did you mean SSH_Incoming_BF_OneToOne?"},
		{"no alert", "verdict,alert\nmust,\n", "t:2:6: no alert named"},
		{"pattern", "verdict,alert\nmust,SSH_[\n", "t:2:6: bad pattern"},
		{"address", "verdict,alert,attacker\nmust,DDOS,10.0.0.300\n", `t:2:11: attacker "10.0.0.300": expected an address, a prefix or *`},
		{"port", "verdict,alert,port\nmust,DDOS,70000\n", "t:2:11: port"},
		{"time", "verdict,alert,first\nmust,DDOS,1.1.2026\n", "t:2:11: first"},
		{"times the wrong way", "verdict,alert,first,last\nmust,DDOS,2026-01-02,2026-01-01\n", "t:2:22: last is before first"},
		{"fields", "verdict,alert\nmust,DDOS,x\n", "t:2:1: 3 fields; expected 2"},
		{"quotes", "verdict,alert\nmust,\"DDOS\n", "t:2:"},
	} {
		rows, err := ReadTruth(strings.NewReader(c.text), "t")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, %v; want %s", c.name, rows, err, c.want)
		}
	}
}

func TestFind(t *testing.T) {
	dir := write(t, map[string]string{"b/case.yaml": "", "a/case-2.yaml": "", "a/case-1.yaml": "", "a/x.yaml": "", "c/y.scn": "", "c/truth.csv": ""})
	got, err := Find(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		got[i], _ = filepath.Rel(dir, got[i])
		got[i] = filepath.ToSlash(got[i])
	}
	if d := cmp.Diff([]string{"a/case-1.yaml", "a/case-2.yaml", "b/case.yaml", "c/y.scn"}, got); d != "" {
		t.Error(d)
	}
	if _, err := Find(filepath.Join(dir, "d")); err == nil {
		t.Error("no error for a path that is not there")
	}
	if _, err := Find(t.TempDir()); err == nil || !strings.Contains(err.Error(), "expected case.yaml") {
		t.Errorf("an empty directory: %v", err)
	}
}

// Every case of the real data loads, and every row has a type.
func TestRealCases(t *testing.T) {
	dir := os.Getenv("WEIR_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no real data in %s; set WEIR_DATA", dir)
	}
	paths, err := Find(dir)
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, p := range paths {
		c, err := LoadCase(p)
		if err != nil {
			t.Error(err)
			continue
		}
		rows += len(c.Rows)
		for _, r := range c.Rows {
			if r.Type() == "" {
				t.Errorf("%s:%d: a row of no type", c.Truth, r.Line)
			}
		}
		if c.Group != "format" && len(c.Rows) == 0 {
			t.Errorf("%s: no rows", p)
		}
	}
	if len(paths) < 40 || rows < 100 {
		t.Errorf("%d cases, %d rows", len(paths), rows)
	}
}

func FuzzParseCase(f *testing.F) {
	f.Add("files: [x]\nflows: [1, 2]\n")
	f.Add("a: &a [*a]\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCase("case.yaml", []byte(text))
		if (c == nil) == (err == nil) {
			t.Fatal("a case or an error, not both")
		}
	})
}

func FuzzReadTruth(f *testing.F) {
	f.Add("verdict,alert,attacker,victim,port,first,last\nmust,\"SSH_*,DDOS\",*,10.0.0.0/8,22,2026-01-01,2026-01-01\n")
	f.Fuzz(func(t *testing.T, text string) {
		rows, err := ReadTruth(strings.NewReader(text), "t")
		if err != nil {
			return
		}
		for i := range rows {
			if rows[i].Type() == "" {
				t.Fatal("a row of no type")
			}
		}
	})
}
