package inventory

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Error is one fault of an inventory file, with its place.
type Error struct {
	File      string
	Line, Col int // from 1
	Msg       string
}

// Error returns "FILE:LINE:COL: what is wrong, what is expected".
func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Msg)
}

// Bounds of what is read.
const (
	maxFileSize = 256 << 20 // bytes of one inventory file
	maxDepth    = 64        // nesting of JSON
	maxErrors   = 20        // faults reported of one load
)

// tree reads YAML or JSON into one form of tree that knows places. JSON goes
// through the JSON decoder, for YAML knows no surrogate pairs.
func tree(file string, data []byte) (*yaml.Node, error) {
	if first := bytes.TrimLeft(data, " \t\r\n"); len(first) > 0 && (first[0] == '{' || first[0] == '[') {
		n, err := jsonTree(file, data)
		if err == nil {
			return n, nil
		}
		if y, yerr := yamlTree(file, data); yerr == nil {
			return y, nil // YAML in flow style
		}
		return nil, err
	}
	return yamlTree(file, data)
}

var yamlPlace = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

func yamlTree(file string, data []byte) (*yaml.Node, error) {
	if !utf8.Valid(data) {
		return nil, &Error{file, 1, 1, "not UTF-8 text, expected an inventory in YAML or JSON"}
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, &Error{file, 1, 1, "the file is empty, expected resources, networks or allow"}
		}
		return nil, yamlFault(file, err)
	}
	var next yaml.Node
	switch err := dec.Decode(&next); {
	case err == nil:
		return nil, &Error{file, max(next.Line, 1), max(next.Column, 1), "a second document begins, expected one document per file"}
	case !errors.Is(err, io.EOF):
		return nil, yamlFault(file, err)
	}
	if doc.Kind == yaml.DocumentNode && len(doc.Content) == 1 {
		return doc.Content[0], nil
	}
	return &doc, nil
}

func yamlFault(file string, err error) error {
	line, msg := 1, err.Error()
	if m := yamlPlace.FindStringSubmatch(msg); m != nil {
		msg = m[2]
		if n, aerr := strconv.Atoi(m[1]); aerr == nil && n > 0 {
			line = n
			if strings.HasPrefix(msg, "did not find expected") {
				line++ // the library counts the lines of its parser, not of its scanner, from 0
			}
		}
	}
	return &Error{file, line, 1, msg + ", expected valid YAML"}
}

// jsonTree reads one JSON value.
func jsonTree(file string, data []byte) (*yaml.Node, error) {
	r := &jsonReader{file: file, data: data, dec: json.NewDecoder(bytes.NewReader(data)), line: 1}
	r.dec.UseNumber()
	n, err := r.value(0)
	if err != nil {
		return nil, err
	}
	end := r.dec.InputOffset()
	if _, err := r.dec.Token(); !errors.Is(err, io.EOF) {
		for end < int64(len(data)) && strings.IndexByte(" \t\r\n", data[end]) >= 0 {
			end++
		}
		return nil, r.fault(end, "more follows after the JSON value, expected one value per file")
	}
	return n, nil
}

type jsonReader struct {
	file string
	data []byte
	dec  *json.Decoder
	// line and lineStart are the place of offset at, which only grows.
	at, lineStart int64
	line          int
}

// place returns line and column of an offset at or after the last one.
func (r *jsonReader) place(offset int64) (line, col int) {
	offset = min(max(offset, r.at), int64(len(r.data)))
	for ; r.at < offset; r.at++ {
		if r.data[r.at] == '\n' {
			r.line++
			r.lineStart = r.at + 1
		}
	}
	return r.line, int(offset-r.lineStart) + 1
}

func (r *jsonReader) fault(offset int64, msg string) error {
	line, col := r.place(offset)
	return &Error{r.file, line, col, msg}
}

// token returns the next token and the offset at which it begins.
func (r *jsonReader) token() (json.Token, int64, error) {
	start := r.dec.InputOffset()
	for start < int64(len(r.data)) && strings.IndexByte(" \t\r\n,:", r.data[start]) >= 0 {
		start++
	}
	t, err := r.dec.Token()
	if err != nil {
		at, msg := start, strings.TrimPrefix(err.Error(), "json: ")
		var syn *json.SyntaxError
		if errors.As(err, &syn) && syn.Offset > 0 {
			at = syn.Offset - 1
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			at, msg = int64(len(r.data)), "the file ends within a value"
		}
		return nil, start, r.fault(at, msg+", expected valid JSON")
	}
	return t, start, nil
}

func (r *jsonReader) value(depth int) (*yaml.Node, error) {
	t, start, err := r.token()
	if err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, r.fault(start, fmt.Sprintf("values are nested more than %d deep", maxDepth))
	}
	line, col := r.place(start)
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: line, Column: col}
	switch v := t.(type) {
	case json.Delim:
		n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		if v == '{' {
			n.Kind, n.Tag = yaml.MappingNode, "!!map"
		}
		for r.dec.More() {
			if n.Kind == yaml.MappingNode {
				k, at, err := r.token()
				if err != nil {
					return nil, err
				}
				name, _ := k.(string)
				line, col := r.place(at)
				n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name, Line: line, Column: col})
			}
			c, err := r.value(depth + 1)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, c)
		}
		if _, _, err := r.token(); err != nil {
			return nil, err
		}
	case string:
		n.Tag, n.Value = "!!str", v
	case json.Number:
		n.Tag, n.Value = "!!float", v.String()
		if _, err := strconv.ParseInt(n.Value, 10, 64); err == nil {
			n.Tag = "!!int"
		}
	case bool:
		n.Tag, n.Value = "!!bool", strconv.FormatBool(v)
	case nil:
		n.Tag, n.Value = "!!null", "null"
	}
	return n, nil
}

// nearest returns the candidate within an edit distance of a third of its length,
// as a question to append to a message; empty for none.
func nearest(word string, candidates []string) string {
	best, bestDist := "", 1<<30
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < bestDist && d <= max(1, len(c)/3) {
			best, bestDist = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", best)
}

// distance is the Levenshtein distance of two short words; long ones are far apart.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 1 << 20
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diag, row[j] = row[j], min(row[j]+1, row[j-1]+1, diag+cost)
		}
	}
	return row[len(b)]
}
