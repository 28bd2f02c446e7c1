package scenario

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-net/weir"
	"go.yaml.in/yaml/v3"
)

// IntelFile is an indicator list of a case. Category is empty where the
// indicators say it themselves.
type IntelFile struct {
	Category weir.Category
	File     string
}

// Case is a labelled case. File names are resolved against its directory.
type Case struct {
	// Path is the case file; Name is the directory and the file without what
	// all case files share, for people.
	Path, Name   string
	Title, Group string
	Files        []string
	Format       weir.Format // FormatUnknown: told from the content
	Sampling     uint32      // 1-in-N where the input does not say it; 0 none
	Inventory    []string
	Intel        []IntelFile
	// LearnUntil: alerts that end before are not judged. The zero time is none,
	// as for Start and End, which are for people.
	LearnUntil, Start, End time.Time
	// Truth is the truth file, empty for a case that is for reading only.
	Truth       string
	Perspective Perspective // empty or AnySide: all rows apply
	Complete    bool
	// Flows are the fewest and the most flow records; nil when not told.
	Flows *[2]int64
	Exit  []int // allowed exit codes, never empty
	Rows  []Row
}

// Find returns the case files and scenarios of a path: itself when it is a
// file, else all of them in the directory and below, in order of their names.
func Find(path string) ([]string, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("find cases: %w", err)
	}
	if !st.IsDir() {
		return []string{path}, nil
	}
	var found []string
	err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && isCase(d.Name()) {
			found = append(found, p)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find cases: %w", err)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no case in %s: expected case.yaml, case-NAME.yaml or NAME.scn", path)
	}
	return found, nil
}

// isCase reports whether a file name is that of a case or a scenario.
func isCase(name string) bool {
	if strings.HasSuffix(name, ".scn") || name == "case.yaml" {
		return true
	}
	return strings.HasPrefix(name, "case-") && strings.HasSuffix(name, ".yaml")
}

// caseKeys are the keys of a case file, as in the contract.
func caseKeys() []string {
	return []string{"title", "group", "files", "format", "sampling", "inventory", "intel", "learnUntil", "start", "end",
		"truth", "perspective", "complete", "flows", "exit"}
}

// LoadCase reads a case file with its truth. An *Error tells the place of a
// fault.
func LoadCase(path string) (*Case, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read case: %w", err)
	}
	c, err := parseCase(path, text)
	if err != nil {
		return nil, err
	}
	if c.Truth == "" {
		return c, nil
	}
	f, err := os.Open(c.Truth)
	if err != nil {
		return nil, fmt.Errorf("read truth: %w", err)
	}
	defer func() { _ = f.Close() }() // opened for reading only
	c.Rows, err = ReadTruth(f, c.Truth)
	return c, err
}

// parseCase reads the text of a case file; globs and the default truth file are
// looked up in the directory of the path.
func parseCase(path string, text []byte) (*Case, error) {
	name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "case"), ".yaml")
	c := &Case{Path: path, Exit: []int{0}, Name: filepath.Base(filepath.Dir(path)) + name}
	p := &caseParser{path: path, dir: filepath.Dir(path), c: c}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, yamlError(path, err)
	}
	if len(doc.Content) == 0 {
		return nil, &Error{path, 1, 1, "the case is empty; expected at least the key files"}
	}
	root := resolve(doc.Content[0])
	if root.Kind != yaml.MappingNode {
		return nil, p.fault(root, "expected keys and values")
	}
	seen := map[string]bool{}
	var errs []error
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], resolve(root.Content[i+1])
		if seen[key.Value] {
			errs = append(errs, p.fault(key, "the key %s is there twice", key.Value))
			continue
		}
		seen[key.Value] = true
		if err := p.key(key, value); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 && len(c.Files) == 0 {
		errs = append(errs, &Error{path, 1, 1, "the key files is missing; expected a list of input files"})
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if !seen["truth"] {
		if t := filepath.Join(p.dir, "truth.csv"); isFile(t) && len(c.Inventory) > 0 {
			c.Truth = t
		}
	}
	return c, nil
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

// yamlError gives a syntax error of the library the form of ours. The library
// tells the line in its text only.
func yamlError(path string, err error) error {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if rest, ok := strings.CutPrefix(msg, "line "); ok {
		if n, after, ok := strings.Cut(rest, ": "); ok {
			if v, err := strconv.Atoi(n); err == nil {
				line, msg = v, after
			}
		}
	}
	return &Error{path, line, 1, "no valid YAML: " + msg}
}

// resolve follows an alias.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

type caseParser struct {
	path, dir string
	c         *Case
}

func (p *caseParser) fault(n *yaml.Node, format string, args ...any) error {
	return &Error{p.path, n.Line, n.Column, fmt.Sprintf(format, args...)}
}

// key reads one key of the case.
func (p *caseParser) key(key, v *yaml.Node) (err error) {
	c := p.c
	switch key.Value {
	case "title":
		c.Title, err = p.text(v)
	case "group":
		c.Group, err = p.text(v)
	case "files":
		c.Files, err = p.globs(v)
	case "format":
		var s string
		if s, err = p.text(v); err == nil {
			if c.Format = weir.ParseFormat(s); c.Format == weir.FormatUnknown {
				err = p.fault(v, "unknown format %q", s)
			}
		}
	case "sampling":
		c.Sampling, err = p.rate(v)
	case "inventory":
		c.Inventory, err = p.globs(v)
	case "intel":
		err = p.intel(v)
	case "learnUntil":
		c.LearnUntil, err = p.time(v)
	case "start":
		c.Start, err = p.time(v)
	case "end":
		c.End, err = p.time(v)
	case "truth":
		var s string
		if s, err = p.text(v); err == nil {
			if c.Truth = p.resolve(s); !isFile(c.Truth) {
				err = p.fault(v, "no such file: %s", c.Truth)
			}
		}
	case "perspective":
		var s string
		if s, err = p.text(v); err == nil {
			if c.Perspective = Perspective(s); c.Perspective != VictimSide && c.Perspective != AttackerSide {
				err = p.fault(v, "perspective %q: expected victim or attacker", s)
			}
		}
	case "complete":
		if v.Kind != yaml.ScalarNode || v.Decode(&c.Complete) != nil {
			err = p.fault(v, "expected true or false")
		}
	case "flows":
		err = p.flows(v)
	case "exit":
		err = p.exit(v)
	default:
		err = p.fault(key, "unknown key %q%s", key.Value, suggest(key.Value, caseKeys()))
	}
	return err
}

func (p *caseParser) text(v *yaml.Node) (string, error) {
	if v.Kind != yaml.ScalarNode || v.Tag == "!!null" {
		return "", p.fault(v, "expected a text")
	}
	return v.Value, nil
}

func (p *caseParser) resolve(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(p.dir, filepath.FromSlash(name))
}

// globs reads a list of file names; each must name at least one file.
func (p *caseParser) globs(v *yaml.Node) ([]string, error) {
	if v.Kind != yaml.SequenceNode {
		return nil, p.fault(v, "expected a list of files")
	}
	var out []string
	for _, n := range v.Content {
		s, err := p.text(resolve(n))
		if err != nil {
			return nil, err
		}
		path := p.resolve(s)
		if isFile(path) { // a name may hold the signs of a glob
			out = append(out, path)
			continue
		}
		found, err := filepath.Glob(path)
		if err != nil {
			return nil, p.fault(n, "bad pattern %q", s)
		}
		if len(found) == 0 {
			return nil, p.fault(n, "no such file: %s", path)
		}
		slices.Sort(found)
		out = append(out, found...)
	}
	return out, nil
}

// rate reads 1-in-N, as N or 1/N.
func (p *caseParser) rate(v *yaml.Node) (uint32, error) {
	s, err := p.text(v)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "1/"), 10, 32)
	if err != nil || n == 0 {
		return 0, p.fault(v, "sampling %q: expected N of 1-in-N, a whole number from 1", s)
	}
	return uint32(n), nil
}

func (p *caseParser) time(v *yaml.Node) (time.Time, error) {
	s, err := p.text(v)
	if err != nil {
		return time.Time{}, err
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, p.fault(v, "time %q: expected RFC 3339, for example 2026-01-01T00:00:00Z", s)
	}
	return t, nil
}

func (p *caseParser) intel(v *yaml.Node) error {
	if v.Kind != yaml.SequenceNode {
		return p.fault(v, "expected a list of {category, file}")
	}
	for _, n := range v.Content {
		n = resolve(n)
		if n.Kind != yaml.MappingNode {
			return p.fault(n, "expected {category: NAME, file: PATH}")
		}
		var f IntelFile
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], resolve(n.Content[i+1])
			s, err := p.text(value)
			if err != nil {
				return err
			}
			switch key.Value {
			case "category":
				if f.Category = weir.Category(s); !f.Category.Valid() {
					return p.fault(value, "unknown category %q: expected c2, infected, sinkhole, scanner, bruteforce, malicious or benign", s)
				}
			case "file":
				if f.File = p.resolve(s); !isFile(f.File) {
					return p.fault(value, "no such file: %s", f.File)
				}
			default:
				return p.fault(key, "unknown key %q: expected category or file", key.Value)
			}
		}
		if f.File == "" {
			return p.fault(n, "the key file is missing")
		}
		p.c.Intel = append(p.c.Intel, f)
	}
	return nil
}

func (p *caseParser) flows(v *yaml.Node) error {
	bad := func() error { return p.fault(v, "expected a number of flows, or [fewest, most]") }
	var r [2]int64
	switch {
	case v.Kind == yaml.ScalarNode:
		if v.Decode(&r[0]) != nil {
			return bad()
		}
		r[1] = r[0]
	case v.Kind == yaml.SequenceNode && len(v.Content) == 2:
		if v.Content[0].Decode(&r[0]) != nil || v.Content[1].Decode(&r[1]) != nil {
			return bad()
		}
	default:
		return bad()
	}
	if r[0] < 0 || r[1] < r[0] {
		return bad()
	}
	p.c.Flows = &r
	return nil
}

func (p *caseParser) exit(v *yaml.Node) error {
	var codes []int
	if v.Kind != yaml.SequenceNode || v.Decode(&codes) != nil || len(codes) == 0 {
		return p.fault(v, "expected a list of exit codes")
	}
	for _, n := range codes {
		if n < 0 || n > 255 {
			return p.fault(v, "exit code %d: expected 0 to 255", n)
		}
	}
	p.c.Exit = codes
	return nil
}
