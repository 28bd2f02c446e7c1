package house

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// mutation is a fault of one line or two that the test of a property must find.
type mutation struct {
	property string // P1 to P24, or a row of the adversarial set
	file     string // of the fault, relative to the root
	old, new string // the text, which occurs once, and what takes its place
	test     string // the directory of the test
	run      string // its name, as for go test -run
}

// TestMutationsStand holds the table to the tree, quickly: every text is there
// once, what takes its place is Go, every test exists, and no property is left
// out. Whether the tests find the faults is asked by TestMutationsAreFound.
func TestMutationsStand(t *testing.T) {
	_, all := sources(t)
	tests := map[string]bool{}
	for _, s := range all {
		if s.test {
			for _, d := range s.file.Decls {
				if f, ok := d.(*ast.FuncDecl); ok {
					tests[s.dir+" "+f.Name.Name] = true
				}
			}
		}
	}
	have := map[string]bool{}
	for _, m := range mutations() {
		have[strings.Fields(m.property)[0]] = true
		b := read(t, m.file)
		if n := bytes.Count(b, []byte(m.old)); n != 1 {
			t.Errorf("%s: %s holds %d times, want once: %q", m.property, m.file, n, m.old)
			continue
		}
		if _, err := parser.ParseFile(token.NewFileSet(), m.file, m.applied(b), 0); err != nil {
			t.Errorf("%s: the fault is no Go: %v", m.property, err)
		}
		if !tests[m.test+" "+m.function()] {
			t.Errorf("%s: %s has no test %s", m.property, m.test, m.function())
		}
	}
	for i := range 24 {
		if p := "P" + strconv.Itoa(i+1); !have[p] {
			t.Errorf("no fault shows that the test of %s can fail", p)
		}
	}
}

// function returns the name of the test function.
func (m *mutation) function() string {
	return strings.Trim(strings.Split(m.run, "/")[0], "^$")
}

func (m *mutation) applied(b []byte) []byte {
	return bytes.Replace(b, []byte(m.old), []byte(m.new), 1)
}

// TestMutationsAreFound makes every fault of the table in a copy of the tree, one
// at a time, and demands that its test passes before and fails after. A fault
// that does not compile proves nothing. With WEIR_MUTATIONS=1; any other value
// is a regular expression that selects properties. It takes some minutes.
func TestMutationsAreFound(t *testing.T) {
	choice := os.Getenv("WEIR_MUTATIONS")
	if choice == "" {
		t.Skip("takes some minutes; make mutations, or set WEIR_MUTATIONS=1")
	}
	if choice == "1" {
		choice = "."
	}
	only, err := regexp.Compile(choice)
	if err != nil {
		t.Fatal(err)
	}
	dir := copied(t)
	for _, m := range mutations() {
		if !only.MatchString(m.property) {
			continue
		}
		t.Run(strings.ReplaceAll(m.property+" "+path.Base(m.file), " ", "_"), func(t *testing.T) {
			name := filepath.Join(dir, filepath.FromSlash(m.file))
			before, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(before, []byte(m.old)); n != 1 {
				t.Fatalf("%s holds the text %d times", m.file, n)
			}
			// Without -count the result of the whole tree may come from the cache.
			if out, err := m.goTest(t, dir); err != nil {
				t.Fatalf("the test fails without the fault:\n%s", tail(out))
			}
			overwrite(t, name, m.applied(before))
			defer overwrite(t, name, before)
			began := time.Now()
			out, err := m.goTest(t, dir, "-count=1")
			switch {
			case err == nil:
				t.Errorf("survives: %q for %q in %s", m.new, m.old, m.file)
			case !bytes.Contains(out, []byte("--- FAIL")) && !bytes.Contains(out, []byte("panic: ")):
				t.Errorf("the fault is not found by a test:\n%s", tail(out))
			default:
				t.Logf("found in %v", time.Since(began).Round(time.Second/10))
			}
		})
	}
}

func (m *mutation) goTest(t *testing.T, dir string, flags ...string) ([]byte, error) {
	t.Helper()
	args := append([]string{"test", "-timeout", "10m", "-run", m.run}, flags...)
	cmd := exec.CommandContext(t.Context(), "go", append(args, "./"+m.test)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=")
	return cmd.CombinedOutput()
}

func tail(b []byte) []byte { return b[max(len(b)-3000, 0):] }

// copied returns a copy of the tree.
func copied(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	top := root(t)
	err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, p)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, rel)
		switch {
		case d.IsDir() && slices.Contains(skipped, d.Name()) && d.Name() != "dist":
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(to, 0o750)
		case !d.Type().IsRegular():
			return nil
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		return os.WriteFile(to, b, 0o600)
	})
	if err != nil {
		t.Fatalf("copy the tree: %v", err)
	}
	return dir
}

func overwrite(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
