package intel

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	weir "github.com/weir-net/weir"
)

// Defaults of a file. Source: configuration keys, section 5.
const (
	DefaultConfidence = 80
	DefaultExpiry     = 30 * 24 * time.Hour
)

// Bounds of what is read.
const (
	maxFileSize = 512 << 20 // bytes of one file after decompression
	maxLine     = 64 << 10  // bytes of one line; longer ones are malformed
)

// File is a file of indicators and what holds for those that do not say.
type File struct {
	Path string
	// Category is empty when the indicators or the form must say.
	Category weir.Category
	// Source is the name of the feed; empty means the name of the file.
	Source string
	// Confidence is the base score from 0 to 100; 0 means DefaultConfidence.
	Confidence float64
	// Expiry is the lifetime of indicators that name no end; 0 means
	// DefaultExpiry, less than 0 none.
	Expiry time.Duration
}

// ParseFlag reads the value of the flag --intel: FILE or CATEGORY=FILE.
func ParseFlag(value string) (File, error) {
	before, path, ok := strings.Cut(value, "=")
	if !ok {
		return File{Path: value}, nil
	}
	if c, known := parseCategory(before); known && path != "" {
		return File{Path: path, Category: c}, nil
	}
	if strings.ContainsAny(before, "./\\") {
		return File{Path: value}, nil // a path with an equals sign
	}
	return File{}, fmt.Errorf("%q: unknown category %q, expected %s", value, before, categoryList)
}

const categoryList = "c2, infected, sinkhole, scanner, bruteforce, malicious or benign"

// parseCategory reads a category, also in spellings that feeds use.
func parseCategory(text string) (weir.Category, bool) {
	text = strings.ToLower(strings.TrimSpace(text))
	if c := weir.Category(text); c.Valid() {
		return c, true
	}
	switch strings.NewReplacer("_", "-", " ", "-", "&", "").Replace(text) {
	case "cc", "cnc", "c2-server", "command-and-control", "botnet-cc", "botnet-c2":
		return weir.CategoryC2, true
	case "compromised", "infected-host", "bot":
		return weir.CategoryInfected, true
	case "scan", "scanning", "portscan", "port-scan":
		return weir.CategoryScanner, true
	case "brute-force", "bruteforcing", "brute-forcer":
		return weir.CategoryBruteForce, true
	case "malicious-activity", "attacker":
		return weir.CategoryMalicious, true
	case "warninglist", "warning-list", "whitelist", "allowlist":
		return weir.CategoryBenign, true
	}
	return "", false
}

// Error is a fault of an intelligence file, with its place.
type Error struct {
	File      string
	Line, Col int // from 1
	Msg       string
}

// Error returns "FILE:LINE:COL: what is wrong, what is expected".
func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Msg)
}

// Load reads files of any form of the contract, told from their content, plain or
// compressed with gzip or zstd, and joins them into a table. now is the time of
// loading, Unix ns. A file that cannot be used at all is an error (an [*Error] with
// its place where there is one); bad lines are counted in the report, the first one
// with words. With an error there is no table, but the report tells what was read.
func Load(files []File, now int64) (*Table, *Report, error) {
	var all []weir.Indicator
	var errs []error
	rep := new(Report)
	for _, f := range files {
		data, err := readFile(f.Path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		inds, fr, err := Parse(f.Path, data, f, now)
		rep.Files = append(rep.Files, fr)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, inds...)
	}
	if len(errs) > 0 {
		return nil, rep, errors.Join(errs...)
	}
	return NewTable(all), rep, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("intel: %w", err)
	}
	defer f.Close() //nolint:errcheck // nothing was written
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("intel: %w", err)
	}
	return data, nil
}

// unpack undoes compression, told from the content.
func unpack(data []byte) ([]byte, error) {
	var r io.Reader
	switch {
	case bytes.HasPrefix(data, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
		r = z
	case bytes.HasPrefix(data, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxFileSize))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		defer z.Close()
		r = z
	default:
		r = bytes.NewReader(data)
	}
	out, err := io.ReadAll(io.LimitReader(r, maxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading: %w", err)
	}
	if len(out) > maxFileSize {
		return nil, fmt.Errorf("more than %d MiB", maxFileSize>>20)
	}
	return out, nil
}

// Parse reads the content of one file. name stands for the file in faults; the path
// of f is not opened. The report is never nil.
func Parse(name string, data []byte, f File, now int64) ([]weir.Indicator, *FileReport, error) {
	if f.Confidence == 0 {
		f.Confidence = DefaultConfidence
	}
	if f.Expiry == 0 {
		f.Expiry = DefaultExpiry
	}
	if f.Source == "" {
		f.Source = sourceName(name)
	}
	c := &collector{
		file: name, opts: f, now: now, seen: make(map[identity]int),
		rep: &FileReport{Path: name, Source: f.Source, Categories: make(map[weir.Category]int)},
	}
	if f.Category != "" && !f.Category.Valid() {
		return nil, c.rep, fmt.Errorf("intel: %s: unknown category %q, expected %s", name, f.Category, categoryList)
	}
	plain, err := unpack(data)
	if err != nil {
		return nil, c.rep, &Error{name, 1, 1, err.Error() + ", expected a readable file of indicators"}
	}
	if err := c.parse(bytes.TrimPrefix(plain, []byte("\ufeff"))); err != nil {
		return nil, c.rep, err
	}
	if err := c.verdict(); err != nil {
		return nil, c.rep, err
	}
	c.finish()
	return c.out, c.rep, nil
}

// sourceName is the name of a file without directory and endings.
func sourceName(path string) string {
	name := filepath.Base(path)
	for _, end := range []string{".gz", ".zst", ".txt", ".csv", ".json", ".netset", ".ipset", ".list", ".intel", ".dat"} {
		name = strings.TrimSuffix(name, end)
	}
	return name
}

// parse tells the form and reads it.
func (c *collector) parse(data []byte) error {
	body := bytes.TrimLeft(data, " \t\r\n")
	switch {
	case len(body) == 0:
		return &Error{c.file, 1, 1, "the file is empty, expected indicators"}
	case body[0] == '{' || body[0] == '[' && !bytes.HasPrefix(body, []byte("[Adblock")) && !bracketAddr(body):
		return c.json(data)
	case body[0] == '<':
		return &Error{c.file, 1, 1, "the file is a web page or XML, expected a list of indicators"}
	case bytes.IndexByte(body[:min(len(body), 512)], 0) >= 0:
		return &Error{c.file, 1, 1, "the file is binary, expected a list of indicators"}
	}
	c.lines(data)
	return nil
}

// bracketAddr reports whether text begins with [ADDRESS]:PORT rather than JSON.
func bracketAddr(b []byte) bool {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	_, _, _, kind := classify(string(bytes.TrimSpace(line)))
	return kind == kindAddress
}

// verdict decides whether the file as a whole was of use.
func (c *collector) verdict() error {
	if len(c.out) > 0 {
		return nil
	}
	s := &c.rep.Skipped
	if s.Uncategorised > 0 {
		return &Error{c.file, c.uncategorised.line, c.uncategorised.col, fmt.Sprintf(
			"no indicator tells its category, expected --intel CATEGORY=%s (or the category of the feed) with %s", c.file, categoryList)}
	}
	if s.Malformed > 0 && s.Total() == s.Malformed {
		return &Error{c.file, c.malformed.line, c.malformed.col, c.fault + ", expected a form of intelligence that Weir reads"}
	}
	return nil
}
